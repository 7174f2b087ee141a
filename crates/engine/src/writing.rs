//! Forming a group: from puts and deletions that wait to records in their places.
//!
//! Puts and deletions gather while the group before them is on its way. A group is one run of records in one zone:
//! blocks, one record of tombstones, and a commit. Its parts are written one after another (one write in flight per
//! zone), then the drive flushes, and only then is anyone told ([`crate::committing`]). While one group is flushed, the
//! next is written.

use std::collections::VecDeque;

use imbrex_format::{
    Commit, CommitZone, Key, PayloadWriter, RecordHeader, RecordKind, TableEntry, TombstoneEntry, UNIT_BYTES,
    ZoneScope, record_units, seal_record,
};
use imbrex_zoned::{Buffer, Device, DeviceError};

use crate::group::{Group, Member, PendingPut, Write};
use crate::location::Location;
use crate::log::{ENTRIES_MAX, TOMBSTONE_UNITS};
use crate::request::EngineError;
use crate::reserve::Purpose;
use crate::store::Store;

/// How many units of blocks a group has at most, save where one block alone is larger: 32 MiB, an eighth of a second
/// of a fast disk's time.
const GROUP_UNITS_MAX: u32 = 8192;

impl Store {
    /// Begins what can be begun on the write side.
    pub(crate) fn pump_writes(&mut self, device: &mut dyn Device) {
        if self.fault.is_some() {
            return;
        }
        if self.writing.is_none() {
            self.drop_abandoned();
            self.writing = self.form_group();
            if self.reserve.has_failed() {
                return self
                    .write_failed(&DeviceError::Unknown { what: "less memory than the log needs".into() });
            }
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
            // A zone is opened only for something that it has room for, so no header is forgotten here.
            debug_assert!(writes.is_empty());
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

    pub(crate) fn take_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    pub(crate) fn scope(&self, zone: u32) -> ZoneScope {
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
        let (mut unit_count, mut entries, mut kills) = (0, 0, 0);
        while let Some(put) = self.pending_puts.front() {
            let units = record_units(put.payload_bytes as usize);
            let more_kills = usize::from(put.replaced.is_some());
            let more_entries = 1 + more_kills;
            let kill_units = record_units((kills + more_kills).max(1) * TombstoneEntry::BYTES);
            let fits = self.has_room(unit_count + units + kill_units, entries + more_entries)
                && (unit_count == 0 || unit_count + units <= GROUP_UNITS_MAX)
                && kills + more_kills <= TOMBSTONES_MAX;
            if !fits {
                break;
            }
            unit_count += units;
            entries += more_entries;
            kills += more_kills;
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
}

/// How many tombstones one group has at most: what fits into a record of [`TOMBSTONE_UNITS`], less its header.
const TOMBSTONES_MAX: usize = (TOMBSTONE_UNITS * UNIT_BYTES - 192) / TombstoneEntry::BYTES;

const _: () = assert!(TOMBSTONES_MAX < ENTRIES_MAX);

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
