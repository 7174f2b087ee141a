//! Moving records out of a zone: in runs to reclaim's own memory, and from that very memory to the log.
//!
//! Invariants:
//!
//! * Only what has passed its checks is moved. A record that has not stays where it is, and is listed as damaged.
//! * A record that is being moved keeps its key busy until the copy is durable, or will not be written.

use imbrex_format::{Key, TableEntry, UNIT_BYTES, ZoneScope, check_payload, decode_record_header};
use imbrex_zoned::{Buffer, DeviceError};

use crate::index::Index;
use crate::location::Location;
use crate::log::Stream;
use crate::mutation::{Mutation, is};
use crate::pending::{Kill, PendingDelete, PendingPut, PutOrigin};
use crate::request::DamageKind;
use crate::store::Store;
use crate::zone_table::ZoneTable;

/// How many tombstones wait to be carried on at once.
const CARRIED_MAX: u32 = 128;

impl Store {
    /// The next run of records that live and lie side by side, no longer than `longest_units`, and the entry behind it;
    /// `Some((None, _))` where memory has to come back first, `None` at the end of the table.
    pub(crate) fn next_run(&mut self, longest_units: u32) -> Option<(Option<Location>, usize)> {
        let victim = self.reclaim.victim.as_mut()?;
        let mut run: Option<Location> = None;
        let mut at = victim.next;
        while let Some(entry) = self.reclaim.inventory.entries().get(at) {
            let live = live_block(entry, victim.zone, &self.index, &self.zones);
            let Some((key, location)) = live else {
                at += 1;
                continue;
            };
            if self.busy.contains(&key) {
                victim.passed_over += u32::from(run.is_none());
                if run.is_some() {
                    break;
                }
                at += 1;
                continue;
            }
            match run.as_mut() {
                None if location.unit_count > longest_units => return Some((None, at)),
                None => run = Some(location),
                Some(run)
                    if run.unit_offset + run.unit_count == location.unit_offset
                        && run.unit_count + location.unit_count <= longest_units
                        && !victim.one_by_one =>
                {
                    run.unit_count += location.unit_count;
                }
                Some(_) => break,
            }
            at += 1;
        }
        run.map(|run| (Some(run), at))
    }

    /// Sends the records of a run, which has been read well, to the log.
    pub(crate) fn move_records(&mut self, run: Location, mut rest: Buffer) {
        let zone = run.zone;
        let scope = ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation);
        let end = run.unit_offset + run.unit_count;
        let mut unit = run.unit_offset;
        while unit < end {
            let Some((key, location)) = self.entry_at(zone, unit) else { break };
            let bytes = location.unit_count as usize * UNIT_BYTES;
            let tail = (rest.len() > bytes).then(|| rest.split_off(bytes));
            self.move_record(&scope, key, location, rest);
            unit += location.unit_count;
            match tail {
                Some(tail) => rest = tail,
                None => return,
            }
        }
        self.reclaim.arena.give_back(rest);
    }

    /// The block that begins at `unit`. A table is in the order of the log, and so of the units.
    fn entry_at(&self, zone: u32, unit: u32) -> Option<(Key, Location)> {
        let entries = self.reclaim.inventory.entries();
        let unit_of = |entry: &TableEntry| match entry {
            TableEntry::Block { unit_offset, .. } | TableEntry::Tombstone { unit_offset, .. } => *unit_offset,
        };
        match entries.get(entries.partition_point(|entry| unit_of(entry) < unit)) {
            Some(TableEntry::Block { key, unit_offset, unit_count, .. }) if *unit_offset == unit => {
                Some((*key, Location { zone, unit_offset: unit, unit_count: *unit_count }))
            }
            _ => None,
        }
    }

    fn move_record(&mut self, scope: &ZoneScope, key: Key, location: Location, buffer: Buffer) {
        let lives = self.index.contains(self.index.hash(&key), location);
        if !lives || self.busy.contains(&key) {
            if let Some(victim) = self.reclaim.victim.as_mut() {
                victim.passed_over += u32::from(lives);
            }
            return self.reclaim.arena.give_back(buffer);
        }
        let sound = decode_record_header(&buffer, scope, location.unit_offset).ok().filter(|header| {
            let whole = 0..header.payload_bytes as usize;
            header.key == key && check_payload(&buffer, header, whole).is_ok()
        });
        let Some(header) = sound else {
            self.stats.checksum_failures += 1;
            self.record_damaged(key, location, DamageKind::Checksum);
            return self.reclaim.arena.give_back(buffer);
        };
        self.busy.insert(key);
        if let Some(victim) = self.reclaim.victim.as_mut() {
            victim.moving += 1;
            victim.waits_since_us = None;
        }
        let incarnation = self.zones.get(location.zone).incarnation;
        self.pending.push_put(PendingPut {
            key,
            buffer,
            payload_bytes: header.payload_bytes,
            birth: Some(header.birth),
            kills: if is(Mutation::ForgetMovedCopy) {
                Vec::new()
            } else {
                vec![Kill { location, incarnation, birth: header.birth }]
            },
            stream: self.open.serving(Stream::Cold),
            origin: PutOrigin::Moved,
        });
    }

    /// A run that cannot be read is read again record by record; a record that cannot be is lost.
    pub(crate) fn run_unreadable(&mut self, run: Location, error: Option<&DeviceError>) {
        self.stats.read_errors += u64::from(error.is_none_or(DeviceError::blames_drive));
        if let Some(DeviceError::ZoneCondition { zone, condition }) = error {
            self.zone_changed(*zone, *condition);
        }
        let single = self.entry_at(run.zone, run.unit_offset).filter(|(_, location)| *location == run);
        if let Some((key, location)) = single {
            self.record_damaged(key, location, DamageKind::Medium);
            return;
        }
        if let Some(victim) = self.reclaim.victim.as_mut() {
            victim.one_by_one = true;
            victim.next = 0;
        }
    }

    /// Carries on the tombstones that are still needed, some at a time.
    pub(crate) fn carry_tombstones(&mut self) {
        let Some(victim) = self.reclaim.victim.as_mut() else { return };
        if victim.carrying > 0 {
            return;
        }
        let stream = self.open.serving(Stream::Cold);
        let entries = self.reclaim.inventory.entries();
        if is(Mutation::DropTombstones) {
            victim.next_tombstone = entries.len();
        }
        while victim.carrying < CARRIED_MAX {
            let Some(entry) = entries.get(victim.next_tombstone) else { return };
            victim.next_tombstone += 1;
            let Some((key, kill)) = tombstone_of(entry) else { continue };
            if kill.location.zone != victim.zone && self.zones.has_life(kill.location.zone, kill.incarnation)
            {
                victim.carrying += 1;
                let delete = PendingDelete { key, kill, reply: None, is_owed: false, deadline_us: u64::MAX };
                self.pending.push_delete(stream, delete);
            }
        }
    }
}

/// The block that an entry lists, where it lives.
fn live_block(entry: &TableEntry, zone: u32, index: &Index, zones: &ZoneTable) -> Option<(Key, Location)> {
    let TableEntry::Block { key, unit_offset, unit_count, .. } = entry else { return None };
    let location = Location { zone, unit_offset: *unit_offset, unit_count: *unit_count };
    let lives = zones.is_acknowledged(location) && index.contains(index.hash(key), location);
    lives.then_some((*key, location))
}

fn tombstone_of(entry: &TableEntry) -> Option<(Key, Kill)> {
    let TableEntry::Tombstone { key, target_zone, target_unit_offset, target_incarnation, birth, .. } = entry
    else {
        return None;
    };
    let location = Location { zone: *target_zone, unit_offset: *target_unit_offset, unit_count: 0 };
    Some((*key, Kill { location, incarnation: *target_incarnation, birth: *birth }))
}
