//! What commits and checkpoints say of how far zones are good.

use std::collections::HashMap;

use crate::commit::CommitZone;
use crate::verify::ledger::Place;

/// The strongest thing that was said of one zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) incarnation: u64,
    pub(super) good_units: u32,
    /// Where it stands.
    pub(super) by: Place,
}

/// The strongest claim on each zone: of the latest life that was named, the highest.
#[derive(Default)]
pub(super) struct Claims {
    zones: HashMap<u32, Claim>,
    /// The open zones by the commit of the highest sequence, and that.
    last: (u64, Vec<CommitZone>),
}

impl Claims {
    pub(super) fn add(&mut self, open: &CommitZone, by: Place) {
        let claim = Claim { incarnation: open.incarnation, good_units: open.good_units, by };
        let known = self.zones.entry(open.zone).or_insert(claim);
        if (claim.incarnation, claim.good_units) > (known.incarnation, known.good_units) {
            *known = claim;
        }
    }

    /// Takes note of the zones that were open when the commit of this sequence was made.
    pub(super) fn note_open(&mut self, sequence: u64, open: &[CommitZone]) {
        if sequence > self.last.0 {
            self.last = (sequence, open.to_vec());
        }
    }

    /// The zones that were open when the last commit was made.
    pub(super) fn open_at_last(&self) -> &[CommitZone] {
        &self.last.1
    }

    pub(super) fn of(&self, zone: u32) -> Option<Claim> {
        self.zones.get(&zone).copied()
    }
}
