//! Checkpoints: the index and the zone table as they are at one moment of the log, kept where a mount finds them.
//!
//! The index's cells go out as they are, some at a time, while groups go on. Cells that change meanwhile are noted and
//! written again as patches. When few are left, no new group is begun; once those under way are durable, the last
//! patches, the zones' cells and the tables of the open zones follow, and groups go on. So a checkpoint is exact: it
//! holds every group before it, and nothing of a later one.
//!
//! It goes to the slot that does not hold the newest one, so that a torn checkpoint costs nothing but its own writing.

use imbrex_format::{CheckpointEnd, Label, RecordKind, UNIT_BYTES, ZoneScope, record_units, seal_record};
use imbrex_zoned::{Buffer, BufferPool, Condition, Device, DeviceError, Token, ZoneKind, ZoneOperation};

use crate::checkpoint_parts::{Made, part_units};
use crate::mount::Mounted;
use crate::options::Options;
use crate::relocating::Relocation;
use crate::request::ZoneRole;
use crate::store::{Store, TOKEN_CHECKPOINT};
use crate::writing::record;
use crate::zone_table::{ZoneEntry, ZoneTable};

/// How many checkpoints may fail one after another before none is tried any more.
const FAILURES_MAX: u32 = 3;

/// What there is of checkpoints, and what is being written.
pub(crate) struct Checkpointing {
    first_zone: u32,
    slot_zones: u32,
    /// The slot that holds the newest one.
    pub(crate) newest: Option<u32>,
    /// The number of the next one.
    pub(crate) number: u64,
    every_bytes: u64,
    pub(crate) part_units: u32,
    pub(crate) buffer: Option<Buffer>,
    running: Option<Running>,
    /// The slots are being moved.
    pub(crate) relocation: Option<Relocation>,
    /// What the device has not finished yet: it may be of a checkpoint that was given up.
    in_flight: u32,
    failures: u32,
    /// Zones to which it could not be written: others take their place.
    pub(crate) bad_zones: Vec<u32>,
    /// Such zones, once others were looked for.
    pub(crate) given_up: Vec<u32>,
    /// Whether the one that is written at the end is done, or need not be.
    is_last_done: bool,
}

/// A checkpoint that is being written.
pub(crate) struct Running {
    pub(crate) slot: u32,
    /// The zone of the slot that is being written, from 0.
    pub(crate) nth: u32,
    pub(crate) unit: u32,
    pub(crate) sequence: u64,
    pub(crate) record_count: u64,
    pub(crate) patch_count: u64,
    pub(crate) begun_at_unix_s: u64,
    pub(crate) step: Step,
    /// Whether the device is carrying out what the step before ordered.
    pub(crate) is_under_way: bool,
    /// The zone that is being reset.
    pub(crate) resetting: Option<u32>,
    /// The moment of the log that it holds, once that has been taken.
    pub(crate) end: Option<CheckpointEnd>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Resetting the nth zone of the slot.
    Reset,
    Begin,
    Cells {
        next: u64,
    },
    Patches {
        from: u64,
        passes: u32,
    },
    /// No group may be begun; those under way come to their end.
    Hold,
    LastPatches {
        from: u64,
    },
    ZoneCells {
        next: u32,
    },
    Tables {
        nth: usize,
        entry: usize,
    },
    FlushParts,
    End,
    FlushEnd,
    /// The last flush is on its way.
    Done,
}

impl Checkpointing {
    /// Takes the memory for one part. `None` where the pool has no room.
    pub(crate) fn new(pool: &BufferPool, mounted: &Mounted, options: &Options) -> Option<Self> {
        let label = &mounted.label;
        let slots = label.checkpoint_slot(0).chain(label.checkpoint_slot(1));
        let capacity = slots.map(|zone| mounted.zones.get(zone).capacity_units).min().unwrap_or(0);
        let part_units = part_units(capacity);
        let buffer = match label.checkpoint_slot_zones {
            0 => None,
            _ => Some(pool.try_allocate(part_units.max(1) as usize * UNIT_BYTES)?),
        };
        Some(Self {
            first_zone: label.checkpoint_first_zone,
            slot_zones: if part_units > 1 { label.checkpoint_slot_zones } else { 0 },
            newest: mounted.checkpoint.map(|checkpoint| checkpoint.slot),
            number: mounted.next_checkpoint,
            every_bytes: options.checkpoint_bytes,
            part_units,
            buffer,
            running: None,
            relocation: None,
            in_flight: 0,
            failures: 0,
            bad_zones: Vec::new(),
            given_up: Vec::new(),
            is_last_done: false,
        })
    }

    fn zone_of(&self, slot: u32, nth: u32) -> u32 {
        self.first_zone + slot * self.slot_zones + nth
    }

    /// Whether this drive keeps checkpoints.
    fn is_kept(&self) -> bool {
        self.slot_zones > 0
    }

    /// Whether zones of its own are being reset: the referee judges one order at a time.
    pub(crate) fn is_resetting(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.step == Step::Reset)
            || self.relocation.as_ref().is_some_and(Relocation::is_resetting)
    }

    /// Whether nothing of a checkpoint is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.running.is_none() && self.in_flight == 0
    }

    /// Whether other zones are looked for: zones that were reset are free once they are found.
    pub(crate) fn is_moving(&self) -> bool {
        self.relocation.is_some() || !self.bad_zones.is_empty()
    }

    /// Whether no checkpoint can be written any more, so that no zone that was reset will be free.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_kept()
            && self.failures >= FAILURES_MAX
            && self.relocation.is_none()
            && self.bad_zones.is_empty()
    }

    /// Goes on in the slots that `label` names: none of them holds a checkpoint.
    pub(crate) fn move_to(&mut self, label: &Label, zones: &ZoneTable) {
        let slots = label.checkpoint_slot(0).chain(label.checkpoint_slot(1));
        let capacity = slots.map(|zone| zones.get(zone).capacity_units).min().unwrap_or(0);
        // The memory stays what was taken at the start.
        self.part_units = self.part_units.min(part_units(capacity));
        self.first_zone = label.checkpoint_first_zone;
        self.slot_zones = if self.part_units > 1 { label.checkpoint_slot_zones } else { 0 };
        self.newest = None;
        self.failures = 0;
    }
}

impl Store {
    /// Lets a checkpoint be written as soon as one can be.
    pub(crate) fn checkpoint_is_due(&mut self) {
        let every_bytes = self.checkpointing.every_bytes;
        self.written_since_checkpoint_bytes = self.written_since_checkpoint_bytes.max(every_bytes);
    }

    /// Whether no group may be begun, because a checkpoint is being brought to its end.
    pub(crate) fn checkpoint_holds_groups(&self) -> bool {
        use Step::{Hold, LastPatches, Tables, ZoneCells};
        self.checkpointing.running.as_ref().is_some_and(|running| {
            matches!(running.step, Hold | LastPatches { .. } | ZoneCells { .. } | Tables { .. })
        })
    }

    /// The number of the checkpoint that frees a zone that was reset just now; `None` where it is free at once.
    ///
    /// Two that were both taken after the reset have to count. The one that is being written may have taken the zone's
    /// cell already.
    pub(crate) fn checkpoint_that_frees(&self) -> Option<u64> {
        let Checkpointing { number, running, .. } = &self.checkpointing;
        let is_late = running.as_ref().is_some_and(|running| {
            !matches!(
                running.step,
                Step::Reset | Step::Begin | Step::Cells { .. } | Step::Patches { .. } | Step::Hold
            )
        });
        self.checkpointing.is_kept().then_some(number + 1 + u64::from(is_late))
    }

    /// Whether what is written when the engine ends has been, or will not be.
    pub(crate) fn last_checkpoint_is_done(&self) -> bool {
        !self.is_stopping
            || self.fault.is_some()
            || !self.checkpointing.is_kept()
            || self.checkpointing.failures >= FAILURES_MAX
            || (self.checkpointing.is_last_done && self.checkpointing.running.is_none())
    }

    /// Whether a checkpoint is due: after so much was written, where zones wait to be freed, and at the end.
    fn wants_checkpoint(&self) -> bool {
        let Checkpointing { every_bytes, is_last_done, .. } = &self.checkpointing;
        self.written_since_checkpoint_bytes >= *every_bytes
            || (self.is_stopping && !is_last_done && self.is_idle())
            || (self.zones.reset_count() > 0 && self.pace_wants_zones())
    }

    /// Goes on with a checkpoint, or begins one that is due.
    pub(crate) fn pump_checkpoint(&mut self, device: &mut dyn Device) {
        if self.fault.is_some()
            || self.pump_relocation(device)
            || !self.checkpointing.is_kept()
            || self.checkpointing.failures >= FAILURES_MAX
        {
            return;
        }
        if self.checkpointing.running.is_none() && !self.begin_checkpoint() {
            return;
        }
        while let Some(running) = &self.checkpointing.running {
            if running.is_under_way {
                return;
            }
            let before = (running.step, running.nth);
            self.checkpoint_step(device);
            let Some(running) = &self.checkpointing.running else { return };
            if !running.is_under_way && (running.step, running.nth) == before {
                // It waits for groups, or for another order of the device.
                return;
            }
        }
    }

    fn begin_checkpoint(&mut self) -> bool {
        if self.is_stopping && !self.checkpointing.is_last_done && self.written_since_checkpoint_bytes == 0 {
            // Nothing has changed since the last one.
            self.checkpointing.is_last_done = self.checkpointing.newest.is_some();
        }
        if !self.wants_checkpoint() || self.trash.is_judging() || self.checkpointing.in_flight > 0 {
            return false;
        }
        let slot = self.checkpointing.newest.map_or(0, |newest| 1 - newest);
        for nth in 0..self.checkpointing.slot_zones {
            let zone = self.checkpointing.zone_of(slot, nth);
            if !self.zones.get(zone).can_be_reset() {
                tracing::error!(zone, "a zone that is kept for checkpoints can no longer be written");
                self.checkpointing.failures = FAILURES_MAX;
                self.checkpointing.bad_zones.push(zone);
                return false;
            }
            self.referee.needed(zone, false);
        }
        self.index.track_changes(true);
        self.checkpointing.running = Some(Running {
            slot,
            nth: 0,
            unit: 0,
            sequence: 0,
            record_count: 0,
            patch_count: 0,
            begun_at_unix_s: self.unix_s,
            step: Step::Reset,
            is_under_way: false,
            resetting: None,
            end: None,
        });
        true
    }

    fn checkpoint_step(&mut self, device: &mut dyn Device) {
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        match running.step {
            Step::Reset => self.reset_checkpoint_zone(device),
            Step::Hold => {
                if self.writing.is_none() && self.flushing.is_none() {
                    self.set_checkpoint_step(Step::LastPatches { from: 0 });
                }
            }
            Step::FlushParts => self.flush_checkpoint(device, Step::End),
            Step::FlushEnd => self.flush_checkpoint(device, Step::Done),
            Step::Done => {}
            _ => self.write_checkpoint_part(device),
        }
    }

    fn flush_checkpoint(&mut self, device: &mut dyn Device, next: Step) {
        match device.submit_flush(Token(TOKEN_CHECKPOINT)) {
            Ok(()) => {
                self.checkpoint_under_way();
                self.set_checkpoint_step(next);
            }
            Err(error) => self.checkpoint_failed(&error.to_string()),
        }
    }

    fn set_checkpoint_step(&mut self, step: Step) {
        if let Some(running) = self.checkpointing.running.as_mut() {
            running.step = step;
        }
    }

    pub(crate) fn checkpoint_under_way(&mut self) {
        self.log_in_flight += 1;
        self.checkpointing.in_flight += 1;
        if let Some(running) = self.checkpointing.running.as_mut() {
            running.is_under_way = true;
        }
    }

    fn reset_checkpoint_zone(&mut self, device: &mut dyn Device) {
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        if running.nth == self.checkpointing.slot_zones {
            running.nth = 0;
            running.step = Step::Begin;
            return;
        }
        let zone = self.checkpointing.first_zone + running.slot * self.checkpointing.slot_zones + running.nth;
        let entry = self.zones.get(zone);
        if entry.kind == ZoneKind::Conventional || entry.condition == Condition::Empty {
            // The new life's header ends the old one.
            running.nth += 1;
            return;
        }
        if let Err(refusal) = self.referee.judge_reserved_reset(zone) {
            tracing::error!(zone, %refusal, "a reset for a checkpoint was refused");
            self.stats.resets_refused += 1;
            return self.checkpoint_failed("the referee refused a reset");
        }
        match device.submit_zone(Token(TOKEN_CHECKPOINT), zone, ZoneOperation::Reset) {
            Ok(()) => {
                running.nth += 1;
                running.resetting = Some(zone);
                self.checkpoint_under_way();
            }
            Err(error) => self.checkpoint_failed(&error.to_string()),
        }
    }

    /// Makes the record of the present step and writes it, with a zone header before it where a zone begins.
    fn write_checkpoint_part(&mut self, device: &mut dyn Device) {
        let Some(mut buffer) = self.checkpointing.buffer.take() else {
            return self.checkpoint_failed("its memory did not come back");
        };
        let Some(mut running) = self.checkpointing.running.take() else { return };
        let zone = self.checkpointing.zone_of(running.slot, running.nth);
        if running.unit == 0 {
            self.make_checkpoint_header(&mut buffer, zone);
            self.checkpointing.running = Some(running);
            return self.write_checkpoint_units(device, zone, buffer, 1);
        }
        if running.unit + self.checkpointing.part_units > self.zones.get(zone).capacity_units {
            running.nth += 1;
            running.unit = 0;
            let is_out = running.nth == self.checkpointing.slot_zones;
            self.checkpointing.buffer = Some(buffer);
            self.checkpointing.running = Some(running);
            // It would count against the drive's limit beside the next one.
            self.to_finish.push(zone);
            self.finish_zones(device);
            if is_out {
                self.checkpoint_failed("its zones have no room for it");
            }
            return;
        }
        let Made::Record(kind, payload_bytes) = self.make_part(&mut buffer, &mut running) else {
            self.checkpointing.buffer = Some(buffer);
            self.checkpointing.running = Some(running);
            return;
        };
        let unit_count = record_units(payload_bytes);
        running.sequence += 1;
        running.record_count += u64::from(kind != RecordKind::CheckpointEnd);
        let header = record(
            kind,
            running.unit,
            unit_count,
            u32::try_from(payload_bytes).unwrap_or(u32::MAX),
            running.sequence,
        );
        let scope = ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation);
        seal_record(&mut buffer, &header, &scope);
        self.checkpointing.running = Some(running);
        self.write_checkpoint_units(device, zone, buffer, unit_count);
    }

    /// Writes the first units of the buffer behind what the zone holds.
    fn write_checkpoint_units(
        &mut self,
        device: &mut dyn Device,
        zone: u32,
        mut buffer: Buffer,
        unit_count: u32,
    ) {
        let bytes = unit_count as usize * UNIT_BYTES;
        self.checkpointing.buffer = (buffer.len() > bytes).then(|| buffer.split_off(bytes));
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        let offset_bytes =
            device.geometry().zone_start_bytes(zone) + u64::from(running.unit) * UNIT_BYTES as u64;
        running.unit += unit_count;
        let end_unit = running.unit;
        self.zones.written(zone, end_unit);
        self.stats.checkpoint_bytes += bytes as u64;
        match device.submit_write(Token(TOKEN_CHECKPOINT), offset_bytes, buffer) {
            Ok(()) => self.checkpoint_under_way(),
            Err((error, buffer)) => {
                self.checkpoint_buffer_back(buffer);
                self.checkpoint_failed(&error.to_string());
            }
        }
    }

    pub(crate) fn checkpoint_buffer_back(&mut self, mut buffer: Buffer) {
        if let Some(rest) = self.checkpointing.buffer.take() {
            // It was cut off the end of this one.
            let _ = buffer.absorb(rest);
        }
        self.checkpointing.buffer = Some(buffer);
    }

    /// Takes the end of what the device did for the checkpoint.
    pub(crate) fn checkpoint_done(
        &mut self,
        device: &mut dyn Device,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        buffer.into_iter().for_each(|buffer| self.checkpoint_buffer_back(buffer));
        self.checkpointing.in_flight = self.checkpointing.in_flight.saturating_sub(1);
        if self.checkpointing.relocation.is_some() {
            self.relocation_done(device, result);
            return self.pump_checkpoint(device);
        }
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        running.is_under_way = false;
        let (step, reset) = (running.step, running.resetting.take());
        if let Err(error) = result {
            if error == DeviceError::Gone {
                return self.stop_writing(&error);
            }
            if matches!(step, Step::End | Step::Done) {
                // It was a flush: whatever was written since the last good one is at risk, not the checkpoint alone.
                self.stats.flush_errors += 1;
                return self.flush_failed(device, &error, false);
            }
            return self.checkpoint_failed(&error.to_string());
        }
        if let Some(zone) = reset {
            self.referee.reset_done(zone);
            self.zones.get_mut(zone).condition = Condition::Empty;
        }
        if step == Step::Done {
            self.checkpoint_counts();
            self.finish_zones(device);
        }
        self.pump_writes(device);
        self.pump_checkpoint(device);
    }

    /// The checkpoint is durable: it is the newest one, and zones that waited for it are free.
    fn checkpoint_counts(&mut self) {
        let Some(running) = self.checkpointing.running.take() else { return };
        self.index.track_changes(false);
        let number = self.checkpointing.number;
        self.checkpointing.number += 1;
        self.checkpointing.newest = Some(running.slot);
        self.checkpointing.failures = 0;
        self.checkpointing.is_last_done = self.is_stopping;
        self.stats.checkpoints += 1;
        for nth in 0..self.checkpointing.slot_zones {
            let zone = self.checkpointing.zone_of(running.slot, nth);
            self.referee.needed(zone, true);
            // A zone that is written in part counts against the drive's limit, beside the one of the next checkpoint.
            if matches!(self.zones.get(zone).condition, Condition::ImplicitOpen) {
                self.to_finish.push(zone);
            }
        }
        let freed = |entry: &ZoneEntry| entry.role == ZoneRole::Reset && entry.freed_by <= number;
        let zones: Vec<u32> =
            self.zones.iter().filter(|(_, entry)| freed(entry)).map(|(zone, _)| zone).collect();
        zones.into_iter().for_each(|zone| self.zones.set_free(zone));
    }

    /// Gives up the checkpoint that is being written. The newest one still counts; the next is tried when one is due again.
    pub(crate) fn checkpoint_failed(&mut self, reason: &str) {
        let Some(running) = self.checkpointing.running.take() else { return };
        let nth = running.nth.min(self.checkpointing.slot_zones - 1);
        let zone = Some(self.checkpointing.zone_of(running.slot, nth));
        tracing::error!(reason, "a checkpoint was given up");
        self.index.track_changes(false);
        self.stats.checkpoints_failed += 1;
        self.checkpointing.failures += 1;
        if self.checkpointing.failures >= FAILURES_MAX {
            self.checkpointing.bad_zones.extend(zone);
        }
        self.written_since_checkpoint_bytes = 0;
    }
}

#[cfg(test)]
impl Checkpointing {
    /// The slot of the newest checkpoint: after a mount, of the one by which the drive was mounted.
    pub(crate) fn newest_slot(&self) -> Option<u32> {
        self.newest
    }

    pub(crate) fn describe(&self) -> String {
        let running = self.running.as_ref().map(|running| (running.step, running.is_under_way));
        format!("next {}, failures {}, slots of {}, {running:?}", self.number, self.failures, self.slot_zones)
    }
}
