//! Time that passes only when somebody says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock in virtual time, which begins at 0. Its clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    now_ns: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock at 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The time in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Acquire)
    }

    /// The time in whole microseconds.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_ns() / 1000
    }

    /// Lets `time` pass: the time in which a client thinks, say.
    pub fn advance(&self, time: Duration) {
        let passed_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        self.now_ns.fetch_add(passed_ns, Ordering::AcqRel);
    }

    /// Lets time pass until `then_ns`, where that is not in the past.
    pub fn advance_to_ns(&self, then_ns: u64) {
        self.now_ns.fetch_max(then_ns, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::VirtualClock;

    #[test]
    fn the_clones_of_a_clock_show_one_time_which_never_goes_back() {
        let clock = VirtualClock::new();
        let other = clock.clone();
        clock.advance(Duration::from_micros(1500));
        assert_eq!((other.now_us(), other.now_ns()), (1500, 1_500_000));
        other.advance_to_ns(1000);
        assert_eq!(clock.now_us(), 1500);
        other.advance_to_ns(2_000_999);
        assert_eq!(clock.now_us(), 2000);
    }
}
