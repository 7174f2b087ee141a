//! The ends of the log: the zones that are being written, one for each stream.
//!
//! Blocks that will die together stand together: what clients store, what they say will not live long, and what
//! reclaim has moved (and so has lived long already) go to zones of their own.
//!
//! Invariants: a zone of the log always keeps room for a commit and for the footer that lists all of its records, so that
//! it can be sealed at any moment. A footer ends exactly at the zone's capacity; padding fills what lies before it.

use imbrex_format::{COMMIT_ENTRIES_MAX, TableEntry, VoidRange, commit_units, footer_units};
use imbrex_zoned::Geometry;

use crate::budget::empty_table;
use crate::request::Lifetime;

/// The most records and tombstones that one zone lists: their footer has 1,024 units.
pub(crate) const ENTRIES_MAX: usize = 65_534;

/// The length of the largest tombstones record that this engine writes, in units.
pub(crate) const TOMBSTONE_UNITS: usize = 4;

/// How many units of zeros one write of padding has at most.
pub(crate) const ZERO_UNITS: u32 = 64;

/// The void record that a group may begin with, in units.
const VOID_UNITS: u32 = 1;

/// How far the sequence jumps at every mount: beyond any number that a group which was torn by a crash can have used,
/// so that none is used twice. At 2^20 a mount, 2^64 last for 2^44 mounts.
pub(crate) const SEQUENCE_JUMP: u64 = 1 << 20;

/// How many streams there are at most.
pub(crate) const STREAMS: usize = 3;

/// Which zone a record goes to, by how long it is expected to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// What clients store, and their deletions.
    Hot = 0,
    /// What clients say will not live long.
    Short = 1,
    /// What has lived long, or is said to.
    Cold = 2,
}

impl Stream {
    pub(crate) const ALL: [Self; STREAMS] = [Self::Hot, Self::Short, Self::Cold];

    /// The stream of a new block.
    pub(crate) fn of(lifetime: Lifetime) -> Self {
        match lifetime {
            Lifetime::Unknown => Self::Hot,
            Lifetime::Short => Self::Short,
            Lifetime::Long => Self::Cold,
        }
    }

    /// The stream that a zone header names; an unknown one is as good as hot.
    pub(crate) fn from_header(stream: u16) -> Self {
        Self::ALL.into_iter().find(|known| *known as u16 == stream).unwrap_or(Self::Hot)
    }
}

/// How many streams a drive can hold open: its limit, less the zone that a checkpoint is written to.
pub(crate) fn streams_max(geometry: &Geometry) -> usize {
    let limit = |max: Option<u32>| max.map_or(usize::MAX, |max| max as usize);
    let limit = limit(geometry.zone_open_max).min(limit(geometry.zone_active_max));
    limit.saturating_sub(1).clamp(1, STREAMS)
}

/// How far a zone was found to be committed, and written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) good_units: u32,
    pub(crate) written_units: u32,
}

impl Tail {
    /// Whether another group, with one small record at least, fits into a zone that lists `entries` records.
    pub(crate) fn has_room(self, entries: usize, capacity_units: u32) -> bool {
        let group_units = VOID_UNITS + 1 + commit_units(1);
        entries + 1 < ENTRIES_MAX
            && self.written_units + group_units + footer_units(entries + 1) <= capacity_units
    }
}

/// A zone to which the log is being written.
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

    /// How large a zone must be for a first group of `unit_count` units of records that the table lists as `entries`.
    pub(crate) fn capacity_units_for(unit_count: u32, entries: usize) -> u32 {
        1 + VOID_UNITS + unit_count + commit_units(entries) + footer_units(entries)
    }

    /// How many units of records a group can have here that adds `entries` entries to the table.
    pub(crate) fn room_units(&self, entries: usize, capacity_units: u32) -> u32 {
        let listed = self.entries.len() + entries;
        if listed > ENTRIES_MAX || entries > COMMIT_ENTRIES_MAX {
            return 0;
        }
        capacity_units
            .saturating_sub(self.next_unit + VOID_UNITS + commit_units(entries) + footer_units(listed))
    }
}

/// The open zones of all streams.
pub(crate) struct OpenZones {
    zones: [Option<OpenZone>; STREAMS],
    /// Tables of zones that were sealed, emptied: memory for those of the next ones.
    tables: Vec<Vec<TableEntry>>,
    streams_max: usize,
}

impl OpenZones {
    /// No zone is open; tables for `streams_max` of them, each of which can list `entries_max` records.
    pub(crate) fn new(streams_max: usize, entries_max: usize) -> Self {
        let tables = (0..streams_max).map(|_| empty_table(entries_max)).collect();
        Self { zones: Default::default(), tables, streams_max }
    }

    /// The stream that serves `stream` on a drive that holds fewer zones open.
    pub(crate) fn serving(&self, stream: Stream) -> Stream {
        match (stream, self.streams_max) {
            (_, 0 | 1) | (Stream::Short, 2) => Stream::Hot,
            (stream, _) => stream,
        }
    }

    /// The drive holds fewer zones open than it said: streams are put together.
    pub(crate) fn hold_fewer(&mut self) {
        self.streams_max = self.streams_max.saturating_sub(1).max(1);
    }

    pub(crate) fn get(&self, stream: Stream) -> Option<&OpenZone> {
        self.zones[stream as usize].as_ref()
    }

    pub(crate) fn get_mut(&mut self, stream: Stream) -> Option<&mut OpenZone> {
        self.zones[stream as usize].as_mut()
    }

    /// The open zone with this number.
    pub(crate) fn of_zone(&self, zone: u32) -> Option<&OpenZone> {
        self.iter().map(|(_, open)| open).find(|open| open.zone == zone)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Stream, &OpenZone)> {
        Stream::ALL.into_iter().filter_map(|stream| self.get(stream).map(|open| (stream, open)))
    }

    /// Takes the open zone of a stream away.
    pub(crate) fn take(&mut self, stream: Stream) -> Option<OpenZone> {
        self.zones[stream as usize].take()
    }

    pub(crate) fn put(&mut self, stream: Stream, open: OpenZone) {
        self.zones[stream as usize] = Some(open);
    }

    /// An empty table for a zone that is being opened.
    pub(crate) fn table(&mut self) -> Vec<TableEntry> {
        self.tables.pop().unwrap_or_default()
    }

    /// Takes a table back.
    pub(crate) fn give_back(&mut self, mut table: Vec<TableEntry>) {
        table.clear();
        self.tables.push(table);
    }

    /// Closes the zone with this number, if it is open.
    pub(crate) fn close(&mut self, zone: u32) {
        for stream in Stream::ALL {
            if self.get(stream).is_some_and(|open| open.zone == zone)
                && let Some(open) = self.take(stream)
            {
                self.give_back(open.entries);
            }
        }
    }

    /// The memory of the tables, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let open = self.iter().map(|(_, open)| open.entries.capacity());
        let entries: usize = open.chain(self.tables.iter().map(Vec::capacity)).sum();
        (entries * size_of::<TableEntry>()) as u64
    }
}
