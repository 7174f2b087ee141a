//! Where the store meets the pace of reclaim ([`crate::pace`]).

use imbrex_format::{UNIT_BYTES, record_units};

use crate::index::Index;
use crate::log::Stream;
use crate::pace::{Level, Pace, SHORT_ZONES};
use crate::pending::{PendingPut, PutOrigin};
use crate::request::ZoneRole;
use crate::room::{ZONES_FOR_DELETIONS, ZONES_FOR_RECLAIM};
use crate::schedule::Work;
use crate::store::Store;
use crate::victim;
use crate::zone_table::{ZoneEntry, ZoneTable};

/// How many zones the level is counted for at every turn; with more, it is counted at most every [`LOOK_US`].
const ZONES_AT_ONCE: usize = 2048;

/// How often the level of a large drive is counted, in microseconds: 75,000 zones take about a millisecond.
const LOOK_US: u64 = 50_000;

/// Zones that were reset are worth a checkpoint when they hold so many times its size: it is then a hundredth of what is
/// written.
const CHECKPOINT_WORTH: u64 = 100;

/// But no more than this part of all zones is waited for: they are empty and of no use meanwhile.
const WAITING_PART_MAX: usize = 256;

/// For so long after the last write to the log a zone in which only tombstones stand waits for a checkpoint, in
/// microseconds: while more is written, there are checkpoints for other reasons.
const SPENT_ZONE_WAIT_US: u64 = 1_000_000;

/// What a zone holds beside records, at the least that matters: its header, a footer, and some commits and tombstones. Of
/// a zone of 256 MiB it is nothing; where zones are small, one that looks half dead can be as full as it can be.
const ZONE_OVERHEAD_UNITS: u32 = 12;

/// The pace of a drive.
pub(crate) fn pace_of(zones: &ZoneTable) -> Pace {
    let usable =
        |entry: &&ZoneEntry| !matches!(entry.role, ZoneRole::Label | ZoneRole::Checkpoint | ZoneRole::Lost);
    let capacities = || zones.iter().map(|(_, entry)| entry).filter(usable);
    let count = u32::try_from(capacities().count()).unwrap_or(u32::MAX);
    let units = capacities().map(|entry| entry.capacity_units).max().unwrap_or(1);
    Pace::new(count.max(1), ZONES_FOR_RECLAIM + ZONES_FOR_DELETIONS, units.max(1))
}

impl Store {
    /// Counts how much room there is, and tells reclaim how much it matters.
    pub(crate) fn update_pace(&mut self) {
        let is_large = self.zones.count() > ZONES_AT_ONCE;
        if is_large
            && self.now_us < self.level_counted_us.saturating_add(LOOK_US)
            && self.level_counted_us > 0
        {
            self.level_is_fresh = false;
            return;
        }
        self.count_level();
    }

    fn count_level(&mut self) {
        self.level_counted_us = self.now_us;
        self.level_changes = self.changes();
        self.level_is_fresh = true;
        self.waits_for_zone &= !self.pending.is_empty();
        // What is left in open zones is no room for what does not fit there.
        let free_units =
            if self.waits_for_zone { self.zones.free_units() } else { self.free_bytes() / UNIT_BYTES as u64 };
        let mut level = Level { free_units, is_short: self.room_is_short(), ..Level::default() };
        // What is reset stays unused then, and what reclaim would empty with it.
        let none_comes_back = self.checkpointing.is_given_up();
        let under_way = self.reclaim.zone().filter(|_| self.victim_gives_room());
        let (mut has_spent_zone, mut is_writable) = (false, false);
        for (zone, entry) in self.zones.iter() {
            is_writable |= self.zones.may_be_written(entry);
            match entry.role {
                _ if none_comes_back => {}
                ZoneRole::Trash | ZoneRole::Reset => level.resting_units += u64::from(entry.capacity_units),
                ZoneRole::Sealed | ZoneRole::Fenced
                    if entry.can_be_reset() && (self.can_empty(entry) || under_way == Some(zone)) =>
                {
                    has_spent_zone |= entry.holds_only_tombstones();
                    level.reclaimable_units += u64::from(self.candidate(zone, entry).gain_units());
                }
                _ => {}
            }
        }
        self.pace.observe(level);
        self.has_reclaimable = level.reclaimable_units > 0 || level.resting_units > 0;
        self.has_spent_zone = has_spent_zone;
        self.reads.waiting.set_urgency(Work::Reclaim, self.pace.pressure() / 10);
        if !is_writable && self.fault.is_none() {
            self.stop_without_room("no zone is left that can be written");
        }
    }

    /// How many things have happened that can give reclaim something: records that died, zones that were closed.
    fn changes(&self) -> u64 {
        self.places_changed + self.stats.zones_sealed + self.stats.zones_fenced
    }

    /// Whether the zone is worth emptying though room is not short: only tombstones stand in it, and nothing rests that
    /// they may name, so that few of them are still needed.
    pub(crate) fn is_spent(&self, entry: &ZoneEntry) -> bool {
        entry.holds_only_tombstones() && self.trash.is_empty() && self.zones.reset_count() == 0
    }

    /// A closed zone as the choice of a victim sees it.
    pub(crate) fn candidate(&self, zone: u32, entry: &ZoneEntry) -> victim::Candidate {
        victim::Candidate {
            zone,
            // What a zone needs for itself is not won by emptying it.
            capacity_units: entry
                .capacity_units
                .saturating_sub(ZONE_OVERHEAD_UNITS)
                .saturating_sub(self.padding_units(entry))
                .max(1),
            live_units: entry.live_units,
            // What cannot be moved holds the zone as it is.
            damaged_units: if entry.is_stuck { entry.capacity_units } else { 0 },
            tombstone_units: entry.tombstones.div_ceil(64),
            age: self.next_sequence.saturating_sub(entry.first_sequence),
            must_evacuate: entry.evacuate && !entry.is_stuck,
        }
    }

    /// What is left at the end of a zone because the next record did not fit there. It is not won by moving what lives: the
    /// same would be left where that goes to. With blocks of which few fit into a zone it is much, and reclaim that
    /// counted it as room would move full zones in a circle.
    fn padding_units(&self, entry: &ZoneEntry) -> u32 {
        let is_dead = entry.live_units == 0 && entry.tombstones == 0;
        if is_dead || entry.role != ZoneRole::Sealed {
            return 0;
        }
        let left_units = entry.capacity_units.saturating_sub(entry.good_units);
        let largest_units = record_units(self.label.payload_bytes_max as usize);
        if left_units <= largest_units { left_units } else { 0 }
    }

    /// Whether a put may go to the next group now. What reclaim moves always may, and what a failed write has left.
    pub(crate) fn may_write(&self, put: &PendingPut) -> bool {
        !matches!(put.origin, PutOrigin::Client { .. })
            || !put.may_be_dropped()
            || self.pace.may_client_write()
    }

    /// When the level has to be counted again, where reclaim waits for that.
    pub(crate) fn level_due_us(&self) -> Option<u64> {
        let is_large = self.zones.count() > ZONES_AT_ONCE;
        let is_waited_for = is_large && (self.pace.pressure() > 0 || !self.level_is_fresh);
        is_waited_for.then(|| self.level_counted_us.saturating_add(LOOK_US))
    }

    /// Whether what has no room now will have some, though nobody deletes anything.
    pub(crate) fn space_will_come(&mut self) -> bool {
        if self.checkpointing.is_given_up() {
            return false;
        }
        if self.checkpointing.is_moving() && self.zones.reset_count() > 0 {
            return true;
        }
        if !self.level_is_fresh && self.level_changes != self.changes() {
            // Of a large drive it may be old, and a drive is called full only where it is.
            self.count_level();
        }
        self.room_comes_by_itself() || Stream::ALL.into_iter().any(|stream| self.is_worth_closing(stream))
    }

    /// Whether reclaim or the trash gives room, with the zones that are closed now.
    pub(crate) fn room_comes_by_itself(&self) -> bool {
        self.has_reclaimable
            || !self.trash.is_empty()
            || self.reclaim.has_left_zones()
            || self.victim_gives_room()
    }

    /// Whether the zone that is being emptied will be free then: not where what is moved out of it has no room.
    fn victim_gives_room(&self) -> bool {
        self.reclaim.zone().is_some_and(|zone| self.zones.get(zone).can_be_reset()) && !self.moves_lack_room()
    }

    /// Whether few more zones are free than those that are kept.
    pub(crate) fn room_is_short(&self) -> bool {
        self.zones.free_count() <= ZONES_FOR_RECLAIM + ZONES_FOR_DELETIONS + SHORT_ZONES
    }

    /// Whether zones that were reset are worth a checkpoint, for which they wait: where room is short at once, else when
    /// so many wait that it costs little beside what is written to them.
    ///
    /// A checkpoint of a 20 TB drive with 4 MiB blocks takes a fifth of a zone of 256 MiB: one for each zone that was
    /// reset would be a fifth of all that is written.
    pub(crate) fn zones_are_worth_a_checkpoint(&self) -> bool {
        let waiting = self.zones.reset_count();
        let is_due = || self.spent_zone_due_us().is_some_and(|due_us| due_us <= self.now_us);
        let are_many = || self.pace.pressure() > 0 && waiting >= 2 * self.zones_for_a_checkpoint();
        waiting > 0 && (self.room_is_short() || is_due() || are_many())
    }

    /// When zones that were reset get a checkpoint though room is not short: a zone in which only tombstones stand is
    /// emptied once no zone waits that they may name.
    pub(crate) fn spent_zone_due_us(&self) -> Option<u64> {
        let is_held_up = self.has_spent_zone
            && self.trash.is_empty()
            && self.zones.reset_count() > 0
            && self.checkpointing.may_begin();
        is_held_up.then(|| self.written_us.saturating_add(SPENT_ZONE_WAIT_US))
    }

    /// How many zones one checkpoint is to free. Twice as many wait then, since each waits for two checkpoints.
    fn zones_for_a_checkpoint(&self) -> u32 {
        let cheap =
            (CHECKPOINT_WORTH * Index::memory_bytes(self.index.len_max())).div_ceil(self.pace.zone_bytes());
        let many = self.zones.count() / WAITING_PART_MAX;
        u32::try_from(cheap.min(many as u64)).unwrap_or(u32::MAX).max(1)
    }
}
