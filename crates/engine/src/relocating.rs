//! Moving the checkpoints' slots away from zones that can no longer be written, while the drive serves.
//!
//! Zones that were reset are free once two checkpoints know it. Where a zone of a slot fails, no checkpoint can be written
//! any more, and what an old one says of zones would go stale. So free zones are kept for new slots, and new labels name
//! them, or none: what stands in the old slots is no checkpoint from then on. One of the two labels always stands. Then the
//! old slots' zones go to the log, where they can be reset, and a checkpoint is due at once: until it counts, the drive
//! would be mounted by its footers.

use std::ops::Range;

use imbrex_format::{CHECKPOINT_SLOTS, Label, UNIT_BYTES};
use imbrex_zoned::{Condition, Device, DeviceError, Token, Zone, ZoneKind, ZoneOperation};

use crate::formatting::checkpoint_slots;
use crate::request::ZoneRole;
use crate::store::{Store, TOKEN_CHECKPOINT};

/// The slots are being moved.
pub(crate) struct Relocation {
    label: Label,
    old_zones: Range<u32>,
    step: Step,
    is_under_way: bool,
    labels_written: u32,
    /// Whether a new label was ordered: it may stand whatever the drive said.
    may_stand: bool,
}

/// What is to be done next, or what the device is carrying out: to the label zone `nth`, or to a zone of the old slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    ResetLabel { nth: usize },
    WriteLabel { nth: usize },
    FlushLabel { nth: usize },
    FinishLabel { nth: usize },
    ResetOld { zone: u32 },
}

impl Relocation {
    /// Whether the referee is being asked for resets.
    pub(crate) fn is_resetting(&self) -> bool {
        matches!(self.step, Step::ResetLabel { .. } | Step::ResetOld { .. })
    }
}

fn slots_of(label: &Label) -> Range<u32> {
    let first = label.checkpoint_first_zone;
    first..first + CHECKPOINT_SLOTS * label.checkpoint_slot_zones
}

impl Store {
    /// Goes on with moving the slots, or begins where one of their zones has failed. Whether they are being moved.
    pub(crate) fn pump_relocation(&mut self, device: &mut dyn Device) -> bool {
        if self.checkpointing.relocation.is_none() && !self.begin_relocation() {
            return false;
        }
        while let Some(relocation) = &self.checkpointing.relocation {
            if relocation.is_under_way || (relocation.is_resetting() && self.trash.is_judging()) {
                return true;
            }
            self.relocation_step(device);
        }
        true
    }

    fn begin_relocation(&mut self) -> bool {
        if self.checkpointing.bad_zones.is_empty() || !self.checkpointing.is_settled() {
            return false;
        }
        let bad = std::mem::take(&mut self.checkpointing.bad_zones);
        self.checkpointing.given_up.extend(bad);
        let candidates: Vec<Zone> = self.zones.iter().map(|(zone, _)| self.slot_candidate(zone)).collect();
        let slots = checkpoint_slots(&candidates, self.label.label_zones, self.label.blocks_max);
        let (checkpoint_first_zone, checkpoint_slot_zones) = slots.unwrap_or((0, 0));
        tracing::error!(
            checkpoint_first_zone,
            checkpoint_slot_zones,
            "a zone that was kept for checkpoints has failed: others are used"
        );
        let generation = self.label.generation + 1;
        let label = Label { generation, checkpoint_first_zone, checkpoint_slot_zones, ..self.label.clone() };
        for zone in slots_of(&label) {
            self.zones.keep_for_checkpoints(zone);
            self.referee.reserve(zone);
        }
        self.checkpointing.relocation = Some(Relocation {
            label,
            old_zones: slots_of(&self.label),
            step: Step::ResetLabel { nth: 0 },
            is_under_way: false,
            labels_written: 0,
            may_stand: false,
        });
        true
    }

    /// A zone as the choice of slots sees it: only one that is free, empty and sequential can be taken.
    fn slot_candidate(&self, zone: u32) -> Zone {
        let entry = self.zones.get(zone);
        let is_usable = entry.role == ZoneRole::Free
            && entry.condition == Condition::Empty
            && !self.checkpointing.given_up.contains(&zone);
        Zone {
            index: zone,
            kind: entry.kind,
            condition: if is_usable { Condition::Empty } else { Condition::Offline },
            capacity_bytes: u64::from(entry.capacity_units) * UNIT_BYTES as u64,
            write_pointer_bytes: None,
        }
    }

    /// Orders what comes next, or passes over what need not be done.
    fn relocation_step(&mut self, device: &mut dyn Device) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        match relocation.step {
            Step::ResetLabel { nth } => self.reset_label_zone(device, nth),
            Step::WriteLabel { nth } => self.write_label(device, nth),
            Step::FlushLabel { .. } => {
                let ordered = device.submit_flush(Token(TOKEN_CHECKPOINT));
                self.relocation_ordered(device, ordered);
            }
            Step::FinishLabel { nth } => {
                let zone = self.label.label_zones[nth];
                if self.zones.get(zone).kind == ZoneKind::Conventional {
                    return self.label_is_done(nth);
                }
                // So that it does not count against the drive's limit.
                let ordered = device.submit_zone(Token(TOKEN_CHECKPOINT), zone, ZoneOperation::Finish);
                self.relocation_ordered(device, ordered);
            }
            Step::ResetOld { zone } => self.reset_old_zone(device, zone),
        }
    }

    fn reset_label_zone(&mut self, device: &mut dyn Device, nth: usize) {
        let Some(zone) = self.label.label_zones.get(nth).copied() else { return self.labels_are_done() };
        let entry = self.zones.get(zone);
        if !entry.can_be_reset() {
            return self.set_relocation_step(Step::ResetLabel { nth: nth + 1 });
        }
        if entry.kind == ZoneKind::Conventional {
            return self.set_relocation_step(Step::WriteLabel { nth });
        }
        self.referee.needed(zone, false);
        self.order_reset(device, zone);
    }

    fn order_reset(&mut self, device: &mut dyn Device, zone: u32) {
        if let Err(refusal) = self.referee.judge_reserved_reset(zone) {
            tracing::error!(zone, %refusal, "a reset for new checkpoint zones was refused");
            self.stats.resets_refused += 1;
            return self.relocation_step_given_up();
        }
        let ordered = device.submit_zone(Token(TOKEN_CHECKPOINT), zone, ZoneOperation::Reset);
        self.relocation_ordered(device, ordered);
    }

    fn write_label(&mut self, device: &mut dyn Device, nth: usize) {
        let Some(mut buffer) = self.checkpointing.buffer.take() else { return self.relocation_failed() };
        let Some(relocation) = self.checkpointing.relocation.as_mut() else { return };
        relocation.may_stand = true;
        if buffer.len() > UNIT_BYTES {
            self.checkpointing.buffer = Some(buffer.split_off(UNIT_BYTES));
        }
        buffer.fill(0);
        relocation.label.encode(&mut buffer);
        let offset_bytes = device.geometry().zone_start_bytes(self.label.label_zones[nth]);
        let ordered = match device.submit_write(Token(TOKEN_CHECKPOINT), offset_bytes, buffer) {
            Ok(()) => Ok(()),
            Err((error, buffer)) => {
                self.checkpoint_buffer_back(buffer);
                Err(error)
            }
        };
        self.relocation_ordered(device, ordered);
    }

    fn relocation_ordered(&mut self, device: &mut dyn Device, ordered: Result<(), DeviceError>) {
        match ordered {
            Ok(()) => {
                self.checkpoint_under_way();
                if let Some(relocation) = self.checkpointing.relocation.as_mut() {
                    relocation.is_under_way = true;
                }
            }
            Err(error) => self.relocation_step_failed(device, &error),
        }
    }

    /// Takes the end of what the device did for it.
    pub(crate) fn relocation_done(&mut self, device: &mut dyn Device, result: Result<(), DeviceError>) {
        let Some(relocation) = self.checkpointing.relocation.as_mut() else { return };
        relocation.is_under_way = false;
        if let Err(error) = result {
            return self.relocation_step_failed(device, &error);
        }
        match relocation.step {
            Step::ResetLabel { nth } => {
                self.referee.reset_done(self.label.label_zones[nth]);
                self.set_relocation_step(Step::WriteLabel { nth });
            }
            Step::WriteLabel { nth } => self.set_relocation_step(Step::FlushLabel { nth }),
            Step::FlushLabel { nth } => {
                relocation.labels_written += 1;
                self.referee.needed(self.label.label_zones[nth], true);
                self.set_relocation_step(Step::FinishLabel { nth });
            }
            Step::FinishLabel { nth } => self.label_is_done(nth),
            Step::ResetOld { zone } => {
                self.referee.reset_done(zone);
                self.referee.release(zone);
                self.zones.get_mut(zone).condition = Condition::Empty;
                self.zones.set_free(zone);
                self.set_relocation_step(Step::ResetOld { zone: zone + 1 });
            }
        }
    }

    fn relocation_step_failed(&mut self, device: &mut dyn Device, error: &DeviceError) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        if *error == DeviceError::Gone {
            return self.stop_writing(error);
        }
        tracing::error!(%error, step = ?relocation.step, "an order for new checkpoint zones failed");
        if matches!(relocation.step, Step::FlushLabel { .. }) {
            // Whatever was written since the last good flush is at risk, not the label alone.
            self.stats.flush_errors += 1;
            self.flush_failed(device, error, false);
        }
        self.relocation_step_given_up();
    }

    fn relocation_step_given_up(&mut self) {
        match self.checkpointing.relocation.as_ref().map(|relocation| relocation.step) {
            Some(Step::FinishLabel { nth }) => self.label_is_done(nth),
            Some(Step::ResetOld { zone }) => {
                self.zones.get_mut(zone).role = ZoneRole::Lost;
                self.set_relocation_step(Step::ResetOld { zone: zone + 1 });
            }
            Some(_) => self.relocation_failed(),
            None => {}
        }
    }

    /// A label could not be written. Where the other one was, it counts; otherwise it is left alone, as the only one.
    fn relocation_failed(&mut self) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        if relocation.labels_written > 0 {
            return self.labels_are_done();
        }
        // A label that may stand may be the newest one at the next mount: nothing else goes to the zones that it names.
        let unused = if relocation.may_stand { 0..0 } else { slots_of(&relocation.label) };
        for zone in unused {
            self.referee.release(zone);
            self.zones.set_free(zone);
        }
        tracing::error!(
            "no label can be written: this drive keeps no checkpoints any more, and zones that are reset stay unused"
        );
        self.checkpointing.relocation = None;
    }

    fn label_is_done(&mut self, nth: usize) {
        self.set_relocation_step(Step::ResetLabel { nth: nth + 1 });
    }

    /// New labels stand: no checkpoint in the old slots counts any more, so that no zone has to wait for one.
    fn labels_are_done(&mut self) {
        let Some(relocation) = self.checkpointing.relocation.as_mut() else { return };
        if relocation.labels_written == 0 {
            return self.relocation_failed();
        }
        relocation.step = Step::ResetOld { zone: relocation.old_zones.start };
        self.label = relocation.label.clone();
        self.checkpointing.move_to(&self.label, &self.zones);
        self.checkpoint_is_due();
        let waiting = self.zones.iter().filter(|(_, entry)| entry.role == ZoneRole::Reset);
        let waiting: Vec<u32> = waiting.map(|(zone, _)| zone).collect();
        waiting.into_iter().for_each(|zone| self.zones.set_free(zone));
    }

    /// Gives a zone of the old slots to the log, where it can be reset; past the last of them the relocation has ended.
    fn reset_old_zone(&mut self, device: &mut dyn Device, zone: u32) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        if !relocation.old_zones.contains(&zone) {
            self.checkpointing.relocation = None;
            return;
        }
        let entry = self.zones.get(zone);
        let is_usable = entry.kind == ZoneKind::SequentialWriteRequired
            && entry.can_be_reset()
            && !self.checkpointing.given_up.contains(&zone);
        if is_usable {
            self.referee.needed(zone, false);
            self.order_reset(device, zone);
        } else {
            self.zones.get_mut(zone).role = ZoneRole::Lost;
            self.set_relocation_step(Step::ResetOld { zone: zone + 1 });
        }
    }

    fn set_relocation_step(&mut self, step: Step) {
        if let Some(relocation) = self.checkpointing.relocation.as_mut() {
            relocation.step = step;
        }
    }
}
