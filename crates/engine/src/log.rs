//! The end of the log: the zone that is being written, and what a group needs of it.
//!
//! One zone is written at a time. It always keeps room for a commit and for the footer that lists all of its
//! records, so that it can be sealed at any moment. A footer ends exactly at the zone's capacity; padding fills what
//! lies before it.

use imbrex_format::{TableEntry, VoidRange, footer_units};

/// The most records and tombstones that one zone lists: their footer has 1,024 units.
pub(crate) const ENTRIES_MAX: usize = 65_534;

/// The length of the largest tombstones record that this engine writes, in units.
pub(crate) const TOMBSTONE_UNITS: usize = 4;

/// How many units of zeros one write of padding has at most.
pub(crate) const ZERO_UNITS: u32 = 64;

/// How many units a group needs besides its records: a void record and a commit.
const GROUP_UNITS: u32 = 2;

/// How far the sequence jumps at every mount: beyond any number that a group which was torn by a crash can have used,
/// so that none is used twice. At 2^20 a mount, 2^64 last for 2^44 mounts.
pub(crate) const SEQUENCE_JUMP: u64 = 1 << 20;

/// How far a zone was found to be committed, and written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) good_units: u32,
    pub(crate) written_units: u32,
}

impl Tail {
    /// Whether another group, with one small record at least, fits into a zone that lists `entries` records.
    pub(crate) fn has_room(self, entries: usize, capacity_units: u32) -> bool {
        entries + 1 < ENTRIES_MAX
            && self.written_units + GROUP_UNITS + 1 + footer_units(entries + 1) <= capacity_units
    }
}

/// The zone to which the log is being written.
#[derive(Debug)]
pub(crate) struct OpenZone {
    pub(crate) zone: u32,
    /// Where the next record goes.
    pub(crate) next_unit: u32,
    /// Units that a crash left behind between the last commit and the write pointer, and that no record yet voids.
    pub(crate) torn: Option<VoidRange>,
    /// What its footer will list.
    pub(crate) entries: Vec<TableEntry>,
}

impl OpenZone {
    /// A zone that was left open.
    pub(crate) fn resumed(zone: u32, tail: Tail, entries: Vec<TableEntry>) -> Self {
        let unit_count = tail.written_units - tail.good_units;
        let torn = (unit_count > 0).then_some(VoidRange { first_unit: tail.good_units, unit_count });
        Self { zone, next_unit: tail.written_units, torn, entries }
    }

    /// A zone of which only the header is about to be written.
    pub(crate) fn fresh(zone: u32, entries: Vec<TableEntry>) -> Self {
        Self { zone, next_unit: 1, torn: None, entries }
    }

    /// How large a zone must be for a first group of `unit_count` units of records, of which the table lists two.
    pub(crate) fn capacity_units_for(unit_count: u32) -> u32 {
        1 + unit_count + GROUP_UNITS + footer_units(2)
    }

    /// How many units of records a group can have here that adds `entries` entries to the table.
    pub(crate) fn room_units(&self, entries: usize, capacity_units: u32) -> u32 {
        let listed = self.entries.len() + entries;
        if listed > ENTRIES_MAX {
            return 0;
        }
        capacity_units.saturating_sub(self.next_unit + GROUP_UNITS + footer_units(listed))
    }
}
