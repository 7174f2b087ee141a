//! The write side: groups of records that become durable together.
//!
//! Puts and deletions gather while the group before them is on its way. A group is one run of records in one zone:
//! blocks, one record of tombstones, and a commit. Its parts are written one after another (one write in flight per
//! zone), then the drive flushes, and only then is anyone told. While one group is flushed, the next is written.
//!
//! Where the open zone has no room left, the next group first seals it, with padding and a footer, and opens another.
//! The last free zone is kept for deletions, so that a full drive can still be emptied.

use std::collections::VecDeque;

use imbrex_format::{
    Commit, CommitZone, Footer, Key, PayloadWriter, RecordHeader, RecordKind, TableEntry, TombstoneEntry,
    UNIT_BYTES, ZoneHeader, ZoneScope, footer_units, record_units, seal_record,
};
use imbrex_zoned::{Buffer, Device, DeviceError, Token, ZoneKind};

use crate::command::Reply;
use crate::location::Location;
use crate::log::{ENTRIES_MAX, OpenZone, TOMBSTONE_UNITS, ZERO_UNITS};
use crate::request::{EngineError, PutOutcome, State, ZoneRole};
use crate::reserve::Purpose;
use crate::store::{Store, TOKEN_BARRIER, TOKEN_FLUSH, TOKEN_WRITE};

/// How many units of blocks a group has at most, save where one block alone is larger: 32 MiB, an eighth of a second
/// of a fast disk's time.
const GROUP_UNITS_MAX: u32 = 8192;

/// How many free zones only a deletion may take.
const ZONES_FOR_DELETIONS: u32 = 1;

/// A put whose key is free, or whose stored copy is damaged.
pub(crate) struct PendingPut {
    pub(crate) key: Key,
    pub(crate) buffer: Buffer,
    pub(crate) payload_bytes: u32,
    /// The damaged record that it replaces.
    pub(crate) replaced: Option<Location>,
    pub(crate) reply: Reply<PutOutcome>,
}

/// A deletion whose record has been found.
pub(crate) struct PendingDelete {
    pub(crate) key: Key,
    pub(crate) location: Location,
    pub(crate) birth: u64,
    pub(crate) reply: Reply<()>,
}

/// One write of a group.
enum Write {
    /// Records, in buffers of the pool that goes free afterwards.
    Records { zone: u32, unit: u32, buffer: Buffer },
    /// A buffer of the reserve.
    Reserved { zone: u32, unit: u32, purpose: Purpose, buffer: Buffer },
    /// Zeros.
    Zeros { zone: u32, unit: u32, unit_count: u32 },
    /// A flush between two writes. What a drive keeps of a sequential zone over a power cut is a beginning of what was
    /// written; of a conventional zone it may keep any part. So there, what a commit or a footer vouches for is made
    /// durable before it.
    Barrier,
}

/// Somebody who waits for a group.
enum Member {
    Put {
        key: Key,
        location: Location,
        payload_bytes: u32,
        replaced: Option<Location>,
        reply: Reply<PutOutcome>,
    },
    Delete {
        key: Key,
        location: Location,
        reply: Reply<()>,
    },
}

/// Records that become durable together.
pub(crate) struct Group {
    zone: u32,
    /// How far the zone is good once the group is durable.
    end_unit: u32,
    writes: VecDeque<Write>,
    in_flight: Option<InFlight>,
    members: Vec<Member>,
    first_sequence: u64,
    record_count: u32,
}

/// What the device is doing for the group.
enum InFlight {
    Barrier,
    Write {
        /// Whose buffer it is, where it is one of the reserve.
        purpose: Option<Purpose>,
        zone: u32,
        /// How far the zone is written once it is done.
        end_unit: u32,
    },
}

impl Store {
    /// Begins what can be begun on the write side.
    pub(crate) fn pump_writes(&mut self, device: &mut dyn Device) {
        if self.fault.is_some() {
            return;
        }
        if self.writing.is_none() {
            self.drop_abandoned();
            self.writing = self.form_group();
            self.submit_write(device);
        }
        self.begin_flush(device);
    }

    /// Work whose client has gone is dropped before it reaches the disk.
    fn drop_abandoned(&mut self) {
        let (busy, released, cancelled) = (&mut self.busy, &mut self.key_released, &mut self.stats.cancelled);
        let mut keep = |key: &Key, abandoned: bool| {
            if abandoned {
                *released |= busy.remove(key);
                *cancelled += 1;
            }
            !abandoned
        };
        self.pending_puts.retain(|put| keep(&put.key, put.reply.is_abandoned()));
        self.pending_deletes.retain(|delete| keep(&delete.key, delete.reply.is_abandoned()));
    }

    /// Makes a group of what is pending; `None` where nothing is, or nothing has room.
    fn form_group(&mut self) -> Option<Group> {
        let mut writes = VecDeque::new();
        self.make_room(&mut writes);
        if self.pending_puts.is_empty() && self.pending_deletes.is_empty() {
            // A zone may have been opened for puts that were then refused: its header goes out with the next group.
            return None;
        }
        let open = self.open.as_ref()?;
        let mut group = Group {
            zone: open.zone,
            end_unit: open.next_unit,
            writes,
            in_flight: None,
            members: Vec::with_capacity(self.pending_puts.len() + self.pending_deletes.len()),
            first_sequence: self.next_sequence,
            record_count: 0,
        };
        self.void_torn_group(&mut group);
        let mut tombstones = Vec::new();
        self.take_puts(&mut group, &mut tombstones);
        self.take_deletes(&mut group, &mut tombstones);
        self.write_tombstones(&mut group, &tombstones);
        self.write_commit(&mut group);
        Some(group)
    }

    /// Sees to it that the open zone has room for what is pending first, and refuses what the drive has no room for.
    fn make_room(&mut self, writes: &mut VecDeque<Write>) {
        while let Some(put) = self.pending_puts.front() {
            let needed = record_units(put.payload_bytes as usize) + 1;
            let can_open = writes.is_empty() && self.zones.free_count() > ZONES_FOR_DELETIONS;
            if self.has_room(needed, 2) {
                return;
            }
            if can_open && self.fits_an_empty_zone(needed) && self.open_zone(writes) {
                continue;
            }
            if let Some(put) = self.pending_puts.pop_front() {
                self.release(&put.key);
                put.reply.send(Err(EngineError::Full));
            }
        }
        if self.pending_deletes.is_empty()
            || self.has_room(1, 1)
            || (writes.is_empty() && self.open_zone(writes))
        {
            return;
        }
        while let Some(delete) = self.pending_deletes.pop_front() {
            self.release(&delete.key);
            delete.reply.send(Err(EngineError::Full));
        }
    }

    fn has_room(&self, unit_count: u32, entries: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.room_units(entries, self.zones.get(open.zone).capacity_units) >= unit_count
        })
    }

    fn fits_an_empty_zone(&mut self, unit_count: u32) -> bool {
        let Some(zone) = self.zones.find_free() else { return false };
        OpenZone::fresh(zone, Vec::new()).room_units(2, self.zones.get(zone).capacity_units) >= unit_count
    }

    /// Seals the open zone and opens a free one; tells whether there was one.
    fn open_zone(&mut self, writes: &mut VecDeque<Write>) -> bool {
        let Some(zone) = self.zones.find_free() else { return false };
        let mut entries = Vec::new();
        if let Some(old) = self.open.take() {
            entries = self.seal(old, writes);
        }
        let first_sequence = self.take_sequence();
        let Some(mut buffer) = self.reserve.take(Purpose::ZoneHeader, 1) else { return false };
        self.zones.take(zone, first_sequence);
        let header = ZoneHeader {
            zone,
            stream: 0,
            incarnation: first_sequence,
            first_sequence,
            opened_at_unix_s: self.unix_s,
        };
        header.encode(&self.label, &mut buffer);
        writes.push_back(Write::Reserved { zone, unit: 0, purpose: Purpose::ZoneHeader, buffer });
        self.open = Some(OpenZone::fresh(zone, entries));
        true
    }

    /// Fills the zone up to its footer and writes the footer; gives back the table, emptied, for the next zone.
    fn seal(&mut self, old: OpenZone, writes: &mut VecDeque<Write>) -> Vec<TableEntry> {
        let zone = old.zone;
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Sealed;
        entry.table_entries = u32::try_from(old.entries.len()).unwrap_or(u32::MAX);
        let (capacity, first_sequence) = (entry.capacity_units, entry.first_sequence);
        let scope = ZoneScope::new(&self.label, zone, entry.incarnation);
        let footer_first = capacity - footer_units(old.entries.len());
        let padding = footer_first - old.next_unit;
        if padding > 0 {
            let sequence = self.take_sequence();
            if let Some(mut buffer) = self.reserve.take(Purpose::Padding, 1) {
                let header = record(RecordKind::Padding, old.next_unit, padding, 0, sequence);
                seal_record(&mut buffer, &header, &scope);
                writes.push_back(Write::Reserved {
                    zone,
                    unit: old.next_unit,
                    purpose: Purpose::Padding,
                    buffer,
                });
            }
        }
        let mut unit = old.next_unit + 1;
        while unit < footer_first {
            let unit_count = ZERO_UNITS.min(footer_first - unit);
            writes.push_back(Write::Zeros { zone, unit, unit_count });
            unit += unit_count;
        }
        self.barrier(zone, writes);
        if let Some(mut buffer) = self.reserve.take(Purpose::Footer, (capacity - footer_first) as usize) {
            let footer = Footer {
                first_sequence,
                last_sequence: self.next_sequence - 1,
                last_group: self.next_group - 1,
                entries: &old.entries,
            };
            footer.encode(&scope, capacity, &mut buffer);
            writes.push_back(Write::Reserved { zone, unit: footer_first, purpose: Purpose::Footer, buffer });
        }
        self.stats.zones_sealed += 1;
        let mut entries = old.entries;
        entries.clear();
        entries
    }

    fn barrier(&self, zone: u32, writes: &mut VecDeque<Write>) {
        if self.zones.get(zone).kind == ZoneKind::Conventional {
            writes.push_back(Write::Barrier);
        }
    }

    fn take_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    fn scope(&self, zone: u32) -> ZoneScope {
        ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation)
    }

    /// Declares what a crash left behind to be no one's, before anything is written after it.
    fn void_torn_group(&mut self, group: &mut Group) {
        let Some(torn) = self.open.as_mut().and_then(|open| open.torn.take()) else { return };
        let payload = torn.encode();
        if let Some(buffer) = self.reserve.take(Purpose::Void, 1) {
            self.write_reserved(group, RecordKind::Void, Purpose::Void, buffer, &[&payload]);
        }
    }

    /// Moves puts into the group while there is room for them.
    fn take_puts(&mut self, group: &mut Group, tombstones: &mut Vec<TombstoneEntry>) {
        let mut chosen = Vec::with_capacity(self.pending_puts.len());
        let (mut unit_count, mut entries) = (0, 0);
        while let Some(put) = self.pending_puts.front() {
            let units = record_units(put.payload_bytes as usize);
            let more_entries = 1 + usize::from(put.replaced.is_some());
            // One unit more is kept for the record of tombstones.
            let fits = self.has_room(unit_count + units + 1, entries + more_entries)
                && (unit_count == 0 || unit_count + units <= GROUP_UNITS_MAX)
                && tombstones.len() + more_entries <= TOMBSTONES_MAX;
            if !fits {
                break;
            }
            unit_count += units;
            entries += more_entries;
            chosen.extend(self.pending_puts.pop_front());
        }
        // In the order of their memory, so that neighbours go out as one write.
        chosen.sort_by_key(|put| put.buffer.offset_in_pool_bytes());
        for put in chosen {
            self.place_put(group, put, tombstones);
        }
    }

    fn place_put(&mut self, group: &mut Group, mut put: PendingPut, tombstones: &mut Vec<TombstoneEntry>) {
        let Some(open) = self.open.as_ref() else { return };
        let unit_count = record_units(put.payload_bytes as usize);
        let location = Location { zone: open.zone, unit_offset: open.next_unit, unit_count };
        let hash = self.index.hash(&put.key);
        // The place in the index is taken now: once the block is on the disk it is too late to find that there is none.
        if self.index.is_full(1) || self.index.insert(hash, location).is_err() {
            self.release(&put.key);
            return put.reply.send(Err(EngineError::IndexFull));
        }
        let sequence = self.take_sequence();
        let mut header =
            record(RecordKind::Block, location.unit_offset, unit_count, put.payload_bytes, sequence);
        header.key = put.key;
        seal_record(&mut put.buffer, &header, &self.scope(location.zone));
        if let Some(replaced) = put.replaced {
            tombstones.push(self.tombstone(put.key, replaced, 0));
        }
        let entry = TableEntry::Block {
            key: put.key,
            unit_offset: location.unit_offset,
            unit_count,
            payload_bytes: put.payload_bytes,
            sequence,
            birth: sequence,
        };
        self.append(group, unit_count, Some(entry));
        group.push_records(location, put.buffer);
        group.members.push(Member::Put {
            key: put.key,
            location,
            payload_bytes: put.payload_bytes,
            replaced: put.replaced,
            reply: put.reply,
        });
    }

    fn tombstone(&self, key: Key, location: Location, birth: u64) -> TombstoneEntry {
        let incarnation = self.zones.get(location.zone).incarnation;
        TombstoneEntry { key, zone: location.zone, unit_offset: location.unit_offset, incarnation, birth }
    }

    fn take_deletes(&mut self, group: &mut Group, tombstones: &mut Vec<TombstoneEntry>) {
        while tombstones.len() < TOMBSTONES_MAX {
            let units = record_units((tombstones.len() + 1) * TombstoneEntry::BYTES);
            if !self.has_room(units, tombstones.len() + 1) {
                return;
            }
            let Some(delete) = self.pending_deletes.pop_front() else { return };
            tombstones.push(self.tombstone(delete.key, delete.location, delete.birth));
            group.members.push(Member::Delete {
                key: delete.key,
                location: delete.location,
                reply: delete.reply,
            });
        }
    }

    fn write_tombstones(&mut self, group: &mut Group, tombstones: &[TombstoneEntry]) {
        if tombstones.is_empty() {
            return;
        }
        let units = record_units(tombstones.len() * TombstoneEntry::BYTES);
        let Some(buffer) = self.reserve.take(Purpose::Tombstones, units as usize) else { return };
        let payloads: Vec<[u8; TombstoneEntry::BYTES]> =
            tombstones.iter().map(TombstoneEntry::encode).collect();
        let parts: Vec<&[u8]> = payloads.iter().map(<[u8; TombstoneEntry::BYTES]>::as_slice).collect();
        let unit_offset =
            self.write_reserved(group, RecordKind::Tombstones, Purpose::Tombstones, buffer, &parts);
        let Some(open) = self.open.as_mut() else { return };
        open.entries.extend(tombstones.iter().map(|tombstone| TableEntry::Tombstone {
            key: tombstone.key,
            unit_offset,
            target_zone: tombstone.zone,
            target_unit_offset: tombstone.unit_offset,
            target_incarnation: tombstone.incarnation,
            birth: tombstone.birth,
        }));
    }

    fn write_commit(&mut self, group: &mut Group) {
        let Some(buffer) = self.reserve.take(Purpose::Commit, 1) else { return };
        let incarnation = self.zones.get(group.zone).incarnation;
        let commit = Commit {
            group: self.next_group,
            first_sequence: group.first_sequence,
            record_count: group.record_count,
            open: vec![CommitZone { zone: group.zone, good_units: group.end_unit + 1, incarnation }],
        };
        self.next_group += 1;
        let payload = commit.encode();
        self.barrier(group.zone, &mut group.writes);
        self.write_reserved(group, RecordKind::Commit, Purpose::Commit, buffer, &[&payload]);
    }

    /// Makes a record of `parts` in a buffer of the reserve, at the end of the group; gives its first unit.
    fn write_reserved(
        &mut self,
        group: &mut Group,
        kind: RecordKind,
        purpose: Purpose,
        mut buffer: Buffer,
        parts: &[&[u8]],
    ) -> u32 {
        let payload_bytes: usize = parts.iter().map(|part| part.len()).sum();
        let mut writer = PayloadWriter::new(payload_bytes);
        // The payload's length is the sum of its parts, so the writer can refuse none of them.
        let complete = parts.iter().all(|part| writer.write(&mut buffer, part).is_ok())
            && writer.finish(&mut buffer).is_ok();
        debug_assert!(complete);
        let unit = group.end_unit;
        let unit_count = record_units(payload_bytes);
        let sequence = self.take_sequence();
        let header =
            record(kind, unit, unit_count, u32::try_from(payload_bytes).unwrap_or(u32::MAX), sequence);
        seal_record(&mut buffer, &header, &self.scope(group.zone));
        group.writes.push_back(Write::Reserved { zone: group.zone, unit, purpose, buffer });
        self.append(group, unit_count, None);
        unit
    }

    fn append(&mut self, group: &mut Group, unit_count: u32, entry: Option<TableEntry>) {
        group.end_unit += unit_count;
        group.record_count += 1;
        if let Some(open) = self.open.as_mut() {
            open.next_unit = group.end_unit;
            open.entries.extend(entry);
        }
    }

    fn submit_write(&mut self, device: &mut dyn Device) {
        let Some(group) = self.writing.as_mut() else { return };
        if group.in_flight.is_some() {
            return;
        }
        let Some(write) = group.writes.pop_front() else { return };
        let (zone, unit, purpose, buffer) = match write {
            Write::Records { zone, unit, buffer } => (zone, unit, None, Some(buffer)),
            Write::Reserved { zone, unit, purpose, buffer } => (zone, unit, Some(purpose), Some(buffer)),
            Write::Zeros { zone, unit, unit_count } => {
                let purpose = Purpose::Zeros;
                (zone, unit, Some(purpose), self.reserve.take(purpose, unit_count as usize))
            }
            Write::Barrier => {
                group.in_flight = Some(InFlight::Barrier);
                return match device.submit_flush(Token(TOKEN_BARRIER)) {
                    Ok(()) => {}
                    Err(error) => self.write_failed(&error),
                };
            }
        };
        let Some(buffer) = buffer else {
            return self
                .write_failed(&DeviceError::Unknown { what: "a buffer that did not come back".into() });
        };
        let unit_count = u32::try_from(buffer.len() / UNIT_BYTES).unwrap_or(u32::MAX);
        group.in_flight = Some(InFlight::Write { purpose, zone, end_unit: unit + unit_count });
        let offset_bytes = device.geometry().zone_start_bytes(zone) + u64::from(unit) * UNIT_BYTES as u64;
        self.stats.device_writes += 1;
        self.stats.device_written_bytes += buffer.len() as u64;
        if let Err((error, _)) = device.submit_write(Token(TOKEN_WRITE), offset_bytes, buffer) {
            self.write_failed(&error);
        }
    }

    /// Takes the end of a write, or of a barrier.
    pub(crate) fn write_done(
        &mut self,
        device: &mut dyn Device,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        let Some(in_flight) = self.writing.as_mut().and_then(|group| group.in_flight.take()) else { return };
        if let (InFlight::Write { purpose: Some(purpose), .. }, Some(buffer)) = (&in_flight, buffer) {
            self.reserve.give_back(*purpose, buffer);
        }
        if let Err(error) = result {
            let errors = match in_flight {
                InFlight::Barrier => &mut self.stats.flush_errors,
                InFlight::Write { .. } => &mut self.stats.write_errors,
            };
            *errors += 1;
            return self.write_failed(&error);
        }
        match in_flight {
            InFlight::Barrier => self.stats.flushes += 1,
            InFlight::Write { zone, end_unit, .. } => self.zones.written(zone, end_unit),
        }
        self.submit_write(device);
        self.begin_flush(device);
    }

    /// Flushes the group that has been written, once the one before it is through.
    fn begin_flush(&mut self, device: &mut dyn Device) {
        let written =
            self.writing.as_ref().is_some_and(|group| group.writes.is_empty() && group.in_flight.is_none());
        if !written || self.flushing.is_some() || self.fault.is_some() {
            return;
        }
        self.flushing = self.writing.take();
        if let Err(error) = device.submit_flush(Token(TOKEN_FLUSH)) {
            return self.write_failed(&error);
        }
        self.pump_writes(device);
    }

    /// Takes the end of a flush: the group is durable, and everyone who waited for it is told.
    pub(crate) fn flush_done(&mut self, device: &mut dyn Device, result: Result<(), DeviceError>) {
        let Some(group) = self.flushing.take() else { return };
        if let Err(error) = result {
            self.stats.flush_errors += 1;
            self.flushing = Some(group);
            return self.write_failed(&error);
        }
        self.stats.flushes += 1;
        self.stats.groups += 1;
        self.zones.get_mut(group.zone).good_units = group.end_unit;
        for member in group.members {
            self.committed(member);
        }
        self.pump_writes(device);
    }

    fn committed(&mut self, member: Member) {
        match member {
            Member::Put { key, location, payload_bytes, replaced, reply } => {
                self.zones.get_mut(location.zone).live_units += location.unit_count;
                self.live_units += u64::from(location.unit_count);
                if let Some(replaced) = replaced {
                    self.kill(&key, replaced);
                }
                self.stats.puts += 1;
                self.stats.payload_written_bytes += u64::from(payload_bytes);
                self.release(&key);
                reply.send(Ok(PutOutcome::Stored));
            }
            Member::Delete { key, location, reply } => {
                self.kill(&key, location);
                self.stats.deletes += 1;
                self.release(&key);
                reply.send(Ok(()));
            }
        }
    }

    /// Takes a record out of the index: its tombstone is durable.
    fn kill(&mut self, key: &Key, location: Location) {
        if self.index.remove(self.index.hash(key), location) {
            self.zones.get_mut(location.zone).live_units -= location.unit_count;
            self.live_units -= u64::from(location.unit_count);
            self.dead_units += u64::from(location.unit_count);
        }
        self.damage.forget(location);
    }

    /// Answers everyone who waits for a write that will not come.
    pub(crate) fn abandon_writes(&mut self) {
        let state = self.fault.clone().unwrap_or(State::ReadOnly { reason: "a write failed".into() });
        let error = EngineError::Unavailable { state };
        let groups = [self.flushing.take(), self.writing.take()];
        for member in groups.into_iter().flatten().flat_map(|group| group.members) {
            match member {
                Member::Put { key, location, reply, .. } => {
                    self.index.remove(self.index.hash(&key), location);
                    reply.send(Err(error.clone()));
                }
                Member::Delete { reply, .. } => reply.send(Err(error.clone())),
            }
        }
        self.pending_puts.drain(..).for_each(|put| put.reply.send(Err(error.clone())));
        self.pending_deletes.drain(..).for_each(|delete| delete.reply.send(Err(error.clone())));
        self.busy.clear();
        self.key_released = true;
    }
}

/// How many tombstones one group has at most: what fits into a record of [`TOMBSTONE_UNITS`], less its header.
const TOMBSTONES_MAX: usize = (TOMBSTONE_UNITS * UNIT_BYTES - 192) / TombstoneEntry::BYTES;

const _: () = assert!(TOMBSTONES_MAX < ENTRIES_MAX);

fn record(
    kind: RecordKind,
    unit_offset: u32,
    unit_count: u32,
    payload_bytes: u32,
    sequence: u64,
) -> RecordHeader {
    RecordHeader {
        kind,
        payload_bytes,
        unit_offset,
        unit_count,
        sequence,
        birth: sequence,
        key: Key([0; 32]),
    }
}

impl Group {
    /// Adds a block's record, to the write before it where their memory is adjacent.
    fn push_records(&mut self, location: Location, buffer: Buffer) {
        let buffer = match self.writes.back_mut() {
            Some(Write::Records { buffer: last, .. }) => match last.absorb(buffer) {
                Ok(()) => return,
                Err(buffer) => buffer,
            },
            _ => buffer,
        };
        self.writes.push_back(Write::Records { zone: location.zone, unit: location.unit_offset, buffer });
    }
}
