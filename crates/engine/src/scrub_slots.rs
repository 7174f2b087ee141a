//! The scrub of what is not the log: the two labels, and the newest checkpoint from its begin to its end.
//!
//! A mount reads both, so they are due for the first time some time after it. A checkpoint that is damaged is written anew
//! at once, into the other slot. A damaged label is counted, and renewed by the next mount: the other one stands.

use std::collections::VecDeque;

use imbrex_format::{
    Label, PayloadChecker, RecordKind, UNIT_BYTES, ZoneContent, ZoneHeader, ZoneScope, decode_record_header,
};
use imbrex_zoned::{Buffer, Device, DeviceError};

use crate::location::Location;
use crate::scrub_walk::PIECE_UNITS;
use crate::store::Store;

/// When this was read last, and what is being read.
#[derive(Default)]
pub(crate) struct SlotScrub {
    /// Since the mount; 0: not yet.
    pub(crate) scrubbed_at_unix_s: u64,
    mounted_at_unix_s: u64,
    walk: Option<SlotWalk>,
    pub(crate) is_reading: bool,
}

impl SlotScrub {
    /// Where the clock was set back, what was done by it counts from now on, or never was.
    pub(crate) fn follow_clock(&mut self, unix_s: u64) {
        self.mounted_at_unix_s = self.mounted_at_unix_s.min(unix_s);
        if self.scrubbed_at_unix_s > unix_s {
            self.scrubbed_at_unix_s = 0;
        }
    }

    /// Ends its turn, which begins anew another time.
    pub(crate) fn leave(&mut self) {
        (self.walk, self.is_reading) = (None, false);
    }
}

/// The way through the labels and one slot.
struct SlotWalk {
    /// Label zones that are still to be read.
    labels: VecDeque<u32>,
    /// Zones of the slot that are still to be read, the present one first.
    zones: VecDeque<u32>,
    /// The number of the checkpoint that came next when it began: once that counts, the slot is written anew.
    next_number: u64,
    /// Of the present zone, once its header was read.
    scope: Option<ZoneScope>,
    unit: u32,
    sequence: u64,
    record: Option<Record>,
    errors: u64,
}

/// A record of a checkpoint that is being checked.
struct Record {
    end: u32,
    is_last: bool,
    checker: PayloadChecker,
}

/// What stands at a unit of a checkpoint is none of its records.
struct NotARecord;

impl SlotWalk {
    /// The piece that is to be read next, of a slot whose zones have `capacity_units`; `None` at the end.
    fn next_piece(&self, capacity_units: impl Fn(u32) -> u32) -> Option<Location> {
        if let Some(zone) = self.labels.front() {
            return Some(Location { zone: *zone, unit_offset: 0, unit_count: 1 });
        }
        let zone = *self.zones.front()?;
        if self.scope.is_none() {
            return Some(Location { zone, unit_offset: 0, unit_count: 1 });
        }
        // Behind the last unit of a zone one is asked for that is not there: the next zone follows.
        let left_units = capacity_units(zone).saturating_sub(self.unit);
        Some(Location { zone, unit_offset: self.unit, unit_count: PIECE_UNITS.min(left_units) })
    }

    /// Takes what the read of a piece has brought; `None` where it could not be read.
    fn take(&mut self, label: &Label, piece: Location, bytes: Option<&[u8]>) {
        if !self.labels.is_empty() {
            self.labels.pop_front();
            let found = bytes.and_then(|bytes| Label::decode(bytes).ok());
            self.errors += u64::from(found.is_none_or(|found| found != *label));
            return;
        }
        let Some(bytes) = bytes else { return self.is_damaged() };
        if self.scope.is_none() {
            let header = ZoneHeader::decode(bytes, label, piece.zone).ok();
            let header = header.filter(|header| header.content == ZoneContent::Checkpoint);
            self.scope = header.map(|header| ZoneScope::new(label, piece.zone, header.incarnation));
            self.unit = 1;
            if self.scope.is_none() {
                self.is_damaged();
            }
            return;
        }
        let end = piece.unit_offset + piece.unit_count;
        while self.unit < end {
            let here = &bytes[(self.unit - piece.unit_offset) as usize * UNIT_BYTES..];
            let here = &here[..(end - self.unit) as usize * UNIT_BYTES];
            match self.record_at(here) {
                Ok(true) => return self.zones.clear(),
                Ok(false) => {}
                Err(NotARecord) if self.record.is_none() => return self.next_zone(),
                Err(NotARecord) => return self.is_damaged(),
            }
        }
    }

    /// Goes on with the record at the present unit; whether it was the checkpoint's last.
    fn record_at(&mut self, here: &[u8]) -> Result<bool, NotARecord> {
        if self.record.is_none() {
            let scope = self.scope.as_ref().ok_or(NotARecord)?;
            let header = decode_record_header(here, scope, self.unit).map_err(|_| NotARecord)?;
            if header.sequence != self.sequence + 1 {
                return Err(NotARecord);
            }
            self.sequence = header.sequence;
            if header.kind == RecordKind::Padding {
                // It fills its zone.
                return Err(NotARecord);
            }
            self.record = Some(Record {
                end: self.unit + header.unit_count,
                is_last: header.kind == RecordKind::CheckpointEnd,
                checker: PayloadChecker::new(here, &header),
            });
        }
        let Some(record) = self.record.as_mut() else { return Err(NotARecord) };
        let wanted_bytes = (record.end - self.unit) as usize * UNIT_BYTES;
        let part = &here[..here.len().min(wanted_bytes)];
        record.checker.take(part).map_err(|_| NotARecord)?;
        self.unit += u32::try_from(part.len() / UNIT_BYTES).unwrap_or(PIECE_UNITS);
        let is_whole = self.unit == record.end;
        let is_last = is_whole && record.is_last;
        if is_whole {
            self.record = None;
        }
        Ok(is_last)
    }

    /// No record follows in this zone. Behind the last zone there is none at all, so that the end is missing.
    fn next_zone(&mut self) {
        self.zones.pop_front();
        self.scope = None;
        if self.zones.is_empty() {
            self.is_damaged();
        }
    }

    fn is_damaged(&mut self) {
        self.errors += 1;
        self.zones.clear();
    }
}

impl Store {
    /// Goes on with the labels and the newest checkpoint, or begins with them where they are due. Whether it is at them.
    pub(crate) fn pump_slot_scrub(&mut self, device: &mut dyn Device) -> bool {
        if self.scrub.slots.walk.is_none() && !self.begin_slot_scrub() {
            return false;
        }
        if self.scrub.slots.is_reading || self.now_us < self.scrub.pace.allowed_us() {
            return true;
        }
        let Some(walk) = &self.scrub.slots.walk else { return false };
        if self.is_slot_stale(walk) {
            // A newer one has been written meanwhile: it has its turn when it is due.
            self.end_slot_scrub();
            return false;
        }
        match walk.next_piece(|zone| self.zones.get(zone).capacity_units) {
            Some(piece) if piece.unit_count == 0 => {
                if let Some(walk) = self.scrub.slots.walk.as_mut() {
                    walk.next_zone();
                }
            }
            Some(piece) => {
                if let Some(buffer) = self.scrub.buffer.take() {
                    self.scrub.slots.is_reading = true;
                    self.read_for_scrub(device, piece, Some(buffer));
                }
            }
            None => self.end_slot_scrub(),
        }
        true
    }

    fn begin_slot_scrub(&mut self) -> bool {
        let slots = &mut self.scrub.slots;
        if slots.mounted_at_unix_s == 0 {
            // The time is not known before the first turn.
            slots.mounted_at_unix_s = self.unix_s;
        }
        let last_unix_s = slots.scrubbed_at_unix_s.max(slots.mounted_at_unix_s);
        let is_ordered = slots.scrubbed_at_unix_s < self.scrub.pass_since_unix_s;
        if !is_ordered && self.scrub.pace.due_unix_s(0, last_unix_s) > self.unix_s {
            return false;
        }
        let slot = self.checkpointing.newest;
        let zones = slot.map(|slot| self.label.checkpoint_slot(slot).collect());
        self.scrub.slots.walk = Some(SlotWalk {
            labels: self.label.label_zones.into(),
            zones: zones.unwrap_or_default(),
            next_number: self.checkpointing.number,
            scope: None,
            unit: 0,
            sequence: 0,
            record: None,
            errors: 0,
        });
        self.scrub.pace.begin_at_once();
        true
    }

    /// Takes a piece that was read.
    pub(crate) fn slots_read(
        &mut self,
        piece: Location,
        result: &Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        self.scrub.slots.is_reading = false;
        if let Err(DeviceError::ZoneCondition { zone, condition }) = result {
            // The next checkpoint that would go there looks for other zones.
            self.zones.get_mut(*zone).condition = *condition;
        }
        let is_stale = self.scrub.slots.walk.as_ref().is_some_and(|walk| self.is_slot_stale(walk));
        if let Some(walk) = self.scrub.slots.walk.as_mut().filter(|_| !is_stale) {
            walk.take(&self.label, piece, buffer.as_deref().filter(|_| result.is_ok()));
        }
        self.scrub.buffer = self.scrub.buffer.take().or(buffer);
    }

    /// Whether the slot that is being read may have been written since.
    fn is_slot_stale(&self, walk: &SlotWalk) -> bool {
        walk.next_number != self.checkpointing.number || self.checkpointing.is_moving()
    }

    /// A read that could not begin is tried again when the engine next turns.
    pub(crate) fn slot_read_refused(&mut self) {
        self.scrub.slots.is_reading = false;
    }

    fn end_slot_scrub(&mut self) {
        let Some(walk) = self.scrub.slots.walk.take() else { return };
        self.scrub.slots.scrubbed_at_unix_s = self.unix_s;
        if walk.errors > 0 {
            tracing::error!(errors = walk.errors, "the scrub found a damaged label or checkpoint");
            self.stats.scrub_errors += walk.errors;
            self.stats.scrub_structure_errors += walk.errors;
            self.checkpoint_is_due();
        }
    }
}
