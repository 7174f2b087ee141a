//! Reclaim: moving what lives out of zones that are mostly dead, so that they can be reset.
//!
//! One zone at a time: its table is read, then the records in it that live, in runs; each is checked, and written again
//! to the cold stream, in the very memory to which it was read. It keeps its birth. In the same group a tombstone kills
//! the old copy, so that a crash at any point leaves exactly one. Tombstones that the zone holds are carried on as long as
//! what they name has not gone. When nothing in the zone lives any more, it goes to the trash ([`crate::trash`]). Which zone
//! and when stands here; how its records are moved, in [`crate::moving`].
//!
//! A record that cannot be read, or whose checksum is wrong, stays where it is and is listed as damaged: its zone is
//! not reset until a client has replaced or deleted the block.

use imbrex_zoned::{Buffer, Condition, Device, DeviceError};

use crate::arena::Arena;
use crate::inventory::Inventory;
use crate::location::Location;
use crate::reads::{Read, ReadPurpose, ZoneReader};
use crate::request::ZoneRole;
use crate::schedule::Work;
use crate::store::Store;
use crate::victim;

/// How long a zone is waited for of which records belong to requests under way, in microseconds: these may themselves
/// wait for the room that other zones would give.
const BUSY_WAIT_US: u64 = 50_000;

/// What reclaim is doing.
pub(crate) struct Reclaim {
    pub(crate) victim: Option<Victim>,
    pub(crate) arena: Arena,
    pub(crate) inventory: Inventory,
    /// Zones that were left because requests for records in them are under way.
    left: Vec<u32>,
}

/// How far reclaim is with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Table,
    Moving,
}

/// The zone that is being emptied.
pub(crate) struct Victim {
    pub(crate) zone: u32,
    pub(crate) step: Step,
    /// The next entry to be looked at.
    pub(crate) next: usize,
    /// A read of the zone is under way.
    pub(crate) is_reading: bool,
    /// Records are read one by one, because a run could not be read.
    pub(crate) one_by_one: bool,
    /// Moves that are not durable yet.
    pub(crate) moving: u32,
    /// Tombstones that are not durable yet.
    pub(crate) carrying: u32,
    /// Records passed over because their key was busy or memory was short.
    pub(crate) passed_over: u32,
    /// Since when nothing but busy keys was met in it.
    pub(crate) waits_since_us: Option<u64>,
    /// The next entry to be looked at for a tombstone that is still needed.
    pub(crate) next_tombstone: usize,
    /// Up to where the zone has been passed over, for the pace.
    pub(crate) passed_units: u32,
}

impl Reclaim {
    pub(crate) fn new(arena: Arena, entries_max: usize) -> Self {
        Self { victim: None, arena, inventory: Inventory::new(entries_max), left: Vec::new() }
    }

    /// The zone that is being emptied.
    pub(crate) fn zone(&self) -> Option<u32> {
        self.victim.as_ref().map(|victim| victim.zone)
    }

    /// Whether zones were left that are looked at again once a request has ended.
    pub(crate) fn has_left_zones(&self) -> bool {
        !self.left.is_empty()
    }
}

impl Store {
    /// Does what can be done: chooses a zone, or goes on with the one that was chosen.
    pub(crate) fn pump_reclaim(&mut self, device: &mut dyn Device) {
        if self.fault.is_some() {
            return;
        }
        if self.reclaim.victim.is_none() && !(self.level_is_fresh && self.choose_victim()) {
            return;
        }
        let Some(victim) = &self.reclaim.victim else { return };
        if victim.is_reading {
            return;
        }
        match victim.step {
            Step::Table => self.read_inventory(device),
            Step::Moving => self.move_on(device),
        }
    }

    /// Chooses the next zone, where reclaim is to run. Zones in which nothing lives need no reclaim.
    fn choose_victim(&mut self) -> bool {
        let Some(zone) = self.find_victim() else { return false };
        let entry = self.zones.get(zone);
        self.reclaim.inventory.begin(zone, entry, entry.has_footer());
        self.reclaim.victim = Some(Victim {
            zone,
            step: Step::Table,
            next: 0,
            is_reading: false,
            one_by_one: false,
            moving: 0,
            carrying: 0,
            passed_over: 0,
            waits_since_us: None,
            next_tombstone: 0,
            passed_units: 0,
        });
        true
    }

    /// The zone to be emptied next: one that has failed, or is spent, at any time; others where room is wanted.
    fn find_victim(&self) -> Option<u32> {
        let may_reclaim = self.pace.may_reclaim();
        // What is on its way to a zone is not counted in it yet, so that it can look dead.
        let candidates = self.zones.iter().filter(|(zone, entry)| {
            matches!(entry.role, ZoneRole::Sealed | ZoneRole::Fenced)
                && !self.writes_are_at_risk(*zone)
                && !entry.is_stuck
                && entry.condition != Condition::Offline
                && self.can_empty(entry)
                && (entry.evacuate || (entry.can_be_reset() && (may_reclaim || self.is_spent(entry))))
        });
        let candidates = candidates.map(|(zone, entry)| self.candidate(zone, entry));
        victim::choose(candidates, self.pace.pressure())
    }

    fn read_inventory(&mut self, device: &mut dyn Device) {
        let Some(zone) = self.reclaim.zone() else { return };
        match self.reclaim.inventory.next_read(self.zones.get(zone)) {
            Some(location) => self.read_for_reclaim(device, location, None),
            None => {
                if let Some(victim) = self.reclaim.victim.as_mut() {
                    victim.step = Step::Moving;
                }
                self.move_on(device);
            }
        }
    }

    fn read_for_reclaim(&mut self, device: &mut dyn Device, location: Location, buffer: Option<Buffer>) {
        if let Some(victim) = self.reclaim.victim.as_mut() {
            victim.is_reading = true;
        }
        let purpose = ReadPurpose::Zone(ZoneReader::Reclaim, buffer);
        self.enqueue_read(device, Read::of_stretch(location, purpose, Work::Reclaim));
    }

    /// Takes a read of the zone.
    pub(crate) fn reclaim_read(
        &mut self,
        device: &mut dyn Device,
        location: Location,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        let Some(victim) = self.reclaim.victim.as_mut() else {
            return buffer.into_iter().for_each(|buffer| self.reclaim.arena.give_back(buffer));
        };
        victim.is_reading = false;
        let is_table = victim.step == Step::Table;
        match (result, buffer) {
            (Ok(()), Some(buffer)) if is_table => {
                self.reclaim.inventory.took(&self.label, self.zones.get(location.zone), Ok(&buffer));
            }
            (Err(error), _) if is_table => {
                self.reclaim.inventory.took(&self.label, self.zones.get(location.zone), Err(&error));
            }
            (Ok(()), Some(buffer)) => self.move_records(location, buffer),
            (result, buffer) => {
                buffer.into_iter().for_each(|buffer| self.reclaim.arena.give_back(buffer));
                self.run_unreadable(location, result.as_ref().err());
            }
        }
        self.pump_reclaim(device);
        self.pump_writes(device);
    }

    /// A read that could not begin is tried again when the engine next turns.
    pub(crate) fn reclaim_refused(&mut self, buffer: Option<Buffer>) {
        buffer.into_iter().for_each(|buffer| self.reclaim.arena.give_back(buffer));
        if let Some(victim) = self.reclaim.victim.as_mut() {
            victim.is_reading = false;
            if victim.step == Step::Moving {
                victim.passed_over += 1;
            }
        }
    }

    /// Reads the next run of records that live, or ends the pass.
    fn move_on(&mut self, device: &mut dyn Device) {
        self.carry_tombstones();
        let longest_units = self.reclaim.arena.longest_units();
        let Some((run, next)) = self.next_run(longest_units) else { return self.end_pass() };
        let Some(run) = run else { return };
        if let Some(buffer) = self.reclaim.arena.take(run.unit_count) {
            if let Some(victim) = self.reclaim.victim.as_mut() {
                victim.next = next;
                let dead_units = run.unit_offset.saturating_sub(victim.passed_units);
                victim.passed_units = victim.passed_units.max(run.unit_offset + run.unit_count);
                self.pace.reclaimed(u64::from(dead_units));
            }
            self.read_for_reclaim(device, run, Some(buffer));
        }
    }

    /// The table is at its end: the zone is empty, or has to be gone through again, or cannot be emptied.
    fn end_pass(&mut self) {
        let Some(victim) = self.reclaim.victim.as_mut() else { return };
        let carrying = victim.next_tombstone < self.reclaim.inventory.entries().len();
        if victim.moving + victim.carrying > 0 || carrying {
            return;
        }
        let (zone, again) = (victim.zone, victim.passed_over > 0);
        let left_units = self.zones.get(zone).capacity_units.saturating_sub(victim.passed_units);
        victim.passed_units += left_units;
        self.pace.reclaimed(u64::from(left_units));
        if self.zones.get(zone).live_units > 0 && again {
            victim.passed_over = 0;
            victim.next = 0;
            let now_us = self.now_us;
            if now_us.saturating_sub(*victim.waits_since_us.get_or_insert(now_us)) > BUSY_WAIT_US {
                self.reclaim.victim = None;
                self.reclaim.left.push(zone);
                self.zones.get_mut(zone).is_stuck = true;
            }
            return;
        }
        self.reclaim.victim = None;
        let is_complete = self.reclaim.inventory.is_complete();
        let entry = self.zones.get_mut(zone);
        entry.evacuate = false;
        if entry.live_units > 0 || !is_complete {
            // Damaged records stay for a client to replace; tombstones that cannot be read could be needed.
            entry.is_stuck = true;
            tracing::warn!(
                zone,
                live_units = entry.live_units,
                is_complete,
                "a zone cannot be emptied: what is damaged in it stays until it is replaced or deleted"
            );
            return;
        }
        self.stats.zones_reclaimed += 1;
        self.put_into_trash(zone);
    }

    /// A record that was being moved is durable in its new place, or will not be moved.
    pub(crate) fn move_ended(&mut self, moved: bool) {
        if let Some(victim) = self.reclaim.victim.as_mut() {
            victim.moving = victim.moving.saturating_sub(1);
            // Where the index has no place for the copy, the zone is left alone for now.
            victim.passed_over = if moved { victim.passed_over } else { 0 };
        }
    }

    /// A request has ended: zones that were left for such are looked at again.
    pub(crate) fn reclaim_left_zones(&mut self) {
        for zone in std::mem::take(&mut self.reclaim.left) {
            self.zones.get_mut(zone).is_stuck = false;
        }
    }

    /// Tombstones that were being carried on are durable, or are no longer needed.
    pub(crate) fn carried(&mut self, count: u32) {
        self.stats.carried_tombstones += u64::from(count);
        if let Some(victim) = self.reclaim.victim.as_mut() {
            victim.carrying = victim.carrying.saturating_sub(count);
        }
    }

    /// Something in the zone cannot be read: what else stands in it is moved away, before more goes. An open one is closed
    /// first ([`Store::stream_to_close`]).
    pub(crate) fn zone_is_suspect(&mut self, zone: u32) {
        let entry = self.zones.get_mut(zone);
        if matches!(entry.role, ZoneRole::Open | ZoneRole::Sealed | ZoneRole::Fenced) && !entry.is_stuck {
            entry.evacuate = true;
        }
    }
}

#[cfg(test)]
impl Reclaim {
    pub(crate) fn describe(&self) -> String {
        let victim = self.victim.as_ref();
        let victim =
            victim.map(|v| (v.zone, v.step, v.next, v.is_reading, v.moving, v.carrying, v.passed_over));
        format!("{victim:?}, arena {}", self.arena.longest_units())
    }
}
