//! Where the arm's time went.

use crate::simulated::disk::parameters::as_whole;
use crate::simulated::disk::platter::Approach;

/// What the arm has done since the disk began: simulated time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    /// Moving and settling.
    pub seek_ns: u64,
    /// Waiting for the place to come round.
    pub rotate_ns: u64,
    /// Reading and writing.
    pub transfer_ns: u64,
    /// Without work. Reading ahead counts as that: it gives way at once.
    pub idle_ns: u64,
    /// Accesses to the medium: reads by the arm, and writes as they arrived.
    pub accesses: u64,
    /// Those of them that did not go straight on from the one before.
    pub approaches: u64,
}

impl Breakdown {
    pub(crate) fn add(&mut self, approach: Approach, transfer_ns: f64) {
        self.seek_ns += as_whole(approach.seek_ns);
        self.rotate_ns += as_whole(approach.wait_ns);
        self.transfer_ns += as_whole(transfer_ns);
        self.accesses += 1;
        self.approaches += u64::from(!approach.goes_straight_on());
    }

    /// What was done since `before`, an earlier breakdown of the same disk.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            seek_ns: self.seek_ns - before.seek_ns,
            rotate_ns: self.rotate_ns - before.rotate_ns,
            transfer_ns: self.transfer_ns - before.transfer_ns,
            idle_ns: self.idle_ns - before.idle_ns,
            accesses: self.accesses - before.accesses,
            approaches: self.approaches - before.approaches,
        }
    }
}
