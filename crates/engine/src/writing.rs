//! Forming a group: from puts and deletions that wait to records in their places.
//!
//! Puts and deletions gather while the group before them is on its way. A group is one run of records in one zone of one
//! stream: blocks, one record of tombstones, and a commit that lists them all. Its parts are written one after another
//! (one write in flight per zone), then the drive flushes, and only then is anyone told ([`crate::committing`]). While
//! one group is flushed, the next is written.

use std::collections::VecDeque;

use imbrex_format::{
    COMMIT_ENTRIES_MAX, Commit, CommitZone, Key, PayloadWriter, RecordHeader, RecordKind, TableEntry,
    TombstoneEntry, UNIT_BYTES, ZoneScope, commit_units, record_units, seal_record,
};
use imbrex_zoned::{Buffer, Device, DeviceError};

use crate::group::{Group, Member, Write};
use crate::location::Location;
use crate::log::{ENTRIES_MAX, Stream, TOMBSTONE_UNITS};
use crate::mutation::{Mutation, is};
use crate::pending::{PendingPut, PutOrigin};
use crate::request::EngineError;
use crate::reserve::Purpose;
use crate::store::Store;

/// How many units of blocks a group has at most, save where one block alone is larger: 128 MiB, half a second of a fast
/// disk's time. A flush of a SATA disk costs about one missed turn of the platter (crates/zoned/SEEK_MODEL.md): at 32 MiB
/// a group that is 7 % of the disk's bandwidth, at 128 MiB 2 %. How much gathers is bounded by the memory for uploads.
const GROUP_UNITS_MAX: u32 = 32_768;

/// How long writes that wait do so before it is looked whether they still need to, and whether there is room for them now,
/// in microseconds.
pub(crate) const WRITERS_LOOK_US: u64 = 20_000;

impl Store {
    /// Begins what can be begun on the write side.
    pub(crate) fn pump_writes(&mut self, device: &mut dyn Device) {
        if self.fault.is_some() {
            // What was being read for a write when writing ended comes here late, and waits for nothing.
            if !self.pending.is_empty() {
                self.abandon_writes();
            }
            return;
        }
        let may_form = self.writing.is_none() && !self.checkpoint_holds_groups();
        if may_form || self.now_us >= self.dropped_at_us.saturating_add(WRITERS_LOOK_US) {
            self.drop_abandoned();
        }
        if may_form {
            self.lend_room();
            self.writing = self.form_group();
            if self.reserve.has_failed() {
                let what = "less memory than the log needs".into();
                return self.stop_writing(&DeviceError::Unknown { what });
            }
            self.submit_write(device);
        }
        self.begin_flush(device);
    }

    /// Work whose client has gone, or that has waited too long, is dropped before it reaches the disk. That is looked at
    /// also while a write or a flush does not end.
    fn drop_abandoned(&mut self) {
        let now_us = self.now_us;
        self.dropped_at_us = now_us;
        let gone = self.pending.extract_puts(|put| put.may_be_dropped() && put.origin.is_abandoned());
        let gone_deletes =
            self.pending.extract_deletes(|delete| delete.may_be_dropped() && delete.is_abandoned());
        let late_deletes =
            self.pending.extract_deletes(|delete| delete.may_be_dropped() && delete.deadline_us < now_us);
        let late = self.pending.extract_puts(|put| {
            put.may_be_dropped()
                && matches!(put.origin, PutOrigin::Client { deadline_us, .. } if deadline_us < now_us)
        });
        self.stats.cancelled += (gone.len() + gone_deletes.len()) as u64;
        gone.iter().for_each(|put| self.release(&put.key));
        gone_deletes.iter().for_each(|delete| self.release(&delete.key));
        for delete in late_deletes {
            self.stats.refused_overloaded += 1;
            self.release(&delete.key);
            let error = EngineError::Overloaded { what: "the drive could not write it in time" };
            delete.reply.into_iter().for_each(|reply| reply.send(Err(error.clone())));
        }
        for put in late {
            self.stats.refused_overloaded += 1;
            self.refuse_put(put, EngineError::Overloaded { what: "the drive could not write it in time" });
        }
    }

    /// Makes a group of what is pending in the stream whose turn it is. Where nothing is, or nothing has room, one that
    /// closes a zone for reclaim, if that is worth it.
    fn form_group(&mut self) -> Option<Group> {
        for _ in 0..Stream::ALL.len() {
            self.stream_turn = (self.stream_turn + 1) % Stream::ALL.len();
            let stream = Stream::ALL[self.stream_turn];
            if let Some(group) = self.form_group_of(stream) {
                return Some(group);
            }
        }
        let stream = self.stream_to_close()?;
        self.form_closing_group(stream)
    }

    fn form_group_of(&mut self, stream: Stream) -> Option<Group> {
        let mut writes = VecDeque::new();
        let before = self.open.get(stream).map(|open| open.zone);
        if !self.make_room(stream, &mut writes) {
            // A zone is opened only for something that it has room for, so no header is forgotten here.
            debug_assert!(writes.is_empty());
            return None;
        }
        let open = self.open.get(stream)?;
        let (zone, end_unit) = (open.zone, open.next_unit);
        let incarnation = self.zones.get(zone).incarnation;
        let mut group = Group::new(stream, zone, incarnation, end_unit, self.next_sequence, writes);
        group.sealed_zone = before.filter(|before| *before != zone);
        self.void_torn_group(&mut group);
        let mut tombstones = Vec::new();
        self.take_puts(&mut group, &mut tombstones);
        self.take_deletes(&mut group, &mut tombstones);
        self.write_tombstones(&mut group, &tombstones);
        self.write_commit(&mut group);
        Some(group)
    }

    pub(crate) fn take_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    pub(crate) fn scope(&self, zone: u32) -> ZoneScope {
        ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation)
    }

    /// Declares what a crash left behind to be no one's, before anything is written after it.
    fn void_torn_group(&mut self, group: &mut Group) {
        let Some(torn) = self.open.get_mut(group.stream).and_then(|open| open.torn.take()) else { return };
        let payload = torn.encode();
        if let Some(buffer) = self.reserve.take(Purpose::Void, 1) {
            self.write_reserved(group, RecordKind::Void, Purpose::Void, buffer, &[&payload]);
        }
    }

    /// Moves puts into the group while there is room for them.
    fn take_puts(&mut self, group: &mut Group, tombstones: &mut Vec<TombstoneEntry>) {
        let mut chosen = Vec::new();
        let (mut unit_count, mut entries, mut kills) = (0, 0, 0);
        while let Some(put) = self.pending.first_put(group.stream).filter(|put| self.may_write(put)) {
            let (units, more_entries, more_kills) = (put.units(), put.entries(), put.kills.len());
            let kill_units = record_units((kills + more_kills).max(1) * TombstoneEntry::BYTES);
            let fits = self.fits(put, unit_count + units + kill_units, entries + more_entries)
                && (unit_count == 0 || unit_count + units <= GROUP_UNITS_MAX)
                && kills + more_kills <= TOMBSTONES_MAX;
            if !fits {
                break;
            }
            unit_count += units;
            entries += more_entries;
            kills += more_kills;
            chosen.extend(self.pending.take_put(group.stream));
        }
        // In the order of their memory, so that neighbours go out as one write.
        chosen.sort_by_key(|put| put.buffer.offset_in_pool_bytes());
        for put in chosen {
            self.place_put(group, put, tombstones);
        }
    }

    fn place_put(&mut self, group: &mut Group, mut put: PendingPut, tombstones: &mut Vec<TombstoneEntry>) {
        let location = Location { zone: group.zone, unit_offset: group.end_unit, unit_count: put.units() };
        let hash = self.index.hash(&put.key);
        // The place in the index is taken now: once the block is on the disk it is too late to find that there is none.
        let is_new = put.kills.is_empty();
        if (is_new && self.index.is_full(1)) || self.index.insert(hash, location).is_err() {
            return self.refuse_put(put, EngineError::IndexFull);
        }
        let sequence = self.take_sequence();
        let birth = put.birth.unwrap_or(sequence);
        let (unit_offset, unit_count, payload_bytes) =
            (location.unit_offset, location.unit_count, put.payload_bytes);
        let header = RecordHeader {
            birth,
            key: put.key,
            ..record(RecordKind::Block, unit_offset, unit_count, payload_bytes, sequence)
        };
        seal_record(&mut put.buffer, &header, &self.scope(location.zone));
        tombstones.extend(put.kills.iter().map(|kill| kill.tombstone(put.key)));
        let key = put.key;
        let entry = TableEntry::Block { key, unit_offset, unit_count, payload_bytes, sequence, birth };
        self.append(group, unit_count, Some(entry));
        group.push_records(location, put.buffer);
        let (kills, origin) = (put.kills, put.origin);
        group.members.push(Member::Put { key, location, payload_bytes, birth, kills, origin });
    }

    fn take_deletes(&mut self, group: &mut Group, tombstones: &mut Vec<TombstoneEntry>) {
        while tombstones.len() < TOMBSTONES_MAX && group.entries.len() + tombstones.len() < COMMIT_ENTRIES_MAX
        {
            let units = record_units((tombstones.len() + 1) * TombstoneEntry::BYTES);
            if !self.has_room(group.stream, units, group.entries.len() + tombstones.len() + 1) {
                return;
            }
            let Some(delete) = self.pending.take_delete(group.stream) else { return };
            if delete.reply.is_none()
                && !self.zones.has_life(delete.kill.location.zone, delete.kill.incarnation)
            {
                // What it kills has gone while it waited.
                self.carried(1);
                continue;
            }
            tombstones.push(delete.kill.tombstone(delete.key));
            group.members.push(Member::Delete(delete));
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
        group.entries.extend(tombstones.iter().map(|tombstone| TableEntry::Tombstone {
            key: tombstone.key,
            unit_offset,
            target_zone: tombstone.zone,
            target_unit_offset: tombstone.unit_offset,
            target_incarnation: tombstone.incarnation,
            birth: tombstone.birth,
        }));
        self.zones.get_mut(group.zone).tombstones += u32::try_from(tombstones.len()).unwrap_or(u32::MAX);
    }

    fn write_commit(&mut self, group: &mut Group) {
        let units = commit_units(group.entries.len());
        let Some(buffer) = self.reserve.take(Purpose::Commit, units as usize) else { return };
        let commit = Commit {
            group: self.next_group,
            first_sequence: group.first_sequence,
            record_count: group.record_count,
            open: self.open_zones_of_commit(group, units),
            entries: std::mem::take(&mut group.entries),
        };
        self.next_group += 1;
        let mut payload = std::mem::take(&mut self.commit_payload);
        payload.clear();
        commit.encode(&mut payload);
        let has_barrier = self.barrier(group.zone, &mut group.writes);
        if !has_barrier && group.replaces_a_copy() && !is(Mutation::SkipMoveBarrier) {
            group.writes.push_back(Write::Barrier { zone: group.zone });
        }
        self.write_reserved(group, RecordKind::Commit, Purpose::Commit, buffer, &[&payload]);
        self.commit_payload = payload;
        if let Some(open) = self.open.get_mut(group.stream) {
            open.entries.extend_from_slice(&commit.entries);
        }
        group.entries = commit.entries;
    }

    /// How far each open zone is good once this group is durable: its own to its end, the others as they are.
    fn open_zones_of_commit(&self, group: &Group, commit_units: u32) -> Vec<CommitZone> {
        let own = |zone| zone == group.zone;
        let good = |zone: u32| {
            if own(zone) { group.end_unit + commit_units } else { self.zones.get(zone).good_units }
        };
        // A zone of which nothing is good yet says nothing.
        let zones = self.open.iter().map(|(_, open)| open.zone).filter(|zone| good(*zone) > 0);
        zones
            .map(|zone| CommitZone {
                zone,
                good_units: good(zone),
                incarnation: self.zones.get(zone).incarnation,
            })
            .collect()
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
        group.entries.extend(entry);
        if let Some(open) = self.open.get_mut(group.stream) {
            open.next_unit = group.end_unit;
        }
    }

    /// Ends a put that will not be written.
    pub(crate) fn refuse_put(&mut self, put: PendingPut, error: EngineError) {
        self.release(&put.key);
        self.reclaim.arena.give_back(put.buffer);
        self.end_put(put.origin, Err(error));
    }
}

/// How many tombstones one group has at most: what fits into a record of [`TOMBSTONE_UNITS`], less its header.
const TOMBSTONES_MAX: usize = (TOMBSTONE_UNITS * UNIT_BYTES - 192) / TombstoneEntry::BYTES;

const _: () = assert!(TOMBSTONES_MAX < ENTRIES_MAX && TOMBSTONES_MAX < COMMIT_ENTRIES_MAX);

/// A record's header, for a record that is no block or whose key is still to be set.
pub(crate) fn record(
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
