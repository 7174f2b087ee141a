//! The engine's only source of time, so that a simulation can own it.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the engine meets the machine's clocks"
)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells time.
pub trait Clock: Send + Sync {
    /// Microseconds since some fixed instant; never falls.
    fn now_us(&self) -> u64;

    /// Seconds since 1970, as well as the machine knows; 0 where its clock stands before that.
    fn unix_s(&self) -> u64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn unix_s(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
    }
}
