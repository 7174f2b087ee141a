//! A drive that sleeps and is left asleep.
//!
//! Asleep it changes nothing and tells nothing: what it told before stands, for as long as it goes on to be found asleep.

use serde::{Deserialize, Serialize};

/// Since when a drive has been found asleep, and when last, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asleep {
    pub(crate) since_unix_s: u64,
    pub(crate) last_unix_s: u64,
}

impl Asleep {
    /// Found asleep at this time.
    pub(crate) const fn at(at_unix_s: u64) -> Self {
        Self { since_unix_s: at_unix_s, last_unix_s: at_unix_s }
    }

    /// Found asleep at both times, and at no time between them awake.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            since_unix_s: self.since_unix_s.min(other.since_unix_s),
            last_unix_s: self.last_unix_s.max(other.last_unix_s),
        }
    }
}
