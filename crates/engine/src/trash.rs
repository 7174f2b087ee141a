//! From a zone in which nothing lives to a free one: by way of the trash, an inspection, the referee, and a reset.
//!
//! A reset is the one order that destroys data, so it is guarded three times. The zone has rested, so that a defect has
//! time to be seen. The inspector has swept the whole index for places in the zone, and has read the zone's own table and
//! asked the index for each record in it. The referee, who shares nothing with reclaim, has counted on its own.
//!
//! A zone that was reset is free only once two checkpoints in a row know it: until then a mount from an older one could
//! take its next life for the last. On a drive without checkpoints it is free at once.
//!
//! No order resets a conventional zone. Zeros over its trailer and its header, flushed, end its life; then zeros over its
//! first record, flushed too, before it is free: where the next life's header is lost, that record would tell the last one.

use std::collections::VecDeque;

use imbrex_format::{TableEntry, UNIT_BYTES};
use imbrex_zoned::{Buffer, Device, DeviceError, Token, ZoneKind, ZoneOperation};

use crate::inventory::Inventory;
use crate::location::Location;
use crate::mutation::{Mutation, is};
use crate::reads::{Read, ReadPurpose, ZoneReader};
use crate::request::ZoneRole;
use crate::schedule::Work;
use crate::store::{Store, TOKEN_RESET};

mod resetting;
mod telling;

pub(crate) use resetting::FIRST_RECORD_UNIT;

/// How often a zone is read before it is given up that cannot be read whole.
const INSPECTIONS_MAX: u32 = 3;

/// How many cells of the index one turn sweeps: 256 KiB of memory, some tens of microseconds.
const SWEEP_CELLS: u64 = 4096;

/// The zones that rest, and the one that is being inspected or reset.
pub(crate) struct Trash {
    resting: VecDeque<Resting>,
    under_way: Option<Guarded>,
    inventory: Inventory,
    /// A unit of zeros, for the zones that no order resets.
    zeros: Option<Buffer>,
}

struct Resting {
    zone: u32,
    since_us: u64,
}

/// A zone on its way to a reset.
struct Guarded {
    zone: u32,
    step: Step,
    /// Entries of the index that point into the zone.
    index_entries: u64,
    /// Units of their records.
    index_units: u32,
    /// Records in the zone's own table that the index knows.
    live: u64,
    /// How often the zone itself was read.
    inspections: u32,
    /// A flush has failed meanwhile: the zeros that end a conventional zone's life may be lost.
    is_doomed: bool,
    /// The zeros that end a conventional zone's life are durable. Its first record is left.
    is_life_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Sweep {
        cell: u64,
    },
    Table,
    Reading,
    Judge,
    /// The order is on its way; a conventional zone has its last unit overwritten, and then others.
    Reset,
    Zero {
        unit: u32,
    },
    ZeroUnderWay {
        unit: u32,
    },
    Flush,
    FlushUnderWay,
}

impl Trash {
    /// An empty trash for `zone_count` zones.
    pub(crate) fn new(zone_count: usize, entries_max: usize, zeros: Buffer) -> Self {
        Self {
            resting: VecDeque::with_capacity(zone_count),
            under_way: None,
            inventory: Inventory::new(entries_max),
            zeros: Some(zeros),
        }
    }

    /// Whether a zone is with the referee, who judges one order at a time, or is being reset.
    pub(crate) fn is_judging(&self) -> bool {
        use Step::{Flush, FlushUnderWay, Reset, Zero, ZeroUnderWay};
        self.under_way.as_ref().is_some_and(|guarded| {
            matches!(guarded.step, Reset | Zero { .. } | ZeroUnderWay { .. } | Flush | FlushUnderWay)
        })
    }

    /// A flush has failed: a reset that is under way is not trusted.
    pub(crate) fn doom(&mut self) {
        let is_judging = self.is_judging();
        if let Some(guarded) = self.under_way.as_mut().filter(|_| is_judging) {
            guarded.is_doomed = true;
        }
    }

    /// Whether it holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.resting.is_empty() && self.under_way.is_none()
    }

    /// When the first zone has rested.
    pub(crate) fn due_us(&self, rest_us: u64) -> Option<u64> {
        match &self.under_way {
            Some(_) => None,
            None => self.resting.front().map(|resting| resting.since_us.saturating_add(rest_us)),
        }
    }

    /// Whether it has something to do that waits for no one.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.under_way.as_ref().is_some_and(|guarded| matches!(guarded.step, Step::Sweep { .. }))
    }

    /// Whether the zone's table could not be read, nor all that stands before it.
    fn is_unread(&self) -> bool {
        self.inventory.has_damaged_footer() && !self.inventory.is_complete()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.resting.capacity() * size_of::<Resting>()) as u64 + self.inventory.memory_bytes()
    }
}

impl Store {
    /// Puts a zone in which nothing lives into the trash.
    pub(crate) fn put_into_trash(&mut self, zone: u32) {
        let (now_us, unix_s) = (self.now_us, self.unix_s);
        let entry = self.zones.get_mut(zone);
        if entry.live_units > live_units_allowed()
            || !matches!(entry.role, ZoneRole::Sealed | ZoneRole::Fenced)
            || entry.is_kept
        {
            return;
        }
        if !entry.can_be_reset() || entry.is_unknown {
            // Nothing that is known lives in it, and nothing is written to it any more.
            entry.role = ZoneRole::Lost;
            return;
        }
        entry.role = ZoneRole::Trash;
        entry.closed_at_unix_s = unix_s;
        self.referee.trashed(zone, entry.incarnation, now_us);
        self.trash.resting.push_back(Resting { zone, since_us: now_us });
    }

    /// A record in the zone has died: if it was the last, and nothing is to be carried on, the zone needs no reclaim.
    pub(crate) fn zone_lost_a_record(&mut self, zone: u32) {
        let entry = self.zones.get(zone);
        let dead = entry.role == ZoneRole::Sealed
            && entry.live_units <= live_units_allowed()
            && entry.tombstones == 0
            && !entry.is_kept;
        if dead && self.reclaim.zone() != Some(zone) && !self.writes_are_at_risk(zone) {
            self.stats.zones_reclaimed += 1;
            self.put_into_trash(zone);
        }
    }

    /// The footer of a zone is durable.
    pub(crate) fn zone_sealed(&mut self, zone: u32) {
        self.zone_lost_a_record(zone);
    }

    /// Whether a group that is not durable yet writes to the zone: its footer, that is.
    pub(crate) fn writes_are_at_risk(&self, zone: u32) -> bool {
        self.writing.iter().chain(&self.flushing).any(|group| group.zones().any(|other| other == zone))
    }

    /// Goes on with the zone that is being inspected or reset, or takes the next one that has rested.
    pub(crate) fn pump_trash(&mut self, device: &mut dyn Device) {
        if self.fault.is_some() || (self.is_stopping && !self.waits_for_zone && !self.trash.is_judging()) {
            return;
        }
        if self.trash.under_way.is_none() && !self.begin_inspection() {
            return;
        }
        let Some(guarded) = self.trash.under_way.as_ref() else { return };
        let zone = guarded.zone;
        match guarded.step {
            Step::Sweep { cell } => self.sweep(cell),
            Step::Table => self.read_for_inspection(device),
            Step::Judge if self.zones.get(zone).readers == 0 && !self.checkpointing.is_resetting() => {
                self.judge(device);
            }
            Step::Zero { unit } => self.submit_zeros(device, zone, unit, Step::ZeroUnderWay { unit }),
            Step::Flush => self.submit_reset_flush(device),
            _ => {}
        }
    }

    fn begin_inspection(&mut self) -> bool {
        let rested = |resting: &Resting| resting.since_us.saturating_add(self.trash_rest_us) <= self.now_us;
        if !self.trash.resting.front().is_some_and(rested) || self.trash_awaits_checkpoint() {
            return false;
        }
        let Some(Resting { zone, .. }) = self.trash.resting.pop_front() else { return false };
        let entry = self.zones.get(zone);
        self.trash.inventory.begin(zone, entry, entry.table_entries > 0);
        self.trash.under_way = Some(Guarded {
            zone,
            step: Step::Sweep { cell: 0 },
            index_entries: 0,
            index_units: 0,
            live: 0,
            inspections: 1,
            is_doomed: false,
            is_life_over: false,
        });
        true
    }

    fn set_step(&mut self, step: Step) {
        if let Some(guarded) = self.trash.under_way.as_mut() {
            guarded.step = step;
        }
    }

    /// Looks through a part of the index for places in the zone.
    fn sweep(&mut self, cell: u64) {
        let Some(guarded) = self.trash.under_way.as_mut() else { return };
        let end = (cell + SWEEP_CELLS).min(self.index.cell_count());
        let zone = guarded.zone;
        self.index.sweep(cell..end, |location| {
            if location.zone == zone {
                guarded.index_entries += 1;
                guarded.index_units = guarded.index_units.saturating_add(location.unit_count);
            }
        });
        guarded.step = if end == self.index.cell_count() { Step::Table } else { Step::Sweep { cell: end } };
    }

    fn read_for_inspection(&mut self, device: &mut dyn Device) {
        let Some(guarded) = self.trash.under_way.as_ref() else { return };
        match self.trash.inventory.next_read(self.zones.get(guarded.zone)) {
            Some(location) => {
                self.set_step(Step::Reading);
                let purpose = ReadPurpose::Zone(ZoneReader::Inspection, None);
                self.enqueue_read(device, Read::of_stretch(location, purpose, Work::Reclaim));
            }
            None if self.trash.is_unread() => self.inspect_again(),
            None => {
                self.count_live();
                self.set_step(Step::Judge);
            }
        }
    }

    /// Takes a read of the zone's table.
    pub(crate) fn inspection_read(
        &mut self,
        location: Location,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        let result = result.and_then(|()| buffer.ok_or(DeviceError::Gone));
        let entry = self.zones.get(location.zone);
        self.trash.inventory.took(&self.label, entry, result.as_ref().map(|buffer| &**buffer));
        self.set_step(Step::Table);
    }

    /// Not all of the zone can be read, so that nobody can say of it that nothing in it lives: it is read again, and then left
    /// until the next mount.
    fn inspect_again(&mut self) {
        let Some(guarded) = self.trash.under_way.as_mut() else { return };
        let zone = guarded.zone;
        if guarded.inspections < INSPECTIONS_MAX {
            guarded.inspections += 1;
            guarded.step = Step::Table;
            let entry = self.zones.get(zone);
            self.trash.inventory.begin(zone, entry, entry.table_entries > 0);
            return;
        }
        tracing::error!(zone, "a zone in which nothing lives cannot be read whole: it is not reset");
        self.trash.under_way = None;
        self.leave_until_mount(zone);
    }

    /// A read that could not begin is tried again when the engine next turns.
    pub(crate) fn inspection_refused(&mut self) {
        self.set_step(Step::Table);
    }

    fn count_live(&mut self) {
        let Some(guarded) = self.trash.under_way.as_mut() else { return };
        let (zone, index) = (guarded.zone, &self.index);
        let known = |entry: &&TableEntry| match entry {
            TableEntry::Block { key, unit_offset, unit_count, .. } => {
                let location = Location { zone, unit_offset: *unit_offset, unit_count: *unit_count };
                index.contains(index.hash(key), location)
            }
            TableEntry::Tombstone { .. } => false,
        };
        guarded.live = self.trash.inventory.entries().iter().filter(known).count() as u64;
    }

    /// Asks the referee, and orders the reset.
    fn judge(&mut self, device: &mut dyn Device) {
        let Some(guarded) = self.trash.under_way.as_ref() else { return };
        let zone = guarded.zone;
        let entry = self.zones.get(zone);
        let incarnation = entry.incarnation;
        let found = if live_units_allowed() > 0 { (0, 0) } else { (guarded.live, guarded.index_entries) };
        self.referee.inspected(zone, incarnation, found.0, found.1);
        if let Err(refusal) = self.referee.judge_reset(zone, incarnation, self.now_us)
            && !is(Mutation::ResetWithLiveBlockAllowed)
        {
            tracing::error!(
                zone,
                reason = refusal.name(),
                "a reset was refused, and the zone is kept: {refusal}"
            );
            return self.reset_refused();
        }
        if entry.kind == ZoneKind::Conventional {
            let last = entry.capacity_units - 1;
            return self.submit_zeros(device, zone, last, Step::Reset);
        }
        if device.submit_zone(Token(TOKEN_RESET | u64::from(zone)), zone, ZoneOperation::Reset).is_ok() {
            self.log_in_flight += 1;
            self.set_step(Step::Reset);
        }
    }

    /// A zone whose reset was refused is read as it is, for what the referee guards may live in it. What the index names in
    /// it is counted as living, so that it is listed and scrubbed.
    fn reset_refused(&mut self) {
        let Some(Guarded { zone, index_units, .. }) = self.trash.under_way.take() else { return };
        self.stats.resets_refused += 1;
        let entry = self.zones.get_mut(zone);
        entry.role = if entry.table_entries > 0 { ZoneRole::Sealed } else { ZoneRole::Fenced };
        (entry.is_kept, entry.is_stuck) = (true, true);
        let missed_units = index_units.saturating_sub(entry.live_units);
        entry.live_units += missed_units;
        self.live_units += u64::from(missed_units);
    }

    fn submit_zeros(&mut self, device: &mut dyn Device, zone: u32, unit: u32, next: Step) {
        let Some(mut zeros) = self.trash.zeros.take() else { return };
        zeros.fill(0);
        let offset_bytes = device.geometry().zone_start_bytes(zone) + u64::from(unit) * UNIT_BYTES as u64;
        match device.submit_write(Token(TOKEN_RESET | u64::from(zone)), offset_bytes, zeros) {
            Ok(()) => {
                self.log_in_flight += 1;
                self.set_step(next);
            }
            Err((_, zeros)) => self.trash.zeros = Some(zeros),
        }
    }

    fn submit_reset_flush(&mut self, device: &mut dyn Device) {
        let Some(zone) = self.trash.under_way.as_ref().map(|guarded| guarded.zone) else { return };
        if self.order_flush(device, TOKEN_RESET | u64::from(zone)).is_ok() {
            self.log_in_flight += 1;
            self.set_step(Step::FlushUnderWay);
        }
    }
}

/// How many units may live in a zone that goes to the trash: none, but for deliberate defects.
fn live_units_allowed() -> u32 {
    let too_soon = is(Mutation::ResetWithLiveBlock) || is(Mutation::ResetWithLiveBlockAllowed);
    if too_soon { 8 } else { 0 }
}

#[cfg(test)]
#[path = "trash_tests.rs"]
mod tests;

#[cfg(test)]
impl Trash {
    pub(crate) fn describe(&self) -> String {
        format!("{} rest, {:?}", self.resting.len(), self.under_way.as_ref().map(|g| (g.zone, g.step)))
    }
}
