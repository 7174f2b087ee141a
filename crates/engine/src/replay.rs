//! Replaying the logs of zones into the index.
//!
//! What lives is every block of a life that has not ended, save those that a tombstone names; so the order in which zones
//! are replayed does not matter. A tombstone can name a record in a zone that comes later, since several zones are open
//! at a time: it waits until then.

use std::collections::{BTreeMap, HashMap, HashSet};

use imbrex_format::{CommitZone, Footer, Key, Label, TableEntry, Trailer, ZoneScope, footer_units};
use imbrex_zoned::{Condition, DeviceError, ZoneKind};

use crate::blocking::Blocking;
use crate::index::Index;
use crate::location::{Location, UNIT_COUNT_MAX};
use crate::log::{OpenZone, OpenZones, Stream, Tail};
use crate::mount::finish_zone;
use crate::mutation::{Mutation, is};
use crate::request::ZoneRole;
use crate::restoring::Base;
use crate::scan::{ScanBounds, ScannedZone, scan_zone};
use crate::zone_table::ZoneTable;

mod ended;
mod vanished;
mod vouched;

/// One zone's log, as far as it is not known.
pub(crate) struct ZoneLog {
    pub(crate) zone: u32,
    pub(crate) first_sequence: u64,
    pub(crate) stream: Stream,
    /// Its footer's last unit, where it has one.
    pub(crate) trailer: Option<Trailer>,
    /// The first unit that is not known.
    pub(crate) begin: u32,
    /// No record that is not known has a lower sequence.
    pub(crate) floor_sequence: u64,
    /// What it lists before `begin`.
    pub(crate) listed: Vec<TableEntry>,
}

/// See the module.
pub(crate) struct Replay<'a, 'b> {
    io: &'a mut Blocking<'b>,
    label: &'a Label,
    pub(crate) index: Index,
    pub(crate) zones: ZoneTable,
    pub(crate) open: OpenZones,
    pub(crate) last_sequence: u64,
    pub(crate) last_group: u64,
    pub(crate) lost_records: u64,
    pub(crate) damaged: Vec<(Key, Location)>,
    /// Whether the log may go on where it was open.
    pub(crate) may_resume: bool,
    /// The number of the checkpoint that frees zones which were reset since the one by which the drive is mounted.
    pub(crate) freed_by: u64,
    /// Zones that are still to be replayed.
    later: HashSet<u32>,
    /// Places in such zones that a tombstone has named, and places where nothing stands any more. Of zones that were open at
    /// one time, so at most as many as the tables of all streams have entries.
    killed: HashSet<(u32, u32)>,
    /// Blocks for which the index has no place yet, by zone and unit: a drive can hold more dead records than its index
    /// has places, and what kills them may stand in a later zone.
    unplaced: HashMap<(u32, u32), (Key, Location)>,
    /// How far zones are good, as the last commits of other zones say, each with its group.
    named: Vec<(u64, CommitZone)>,
    /// How far each life is good, as any commit says that was read, by zone and incarnation.
    vouched: BTreeMap<(u32, u64), u32>,
    /// Records behind the last commits of zones that were replayed, with their sequences.
    uncommitted: BTreeMap<u32, Vec<(u64, TableEntry)>>,
    /// Zones in which the log may go on, once all tombstones are known.
    resumable: Vec<Resumable>,
}

/// A zone that was open and has room.
struct Resumable {
    stream: Stream,
    zone: OpenZone,
    good_units: u32,
}

impl<'a, 'b> Replay<'a, 'b> {
    pub(crate) fn new(
        io: &'a mut Blocking<'b>,
        label: &'a Label,
        index: Index,
        zones: ZoneTable,
        open: OpenZones,
        lost_records: u64,
    ) -> Self {
        Self {
            io,
            label,
            index,
            zones,
            open,
            last_sequence: 0,
            last_group: 0,
            lost_records,
            damaged: Vec::new(),
            may_resume: true,
            freed_by: 0,
            later: HashSet::new(),
            killed: HashSet::new(),
            unplaced: HashMap::new(),
            named: Vec::new(),
            vouched: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            resumable: Vec::new(),
        }
    }

    /// Replays the logs, oldest first: all of them, or those since the checkpoint `base`.
    pub(crate) fn run(&mut self, logs: Vec<ZoneLog>, base: Option<&Base>) -> Result<(), DeviceError> {
        self.later = logs.iter().map(|log| log.zone).collect();
        let newest = |stream: Stream| {
            let serving = |log: &&ZoneLog| self.open.serving(log.stream) == stream;
            logs.iter().rfind(serving).map(|log| log.zone)
        };
        let newest = Stream::ALL.map(newest);
        for log in logs {
            self.last_sequence = self.last_sequence.max(log.first_sequence);
            let table = match &log.trailer {
                Some(trailer) => self.read_table(log.zone, trailer)?,
                None => None,
            };
            let is_newest =
                self.may_resume && newest[self.open.serving(log.stream) as usize] == Some(log.zone);
            match table {
                Some(entries) => self.sealed(&log, &entries),
                None => self.scanned(log, is_newest)?,
            }
        }
        self.take_vouched()?;
        if let Some(base) = base {
            self.tell_vanished_lives(base);
            self.end_lives(base);
        }
        self.place_the_rest();
        self.check_vouched(base.is_some_and(|base| base.is_newest));
        self.go_on()
    }

    fn read_table(&mut self, zone: u32, trailer: &Trailer) -> Result<Option<Vec<TableEntry>>, DeviceError> {
        let capacity_units = self.zones.get(zone).capacity_units;
        let Some(unit_count) = capacity_units.checked_sub(trailer.table_first_unit) else { return Ok(None) };
        if unit_count > self.io.window_units() {
            return Ok(None);
        }
        match self.io.read(zone, trailer.table_first_unit, unit_count) {
            Ok(bytes) => Ok(Footer::decode_table(bytes, trailer, self.label).ok()),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(None),
        }
    }

    fn sealed(&mut self, log: &ZoneLog, entries: &[TableEntry]) {
        let entry = self.zones.get_mut(log.zone);
        entry.table_entries = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        entry.good_units = entry.capacity_units;
        entry.written_units = entry.capacity_units;
        if let Some(trailer) = &log.trailer {
            entry.closed_sequence = trailer.last_sequence;
            self.last_sequence = self.last_sequence.max(trailer.last_sequence);
            self.last_group = self.last_group.max(trailer.last_group);
        }
        self.apply_all(log.zone, log.begin, entries);
    }

    /// A zone without a good footer: one to which the log was being written, or one whose footer is damaged.
    fn scanned(&mut self, log: ZoneLog, is_newest: bool) -> Result<(), DeviceError> {
        let entry = self.zones.get(log.zone);
        let has_pointer = entry.kind == ZoneKind::SequentialWriteRequired
            && (!matches!(entry.condition, Condition::ReadOnly | Condition::Full)
                || (is(Mutation::TrustReadOnlyPointer) && entry.condition == Condition::ReadOnly));
        let end = if has_pointer { entry.written_units } else { entry.capacity_units };
        let scope = ZoneScope::new(self.label, log.zone, entry.incarnation);
        let bounds = ScanBounds { begin: log.begin, end, first_sequence: log.floor_sequence };
        let scanned = match entry.condition {
            Condition::Offline => ScannedZone::nothing_behind(log.begin),
            _ => scan_zone(self.io, &scope, bounds)?,
        };
        self.last_sequence = self.last_sequence.max(scanned.highest_sequence);
        self.last_group = self.last_group.max(scanned.last_group);
        self.damaged.extend_from_slice(&scanned.damaged);
        self.lost_records += scanned.unreadable_groups;
        let footer_first =
            entry.capacity_units.saturating_sub(footer_units(log.listed.len() + scanned.entries.len()));
        if scanned.has_unreadable_end(footer_first) {
            tracing::error!(zone = log.zone, "the end of what was written to a zone cannot be read");
            self.lost_records += 1;
        }
        let others = scanned.open.iter().filter(|named| named.zone != log.zone);
        self.named.extend(others.map(|named| (scanned.last_group, *named)));
        for (life, good_units) in scanned.vouched {
            let known = self.vouched.entry(life).or_default();
            *known = good_units.max(*known);
        }
        self.apply_all(log.zone, log.begin, &scanned.entries);
        if !scanned.uncommitted.is_empty() {
            self.uncommitted.insert(log.zone, scanned.uncommitted);
        }

        let entry = self.zones.get_mut(log.zone);
        entry.good_units = scanned.good_units;
        entry.closed_sequence = scanned.highest_sequence.max(log.first_sequence);
        if entry.kind == ZoneKind::Conventional {
            entry.written_units = scanned.good_units;
        }
        // A read-only zone has no pointer.
        entry.written_units = entry.written_units.max(entry.good_units);
        let tail = Tail { good_units: entry.good_units, written_units: entry.written_units };
        let writable = !matches!(entry.condition, Condition::ReadOnly | Condition::Full | Condition::Offline)
            && log.trailer.is_none();
        let listed = log.listed.len() + scanned.entries.len();
        if is_newest && writable && tail.has_room(listed, entry.capacity_units) {
            let stream = self.open.serving(log.stream);
            let mut table = self.open.table();
            table.extend(log.listed);
            table.extend(scanned.entries);
            let zone = OpenZone::resumed(log.zone, tail, table);
            self.resumable.push(Resumable { stream, zone, good_units: tail.good_units });
            return Ok(());
        }
        self.fence(log.zone)
    }

    /// Lets the log go on where it was open. Not in a zone in which a tombstone names a place behind its last commit: a group
    /// was abandoned there, and lost since, and the tombstone would kill whatever stood in its place in this life.
    fn go_on(&mut self) -> Result<(), DeviceError> {
        for Resumable { stream, zone, good_units } in std::mem::take(&mut self.resumable) {
            let is_behind = |(named, unit): &(u32, u32)| *named == zone.zone && *unit >= good_units;
            if self.killed.iter().any(is_behind) && !is(Mutation::ReuseAbandonedPlace) {
                let number = zone.zone;
                self.open.give_back(zone.entries);
                self.fence(number)?;
                continue;
            }
            let entry = self.zones.get_mut(zone.zone);
            entry.role = ZoneRole::Open;
            entry.closed_sequence = u64::MAX;
            self.open.put(stream, zone);
        }
        Ok(())
    }

    /// A zone that takes no more records, and that is to be emptied.
    fn fence(&mut self, zone: u32) -> Result<(), DeviceError> {
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Fenced;
        entry.evacuate = true;
        finish_zone(self.io, &mut self.zones, zone)
    }

    /// Commits say how far zones were good: a zone that was found to be good less far has lost its last groups.
    fn check_vouched(&mut self, by_newest: bool) {
        for ((zone, incarnation), good_units) in std::mem::take(&mut self.vouched) {
            let Some(entry) = self.zones.find(zone) else { continue };
            // A zone that has been reset since was open when an older commit was made, or was before a checkpoint that cannot
            // be read. The engine resets none that the newest of both calls open.
            let has_ended = matches!(entry.role, ZoneRole::Reset | ZoneRole::Free);
            if has_ended && !(by_newest && self.is_open_by_newest_commit(zone, incarnation)) {
                continue;
            }
            // One that is lost whole is in doubt, and told.
            let is_told = entry.role == ZoneRole::Lost && entry.is_unknown;
            if entry.incarnation == incarnation && entry.good_units < good_units && !is_told {
                tracing::error!(zone, "the last groups of a zone cannot be read");
                self.lost_records += 1;
            }
        }
    }

    fn apply_all(&mut self, zone: u32, begin: u32, entries: &[TableEntry]) {
        self.later.remove(&zone);
        for entry in entries {
            match entry {
                TableEntry::Block { key, unit_offset, unit_count, .. } if *unit_offset >= begin => {
                    let location = Location { zone, unit_offset: *unit_offset, unit_count: *unit_count };
                    self.apply_block(key, location);
                }
                TableEntry::Tombstone {
                    key,
                    unit_offset,
                    target_zone,
                    target_unit_offset,
                    target_incarnation,
                    ..
                } if *unit_offset >= begin => {
                    self.zones.get_mut(zone).tombstones += 1;
                    self.apply_tombstone(key, *target_zone, *target_unit_offset, *target_incarnation);
                }
                _ => {}
            }
        }
    }

    fn apply_block(&mut self, key: &Key, location: Location) {
        if location.unit_count == 0 || location.unit_count > UNIT_COUNT_MAX {
            self.lost_records += 1;
            return;
        }
        if self.killed.remove(&(location.zone, location.unit_offset)) {
            return;
        }
        if self.index.insert(self.index.hash(key), location).is_err() {
            self.unplaced.insert((location.zone, location.unit_offset), (*key, location));
        }
        self.zones.get_mut(location.zone).live_units += location.unit_count;
    }

    /// Gives the blocks that nothing has killed their places, once all that is dead is out of the index.
    fn place_the_rest(&mut self) {
        for (key, location) in std::mem::take(&mut self.unplaced).into_values() {
            if self.index.insert(self.index.hash(&key), location).is_err() {
                // The index took these blocks before the restart; only a table that was moved about differently can be
                // short of one place. The record stays on the drive and is counted.
                tracing::error!(%key, zone = location.zone, "the index has no place for a block that the drive holds");
                self.zones.get_mut(location.zone).live_units -= location.unit_count;
                self.lost_records += 1;
            }
        }
    }

    fn apply_tombstone(&mut self, key: &Key, zone: u32, unit_offset: u32, incarnation: u64) {
        if self.zones.find(zone).is_none_or(|entry| entry.incarnation != incarnation) {
            return;
        }
        let hash = self.index.hash(key);
        let mut candidates = self.index.candidates(hash);
        while let Some(location) = candidates.pop() {
            if location.zone == zone
                && location.unit_offset == unit_offset
                && self.index.remove(hash, location)
            {
                self.zones.get_mut(zone).live_units -= location.unit_count;
                return;
            }
        }
        if let Some((_, location)) = self.unplaced.remove(&(zone, unit_offset)) {
            self.zones.get_mut(zone).live_units -= location.unit_count;
            return;
        }
        let is_behind = |open: &Resumable| open.zone.zone == zone && unit_offset >= open.good_units;
        let is_to_come = self.later.contains(&zone) || self.uncommitted.contains_key(&zone);
        if is_to_come || self.resumable.iter().any(is_behind) {
            self.killed.insert((zone, unit_offset));
        }
    }
}
