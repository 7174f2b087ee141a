//! Checkpoints: the index and the zone table as they are at one moment of the log, kept where a mount finds them.
//!
//! The index's cells go out as they are, some at a time, while groups go on. Cells that change meanwhile are noted and
//! written again as patches. When few are left, no new group is begun; once those under way are durable, the last
//! patches, the zones' cells and the tables of the open zones follow, and groups go on. So a checkpoint is exact: it
//! holds every group before it, and nothing of a later one.
//!
//! It goes to the slot that does not hold the newest one, so that a torn checkpoint costs nothing but its own writing.

use imbrex_format::{CheckpointEnd, Label, UNIT_BYTES};
use imbrex_zoned::{Buffer, BufferPool, Device};

use crate::checkpoint_parts::part_units;
use crate::labels::Labels;
use crate::mount::Mounted;
use crate::options::Options;
use crate::relocating::{Relocation, slots_of};
use crate::slots::{Run, slot_zones_wanted};
use crate::store::Store;
use crate::zone_table::ZoneTable;

/// How many checkpoints may fail one after another before none is tried any more.
pub(crate) const FAILURES_MAX: u32 = 3;

/// What there is of checkpoints, and what is being written.
pub(crate) struct Checkpointing {
    pub(crate) first_zone: u32,
    pub(crate) slot_zones: u32,
    /// The slot that holds the newest one.
    pub(crate) newest: Option<u32>,
    /// The number of the next one.
    pub(crate) number: u64,
    every_bytes: u64,
    pub(crate) part_units: u32,
    pub(crate) buffer: Option<Buffer>,
    pub(crate) running: Option<Running>,
    /// The slots are being moved.
    pub(crate) relocation: Option<Relocation>,
    /// The label that counts, and what stands in its places.
    pub(crate) labels: Labels,
    /// The highest generation that any label was given.
    generation_last: u64,
    /// What is left of older slots, as the mount found it.
    pub(crate) remains: Vec<u32>,
    /// The zones that are being emptied for slots, where the drive has none.
    pub(crate) run: Option<Run>,
    /// How many zones each slot is to have; 0 where the drive is too small to keep checkpoints.
    pub(crate) slot_zones_wanted: u32,
    /// How many zones are to have been reset since the mount before another run is chosen.
    pub(crate) next_run_at_resets: u64,
    /// What the device has not finished yet: it may be of a checkpoint that was given up.
    pub(crate) in_flight: u32,
    pub(crate) failures: u32,
    /// Zones to which it could not be written: others take their place.
    pub(crate) bad_zones: Vec<u32>,
    /// Such zones, once others were looked for.
    pub(crate) given_up: Vec<u32>,
    /// Whether the one that is written at the end is done, or need not be.
    pub(crate) is_last_done: bool,
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
        let label = &mounted.labels.label;
        let slot_zones_wanted = slot_zones_wanted(&mounted.zones, label.blocks_max);
        let capacity = match label.checkpoint_slot_zones {
            0 => mounted.zones.iter().map(|(_, zone)| zone.capacity_units).max(),
            _ => slots_of(label).map(|zone| mounted.zones.get(zone).capacity_units).min(),
        };
        let part_units = part_units(capacity.unwrap_or(0));
        let buffer = match label.checkpoint_slot_zones.max(slot_zones_wanted) {
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
            labels: mounted.labels.clone(),
            generation_last: mounted.labels.generation_last,
            remains: mounted.remains.clone(),
            run: None,
            slot_zones_wanted,
            next_run_at_resets: 0,
            in_flight: 0,
            failures: 0,
            bad_zones: Vec::new(),
            given_up: Vec::new(),
            is_last_done: false,
        })
    }

    pub(crate) fn zone_of(&self, slot: u32, nth: u32) -> u32 {
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

    /// Whether one can be begun, as far as checkpoints themselves go.
    pub(crate) fn may_begin(&self) -> bool {
        self.is_kept()
            && self.in_flight == 0
            && self.running.is_none()
            && self.relocation.is_none()
            && self.failures < FAILURES_MAX
    }

    /// Whether one is under way, or can be begun as soon as others are not.
    pub(crate) fn can_come(&self) -> bool {
        self.is_kept() && self.failures < FAILURES_MAX && !self.is_moving()
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

    /// Whether the drive could keep checkpoints, and has no zones for them.
    pub(crate) fn lacks_run(&self) -> bool {
        !self.is_kept() && self.slot_zones_wanted > 0 && self.part_units > 1 && self.buffer.is_some()
    }

    /// Why the drive keeps no checkpoints now; `None` where it does, or is about to name other zones for them.
    pub(crate) fn why_none(&self) -> Option<&'static str> {
        match (self.is_kept(), &self.run) {
            (true, _) if self.is_given_up() => Some(
                "a zone that is kept for checkpoints has failed, and no label can be written that names another: zones \
                 that are reset stay unused",
            ),
            (true, _) => None,
            (false, _) if !self.lacks_run() => {
                Some("the drive has too few zones to keep any for checkpoints")
            }
            (false, Some(_)) => Some("zones that stand beside one another are being emptied for checkpoints"),
            (false, None) => Some(
                "a zone that was kept for checkpoints has failed, and too few others are free to take its place",
            ),
        }
    }

    /// A generation that no label of this drive has had.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generation_last = self.generation_last.saturating_add(1);
        self.generation_last
    }

    /// Goes on in the slots that `label` names: none of them holds a checkpoint.
    pub(crate) fn move_to(&mut self, label: &Label, zones: &ZoneTable) {
        self.labels.label = label.clone();
        if let Some(capacity) = slots_of(label).map(|zone| zones.get(zone).capacity_units).min() {
            // The memory stays what was taken at the start.
            self.part_units = self.part_units.min(part_units(capacity));
        }
        self.first_zone = label.checkpoint_first_zone;
        self.slot_zones = if self.part_units > 1 { label.checkpoint_slot_zones } else { 0 };
        self.newest = None;
        self.failures = 0;
    }
}

impl Store {
    /// Tells the referee which labels stand, and where the newest checkpoint does.
    pub(crate) fn tell_referee_of_labels(&mut self) {
        let Labels { label, generations, .. } = &self.checkpointing.labels;
        for (zone, generation) in label.label_zones.into_iter().zip(generations) {
            if let Some(generation) = *generation {
                // Of an older one it is not known any more which zones it names.
                let slots = if generation == label.generation { slots_of(label) } else { 0..0 };
                self.referee.reserved.label_stands(zone, generation, slots);
            }
        }
        if let Some(slot) = self.checkpointing.newest {
            self.referee.reserved.checkpoint_stands(label.checkpoint_slot(slot));
        }
    }

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

    /// Whether a checkpoint is due: after so much was written, where zones wait to be freed or reset, and at the end.
    fn wants_checkpoint(&self) -> bool {
        let Checkpointing { every_bytes, is_last_done, .. } = &self.checkpointing;
        self.written_since_checkpoint_bytes >= *every_bytes
            || (self.is_stopping && !is_last_done && self.is_idle())
            || self.zones_are_worth_a_checkpoint()
            || self.trash_awaits_checkpoint()
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
