//! The bounds and periods of an engine.

use std::time::Duration;

/// See the module.
#[derive(Clone, Debug)]
pub struct Options {
    /// The largest number of requests in the engine at once; more are refused as overloaded.
    pub requests_max: usize,
    /// How long a request may wait in the engine before it reaches the disk; then it is refused as overloaded.
    pub deadline: Duration,
    /// How long a zone in which nothing lives rests before it may be reset.
    pub trash_rest: Duration,
    /// Within which time every record is read and checked once.
    pub scrub_period: Duration,
    /// After how many bytes written to the log the index is checkpointed: bounds what a mount after a crash replays.
    pub checkpoint_bytes: u64,
    /// How many operations the engine keeps in flight on a drive that rotates. More only make it choose worse: native
    /// command queueing holds 32 (ATA8-ACS, 4.16), and SAS drives gain little beyond.
    pub rotational_depth_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            requests_max: 1024,
            deadline: Duration::from_secs(10),
            trash_rest: Duration::from_secs(300),
            scrub_period: Duration::from_secs(30 * 24 * 3600),
            checkpoint_bytes: 32 << 30,
            rotational_depth_max: 32,
        }
    }
}

impl Options {
    /// A duration in microseconds, as the engine counts time.
    pub(crate) fn us(duration: Duration) -> u64 {
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
    }
}
