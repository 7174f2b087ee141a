//! Moving the checkpoints' slots to other zones while the drive serves: new labels name them, or none.
//!
//! Zones that were reset are free once two checkpoints know it. Where a zone of a slot fails, no checkpoint can be written
//! any more, and what an old one says of zones would go stale. So other zones are chosen ([`crate::slots`]) and new labels
//! name them: what stands in the old slots is no checkpoint from then on. A checkpoint is due at once: until it counts, the
//! drive would be mounted by its footers.
//!
//! Invariants:
//!
//! * The older label, or the one that cannot be read, is written first: the newest stands until another does.
//! * A label stands once a flush that began after its write has succeeded, and no other flush has failed meanwhile: a drive
//!   tells a loss once, to whoever flushes next. What may be lost is written again, some times.
//! * The old slots' zones go to the log only when both places hold the new label, so that none that can be read names them.
//!   Otherwise they stay as they are until a mount has renewed the labels.
//! * Where one place keeps an older label, a mount that cannot read the newer one finds the newest in the headers of zones
//!   that were opened since ([`crate::label_copies`]).

use std::ops::Range;

use imbrex_format::{Label, UNIT_BYTES};
use imbrex_zoned::{Condition, Device, DeviceError, Token, ZoneKind, ZoneOperation};

use crate::label_renewing::LABEL_ATTEMPTS_MAX;
use crate::mutation::{Mutation, is};
use crate::request::ZoneRole;
use crate::store::{Store, TOKEN_CHECKPOINT};

/// The slots are being moved, or what is left of older ones goes to the log.
pub(crate) struct Relocation {
    label: Label,
    /// The label's two places, in the order in which they are written.
    order: [usize; 2],
    /// Zones of slots that no label names any more.
    old_zones: Vec<u32>,
    step: Step,
    is_under_way: bool,
    /// How often the present label was ordered.
    attempts: u32,
    /// A flush has failed since the present label was ordered: it may be lost.
    is_doomed: bool,
    labels_written: u32,
    /// Whether a new label was ordered: it may stand whatever the drive said.
    may_stand: bool,
    /// Whether new labels stand: no checkpoint counts that was taken before.
    has_moved: bool,
}

/// What is to be done next, or what the device is carrying out: to the label whose `turn` it is, or to the `nth` old zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    ResetLabel { turn: usize },
    WriteLabel { turn: usize },
    FlushLabel { turn: usize },
    FinishLabel { turn: usize },
    ResetOld { nth: usize },
}

impl Relocation {
    /// New labels are to be written; then `old_zones` go to the log.
    pub(crate) fn to(label: Label, order: [usize; 2], old_zones: Vec<u32>) -> Self {
        Self {
            label,
            order,
            old_zones,
            step: Step::ResetLabel { turn: 0 },
            is_under_way: false,
            attempts: 0,
            is_doomed: false,
            labels_written: 0,
            may_stand: false,
            has_moved: false,
        }
    }

    /// The labels stand as they are to: only `old_zones` go to the log.
    pub(crate) fn of_remains(label: Label, old_zones: Vec<u32>) -> Self {
        Self { step: Step::ResetOld { nth: 0 }, ..Self::to(label, [0, 1], old_zones) }
    }

    /// Whether the referee is being asked for resets.
    pub(crate) fn is_resetting(&self) -> bool {
        matches!(self.step, Step::ResetLabel { .. } | Step::ResetOld { .. })
    }

    /// A flush has failed, whosever it was.
    pub(crate) fn doom(&mut self) {
        self.is_doomed |= matches!(self.step, Step::WriteLabel { .. } | Step::FlushLabel { .. });
    }

    /// The zone that the step is about, where it is about one.
    fn zone(&self) -> Option<u32> {
        match self.step {
            Step::ResetLabel { turn } | Step::WriteLabel { turn } | Step::FinishLabel { turn } => {
                self.order.get(turn).map(|nth| self.label.label_zones[*nth])
            }
            Step::FlushLabel { .. } => None,
            Step::ResetOld { nth } => self.old_zones.get(nth).copied(),
        }
    }
}

/// The zones of a label's two slots.
pub(crate) fn slots_of(label: &Label) -> Range<u32> {
    label.checkpoint_slot(0).start..label.checkpoint_slot(1).end
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

    /// Orders what comes next, or passes over what need not be done.
    fn relocation_step(&mut self, device: &mut dyn Device) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        match (relocation.step, relocation.zone()) {
            (Step::ResetLabel { turn }, Some(zone)) => self.reset_label_zone(device, turn, zone),
            (Step::WriteLabel { .. }, Some(zone)) => self.write_label(device, zone),
            (Step::FinishLabel { turn }, Some(zone)) => {
                if self.zones.get(zone).kind == ZoneKind::Conventional {
                    return self.next_label(turn);
                }
                // So that it does not count against the drive's limit.
                let ordered = device.submit_zone(Token(TOKEN_CHECKPOINT), zone, ZoneOperation::Finish);
                self.relocation_ordered(device, ordered);
            }
            (Step::FlushLabel { .. }, _) => {
                let ordered = self.order_flush(device, TOKEN_CHECKPOINT);
                self.relocation_ordered(device, ordered);
            }
            (Step::ResetOld { nth }, Some(zone)) => self.reset_old_zone(device, nth, zone),
            (Step::ResetOld { .. }, None) => self.checkpointing.relocation = None,
            (_, None) => self.labels_are_done(),
        }
    }

    fn reset_label_zone(&mut self, device: &mut dyn Device, turn: usize, zone: u32) {
        let entry = self.zones.get(zone);
        if !entry.can_be_reset() {
            return self.next_label(turn);
        }
        if let Some(relocation) = self.checkpointing.relocation.as_mut() {
            relocation.attempts += 1;
            relocation.is_doomed = false;
        }
        if entry.kind == ZoneKind::Conventional {
            return self.set_relocation_step(Step::WriteLabel { turn });
        }
        if self.checkpointing.labels.is_only_one(zone) && self.checkpointing.newest.is_none() {
            // Nothing else on the drive is sure to tell its secret.
            return self.next_label(turn);
        }
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

    fn write_label(&mut self, device: &mut dyn Device, zone: u32) {
        let Some(mut buffer) = self.checkpointing.buffer.take() else { return self.relocation_failed() };
        if buffer.len() > UNIT_BYTES {
            self.checkpointing.buffer = Some(buffer.split_off(UNIT_BYTES));
        }
        let Some(relocation) = self.checkpointing.relocation.as_mut() else { return };
        relocation.may_stand = true;
        buffer.fill(0);
        relocation.label.encode(&mut buffer);
        let offset_bytes = device.geometry().zone_start_bytes(zone);
        self.checkpointing.labels.set_generation(zone, None);
        self.referee.reserved.label_is_gone(zone);
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
        let (step, zone, is_doomed) = (relocation.step, relocation.zone(), relocation.is_doomed);
        match (step, zone) {
            (Step::ResetLabel { turn }, Some(zone)) => {
                self.referee.reset_done(zone);
                self.zones.get_mut(zone).condition = Condition::Empty;
                self.checkpointing.labels.set_generation(zone, None);
                self.referee.reserved.label_is_gone(zone);
                self.set_relocation_step(Step::WriteLabel { turn });
            }
            (Step::WriteLabel { turn }, Some(zone)) => {
                self.zones.written(zone, 1);
                self.set_relocation_step(Step::FlushLabel { turn });
            }
            (Step::FlushLabel { .. }, _) if is_doomed => {
                self.relocation_step_given_up();
            }
            (Step::FlushLabel { turn }, _) => self.label_stands(turn),
            (Step::FinishLabel { turn }, Some(zone)) => {
                self.zones.get_mut(zone).condition = Condition::Full;
                self.next_label(turn);
            }
            (Step::ResetOld { nth }, Some(zone)) => self.old_zone_is_reset(nth, zone),
            (_, None) => {}
        }
    }

    fn relocation_step_failed(&mut self, device: &mut dyn Device, error: &DeviceError) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        if *error == DeviceError::Gone {
            return self.stop_writing(error);
        }
        let step = relocation.step;
        tracing::error!(%error, ?step, "an order for new checkpoint zones failed");
        if let DeviceError::ZoneCondition { zone, condition } = error
            && matches!(condition, Condition::ReadOnly | Condition::Offline)
        {
            self.zone_changed(*zone, *condition);
        }
        if matches!(step, Step::FlushLabel { .. }) {
            // Whatever was written since the last good flush is at risk, not the label alone.
            self.stats.flush_errors += 1;
            self.flush_failed(device, error, false);
        }
        self.relocation_step_given_up();
    }

    /// What the step was about is tried again, or left as it is.
    fn relocation_step_given_up(&mut self) {
        let Some(relocation) = &self.checkpointing.relocation else { return };
        match relocation.step {
            Step::FinishLabel { turn } => self.next_label(turn),
            Step::ResetOld { nth } => self.leave_old_zone(nth),
            Step::ResetLabel { turn } | Step::WriteLabel { turn } | Step::FlushLabel { turn } => {
                if relocation.attempts < LABEL_ATTEMPTS_MAX {
                    self.set_relocation_step(Step::ResetLabel { turn });
                } else {
                    self.next_label(turn);
                }
            }
        }
    }

    fn label_stands(&mut self, turn: usize) {
        let Some(relocation) = self.checkpointing.relocation.as_mut() else { return };
        relocation.labels_written += 1;
        let zone = relocation.label.label_zones[relocation.order[turn]];
        let generation = relocation.label.generation;
        let slots = slots_of(&relocation.label);
        self.referee.reserved.label_stands(zone, generation, slots);
        self.checkpointing.labels.set_generation(zone, Some(generation));
        self.set_relocation_step(Step::FinishLabel { turn });
    }

    fn next_label(&mut self, turn: usize) {
        if let Some(relocation) = self.checkpointing.relocation.as_mut() {
            relocation.attempts = 0;
        }
        self.set_relocation_step(Step::ResetLabel { turn: turn + 1 });
    }

    /// No label could be written: what the labels say of slots stays as it was.
    fn relocation_failed(&mut self) {
        let Some(relocation) = self.checkpointing.relocation.take() else { return };
        // A label that may stand may be the newest one at the next mount: nothing else goes to the zones that it names.
        let unused = if relocation.may_stand { 0..0 } else { slots_of(&relocation.label) };
        for zone in unused {
            self.referee.release(zone);
            self.zones.set_free(zone);
        }
        // Another run would fail as this one.
        self.checkpointing.next_run_at_resets = self.stats.zones_reset + self.zones.count() as u64;
        tracing::error!(
            "no label can be written: this drive keeps no checkpoints any more, and zones that are reset stay unused"
        );
    }

    /// New labels stand: no checkpoint in the old slots counts any more, so that no zone has to wait for one.
    fn labels_are_done(&mut self) {
        let Some(relocation) = self.checkpointing.relocation.as_mut() else { return };
        if relocation.labels_written == 0 {
            return self.relocation_failed();
        }
        relocation.step = Step::ResetOld { nth: 0 };
        relocation.has_moved = true;
        self.stats.slots_moved += 1;
        self.label = relocation.label.clone();
        self.checkpointing.move_to(&self.label, &self.zones);
        self.checkpoint_is_due();
        let waiting = self.zones.iter().filter(|(_, entry)| entry.role == ZoneRole::Reset);
        let waiting: Vec<u32> = waiting.map(|(zone, _)| zone).collect();
        waiting.into_iter().for_each(|zone| self.zones.set_free(zone));
    }

    /// Gives a zone of older slots to the log, where it can be reset and no label that can be read names it.
    fn reset_old_zone(&mut self, device: &mut dyn Device, nth: usize, zone: u32) {
        let entry = self.zones.get(zone);
        let is_usable = entry.kind == ZoneKind::SequentialWriteRequired
            && entry.can_be_reset()
            && !self.checkpointing.given_up.contains(&zone)
            && (self.checkpointing.labels.are_whole() || is(Mutation::FreeSlotsOfStaleLabel));
        if is_usable {
            self.order_reset(device, zone);
        } else {
            self.leave_old_zone(nth);
        }
    }

    fn leave_old_zone(&mut self, nth: usize) {
        let zone = self.checkpointing.relocation.as_ref().and_then(Relocation::zone);
        if let Some(zone) = zone {
            self.zones.get_mut(zone).role = ZoneRole::Lost;
        }
        self.set_relocation_step(Step::ResetOld { nth: nth + 1 });
    }

    fn old_zone_is_reset(&mut self, nth: usize, zone: u32) {
        self.referee.reset_done(zone);
        self.referee.release(zone);
        let entry = self.zones.get_mut(zone);
        entry.condition = Condition::Empty;
        entry.written_units = 0;
        // A checkpoint that counts calls it a checkpoint's, or lost; where the slots were moved just now none counts.
        let has_moved = self.checkpointing.relocation.as_ref().is_some_and(|relocation| relocation.has_moved);
        match self.checkpoint_that_frees().filter(|_| !has_moved) {
            Some(number) => self.zones.set_reset(zone, number),
            None => self.zones.set_free(zone),
        }
        self.set_relocation_step(Step::ResetOld { nth: nth + 1 });
    }

    fn set_relocation_step(&mut self, step: Step) {
        if let Some(relocation) = self.checkpointing.relocation.as_mut() {
            relocation.step = step;
        }
    }
}
