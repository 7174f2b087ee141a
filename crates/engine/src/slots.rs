//! Where the checkpoints' slots lie: two of them, one behind the other, so that they need a run of zones.
//!
//! They are chosen when the drive is formatted, and again where one of their zones has failed. Then a run of free zones is
//! taken. Where there is none, the drive keeps no checkpoints for a while: its labels name no slots, so that what is reset is
//! free at once, and a run is emptied, like any zone that has to be evacuated. Its zones are kept as they become free.

use imbrex_format::{CELL_BYTES, Label, TableEntry, UNIT_BYTES, index_bucket_count};
use imbrex_zoned::{Condition, Zone, ZoneKind};

use crate::checkpoint_parts::part_units;
use crate::log::{ENTRIES_MAX, STREAMS};
use crate::relocating::{Relocation, slots_of};
use crate::request::ZoneRole;
use crate::room::{ZONES_FOR_DELETIONS, ZONES_FOR_RECLAIM};
use crate::store::Store;
use crate::zone_table::{ZoneEntry, ZoneTable};

/// At most one zone in so many is kept for checkpoints: a drive of few zones has little to read at a mount, and more use
/// for them.
const ZONES_PER_CHECKPOINT_ZONE: usize = 8;

/// How many zones are to be free beside those that are kept and those of the run, before a run is emptied.
const SPARE_ZONES: u32 = 3;

/// A run of zones that is being emptied for slots.
pub(crate) struct Run {
    first_zone: u32,
    slot_zones: u32,
    /// Those of its zones that are kept already.
    kept: Vec<u32>,
}

impl Run {
    fn zones(&self) -> std::ops::Range<u32> {
        self.first_zone..self.first_zone + 2 * self.slot_zones
    }
}

/// How many zones each of the two slots has: room for the index and zone cells, a tenth of them again as patches, and the
/// tables of the open zones. `None` where the drive has too few zones for it.
fn slot_zones(zones: &[Zone], blocks_max: u64) -> Option<usize> {
    let largest = zones.iter().map(|zone| zone.capacity_bytes).max()?;
    let capacity = u32::try_from(largest / UNIT_BYTES as u64).ok()?;
    let part = part_units(capacity);
    let entries_max = ENTRIES_MAX.min(capacity as usize / 2);
    let cells = index_bucket_count(blocks_max) + zones.len() as u64;
    let bytes = (cells + cells / 10) * CELL_BYTES as u64 + (STREAMS * entries_max * TableEntry::BYTES) as u64;
    // Each record has a unit of its own beside what it holds, and a zone's end may be too small for one.
    let records = bytes / (u64::from(part.max(2) - 1) * UNIT_BYTES as u64) + 8;
    let units = bytes.div_ceil(UNIT_BYTES as u64) + records;
    let room = u64::from(capacity.checked_sub(part + 1).filter(|_| part > 1)?);
    let slot_zones = usize::try_from(units.div_ceil(room)).ok()?;
    (2 * slot_zones <= zones.len() / ZONES_PER_CHECKPOINT_ZONE).then_some(slot_zones)
}

/// Where the two slots lie, and how many zones each has: the first run of usable zones of one kind, each as large as the
/// drive's largest. `None` where there is no such run, or where the drive has too few zones.
pub(crate) fn checkpoint_slots(zones: &[Zone], label_zones: [u32; 2], blocks_max: u64) -> Option<(u32, u32)> {
    let usable = |zone: &Zone| {
        !matches!(zone.condition, Condition::ReadOnly | Condition::Offline)
            && !label_zones.contains(&zone.index)
    };
    let largest = zones.iter().map(|zone| zone.capacity_bytes).max()?;
    let slot_zones = slot_zones(zones, blocks_max)?;
    let fits = |run: &&[Zone]| {
        let same = |zone: &Zone| zone.kind == run[0].kind && zone.capacity_bytes == largest;
        run.iter().all(|zone| usable(zone) && same(zone))
    };
    let run = zones.windows(2 * slot_zones).find(fits)?;
    Some((run[0].index, u32::try_from(slot_zones).ok()?))
}

impl Store {
    /// Begins to move the slots, where that is due and possible.
    pub(crate) fn begin_relocation(&mut self) -> bool {
        if !self.checkpointing.is_settled() {
            return false;
        }
        if !self.checkpointing.bad_zones.is_empty() {
            let bad = std::mem::take(&mut self.checkpointing.bad_zones);
            self.checkpointing.given_up.extend(bad);
            let slots = checkpoint_slots(&self.candidates(), self.label.label_zones, self.label.blocks_max);
            return self.relocate_to(slots.unwrap_or((0, 0)));
        }
        if !self.checkpointing.remains.is_empty() {
            let remains = std::mem::take(&mut self.checkpointing.remains);
            remains.iter().for_each(|zone| self.referee.reserve(*zone));
            self.checkpointing.relocation = Some(Relocation::of_remains(self.label.clone(), remains));
            return true;
        }
        self.checkpointing.lacks_run() && !self.is_stopping && self.empty_a_run()
    }

    fn relocate_to(&mut self, (first_zone, slot_zones): (u32, u32)) -> bool {
        tracing::error!(first_zone, slot_zones, "the zones that are kept for checkpoints change");
        let label = Label {
            generation: self.checkpointing.next_generation(),
            checkpoint_first_zone: first_zone,
            checkpoint_slot_zones: slot_zones,
            ..self.label.clone()
        };
        for zone in slots_of(&label) {
            if self.zones.get(zone).role != ZoneRole::Checkpoint {
                self.keep_zone(zone);
            }
        }
        let order = self.checkpointing.labels.worst_first();
        self.checkpointing.relocation = Some(Relocation::to(label, order, slots_of(&self.label).collect()));
        true
    }

    fn keep_zone(&mut self, zone: u32) {
        self.zones.keep_for_checkpoints(zone);
        self.referee.reserve(zone);
    }

    /// All zones as the choice of slots sees them: only one that is free, empty and sequential can be taken.
    fn candidates(&self) -> Vec<Zone> {
        let is_usable = |zone: u32, entry: &ZoneEntry| {
            entry.role == ZoneRole::Free
                && entry.condition == Condition::Empty
                && !self.checkpointing.given_up.contains(&zone)
        };
        self.zones.iter().map(|(zone, entry)| candidate(zone, entry, is_usable(zone, entry))).collect()
    }

    /// Goes on with emptying a run of zones for new slots, or begins where enough others are free. Whether the run is empty
    /// now, and the slots are being moved to it.
    fn empty_a_run(&mut self) -> bool {
        if self.checkpointing.run.is_none() {
            self.choose_run();
        }
        self.keep_run();
        let Some(run) = &self.checkpointing.run else { return false };
        if run.kept.len() == run.zones().len() {
            let slots = (run.first_zone, run.slot_zones);
            self.checkpointing.run = None;
            return self.relocate_to(slots);
        }
        let cannot_be_empty = |zone: u32| {
            let entry = self.zones.get(zone);
            !self.can_be_emptied(zone, entry) && entry.role != ZoneRole::Checkpoint
        };
        if self.waits_for_zone || run.zones().any(cannot_be_empty) {
            self.give_up_run();
        }
        false
    }

    /// Keeps those zones of the run that are free.
    pub(crate) fn keep_run(&mut self) {
        let Some(mut run) = self.checkpointing.run.take() else { return };
        for zone in run.zones() {
            let entry = self.zones.get_mut(zone);
            if entry.role == ZoneRole::Free && entry.condition == Condition::Empty {
                self.keep_zone(zone);
                run.kept.push(zone);
            } else if matches!(entry.role, ZoneRole::Sealed | ZoneRole::Fenced) {
                // Also one that was opened, and sealed, since the run was chosen.
                entry.evacuate = true;
            }
        }
        self.checkpointing.run = Some(run);
    }

    /// Lets the log have the run's zones again: it needs them, or one of them cannot be emptied.
    fn give_up_run(&mut self) {
        let Some(run) = self.checkpointing.run.take() else { return };
        tracing::warn!(zone = run.first_zone, "zones are no longer emptied for checkpoints");
        for zone in run.kept {
            self.referee.release(zone);
            self.zones.set_free(zone);
        }
        // Not at once again: what it takes to move what lives is not to be spent in a circle.
        self.checkpointing.next_run_at_resets = self.stats.zones_reset + self.zones.count() as u64;
    }

    fn can_be_emptied(&self, zone: u32, entry: &ZoneEntry) -> bool {
        use ZoneRole::{Fenced, Free, Open, Reset, Sealed, Trash};
        matches!(entry.role, Free | Open | Sealed | Fenced | Trash | Reset)
            && entry.kind == ZoneKind::SequentialWriteRequired
            && entry.can_be_reset()
            && !entry.is_stuck
            && !self.checkpointing.given_up.contains(&zone)
    }

    /// Chooses the run in which the least lives, where the drive has zones to spare.
    fn choose_run(&mut self) {
        let spare = ZONES_FOR_RECLAIM + ZONES_FOR_DELETIONS + SPARE_ZONES;
        let slot_zones = self.checkpointing.slot_zones_wanted;
        if self.stats.zones_reset < self.checkpointing.next_run_at_resets
            || self.zones.free_count() < spare + 2 * slot_zones
        {
            return;
        }
        let usable = |(zone, entry): (u32, &ZoneEntry)| {
            candidate(zone, entry, entry.role != ZoneRole::Open && self.can_be_emptied(zone, entry))
        };
        let zones: Vec<Zone> = self.zones.iter().map(usable).collect();
        let largest = zones.iter().map(|zone| zone.capacity_bytes).max();
        let is_usable =
            |zone: &Zone| zone.condition == Condition::Empty && Some(zone.capacity_bytes) == largest;
        let live_units = |run: &&[Zone]| -> u64 {
            run.iter().map(|zone| u64::from(self.zones.get(zone.index).live_units)).sum()
        };
        let runs = zones.windows(2 * slot_zones as usize).filter(|run| run.iter().all(is_usable));
        let Some(first_zone) = runs.min_by_key(live_units).map(|run| run[0].index) else {
            self.checkpointing.next_run_at_resets = self.stats.zones_reset + 1;
            return;
        };
        tracing::warn!(first_zone, slot_zones, "zones are emptied for checkpoints");
        self.checkpointing.run = Some(Run { first_zone, slot_zones, kept: Vec::new() });
    }
}

/// A zone as the choice of slots sees it.
fn candidate(zone: u32, entry: &ZoneEntry, is_usable: bool) -> Zone {
    Zone {
        index: zone,
        kind: entry.kind,
        condition: if is_usable { Condition::Empty } else { Condition::Offline },
        capacity_bytes: u64::from(entry.capacity_units) * UNIT_BYTES as u64,
        write_pointer_bytes: None,
    }
}

/// How many zones each slot is to have on a drive with these zones; 0 where it keeps no checkpoints.
pub(crate) fn slot_zones_wanted(zones: &ZoneTable, blocks_max: u64) -> u32 {
    let zones: Vec<Zone> = zones.iter().map(|(zone, entry)| candidate(zone, entry, true)).collect();
    slot_zones(&zones, blocks_max).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}
