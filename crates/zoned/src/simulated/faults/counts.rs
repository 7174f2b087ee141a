//! How often each kind of fault has struck.

use std::fmt;
use std::ops::AddAssign;

use crate::simulated::faults::kind::{FaultKind, KINDS};

/// A count for each kind. It prints as one line: every kind, with its count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts([u64; KINDS]);

impl FaultCounts {
    /// How often `kind` has struck.
    #[must_use]
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0[kind as usize]
    }

    /// Each kind's name and count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        FaultKind::ALL.into_iter().map(|kind| (kind.name(), self.of(kind)))
    }

    /// The names of the kinds that have never struck: where a run is to see all of them, it has failed if there is one.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        self.iter().filter(|&(_, count)| count == 0).map(|(name, _)| name).collect()
    }

    pub(crate) fn add(&mut self, kind: FaultKind) {
        self.0[kind as usize] += 1;
    }
}

impl AddAssign<&Self> for FaultCounts {
    fn add_assign(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, count)) in self.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {count}")?;
        }
        Ok(())
    }
}
