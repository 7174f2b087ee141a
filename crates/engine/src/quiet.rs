//! A quiet time: for some seconds the engine leaves the drive to its clients, so that somebody can ask the drive how it
//! is. A SATA drive answers such a question only when its queue is empty (ACS-4, "NCQ feature set": a command that is not
//! queued waits until none is under way), so each read in the queue makes the question, and whoever waits behind it,
//! slower.
//!
//! - It is never longer than [`QUIET_US_MAX`], and a new order replaces the one before.
//! - Clients never wait for it. It is refused where they wait already, and where space is so short that they wait for
//!   reclaim.

use crate::request::EngineError;
use crate::schedule::Work;
use crate::store::Store;

/// The longest quiet time, in microseconds.
const QUIET_US_MAX: u64 = 10_000_000;

impl Store {
    /// Holds scrub and reclaim back for at most `for_us` microseconds; gives for how long. 0 ends it.
    pub(crate) fn be_quiet(&mut self, for_us: u64) -> Result<u64, EngineError> {
        if for_us > 0 {
            let waiting =
                self.reads.waiting.waiting(Work::Foreground) + self.reads.waiting.waiting(Work::Repair);
            if waiting > 0 {
                return Err(EngineError::Overloaded { what: "clients wait for the drive" });
            }
            if self.pace.pressure() > 0 {
                return Err(EngineError::Overloaded { what: "space is short and reclaim is needed" });
            }
        }
        let granted_us = for_us.min(QUIET_US_MAX);
        self.reads.waiting.hold(self.now_us.saturating_add(granted_us));
        Ok(granted_us)
    }

    /// Lets everything go on.
    pub(crate) fn end_quiet(&mut self) {
        self.reads.waiting.hold(0);
    }
}
