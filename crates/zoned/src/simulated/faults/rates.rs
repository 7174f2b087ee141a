//! How often each kind of fault strikes.

use crate::simulated::faults::kind::{FaultKind, KINDS};

/// A rate for each kind: one in so many of the operations that it strikes, on the average; 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRates {
    one_in: [u32; KINDS],
    worn_zones_max: u32,
}

impl FaultRates {
    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::every(0)
    }

    /// Every kind strikes one in `one_in` of its operations.
    #[must_use]
    pub fn every(one_in: u32) -> Self {
        Self { one_in: [one_in; KINDS], worn_zones_max: u32::MAX }
    }

    /// These rates, with another for `kind`: one in `one_in` operations, 0 for never.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, one_in: u32) -> Self {
        self.one_in[kind as usize] = one_in;
        self
    }

    /// These rates, on a drive of which no zone more turns read-only or offline by chance once `zones` of them are:
    /// without such a bound, a long run wears a drive out whole.
    #[must_use]
    pub fn with_worn_zones_max(mut self, zones: u32) -> Self {
        self.worn_zones_max = zones;
        self
    }

    /// One in how many of its operations `kind` strikes; 0 for none.
    #[must_use]
    pub fn one_in(&self, kind: FaultKind) -> u32 {
        self.one_in[kind as usize]
    }

    /// The number of read-only and offline zones at which no further zone turns so by chance.
    #[must_use]
    pub fn worn_zones_max(&self) -> u32 {
        self.worn_zones_max
    }
}

impl Default for FaultRates {
    fn default() -> Self {
        Self::none()
    }
}
