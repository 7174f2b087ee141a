//! Where the store meets the pace of reclaim ([`crate::pace`]).

use imbrex_format::UNIT_BYTES;

use crate::pace::{Level, Pace};
use crate::pending::{PendingPut, PutOrigin};
use crate::request::ZoneRole;
use crate::schedule::Work;
use crate::sealing::{ZONES_FOR_DELETIONS, ZONES_FOR_RECLAIM};
use crate::store::Store;
use crate::victim;
use crate::zone_table::{ZoneEntry, ZoneTable};

/// How many zones the level is counted for at every turn; with more, it is counted at most every [`LOOK_US`].
const ZONES_AT_ONCE: usize = 2048;

/// How often the level of a large drive is counted, in microseconds: 75,000 zones take about a millisecond.
const LOOK_US: u64 = 50_000;

/// How many zones' worth of room there is while zones wait for a checkpoint before one is taken for them.
const CHECKPOINT_ZONES: u32 = 2;

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
            return;
        }
        self.level_counted_us = self.now_us;
        self.level_is_fresh = true;
        self.waits_for_zone &= !self.pending.is_empty();
        // What is left in open zones is no room for what does not fit there.
        let free_units =
            if self.waits_for_zone { self.zones.free_units() } else { self.free_bytes() / UNIT_BYTES as u64 };
        let mut level = Level { free_units, ..Level::default() };
        for (zone, entry) in self.zones.iter() {
            match entry.role {
                ZoneRole::Trash | ZoneRole::Reset => level.resting_units += u64::from(entry.capacity_units),
                ZoneRole::Sealed | ZoneRole::Fenced if entry.can_be_reset() => {
                    level.reclaimable_units += u64::from(self.candidate(zone, entry).gain_units());
                }
                _ => {}
            }
        }
        self.pace.observe(level);
        self.has_reclaimable = level.reclaimable_units > 0 || level.resting_units > 0;
        self.reads.waiting.set_urgency(Work::Reclaim, self.pace.pressure() / 10);
    }

    /// A closed zone as the choice of a victim sees it.
    pub(crate) fn candidate(&self, zone: u32, entry: &ZoneEntry) -> victim::Candidate {
        victim::Candidate {
            zone,
            // What a zone needs for itself is not won by emptying it.
            capacity_units: entry.capacity_units.saturating_sub(ZONE_OVERHEAD_UNITS),
            live_units: entry.live_units,
            // What cannot be moved holds the zone as it is.
            damaged_units: if entry.is_stuck { entry.capacity_units } else { 0 },
            tombstone_units: entry.tombstones.div_ceil(64),
            age: self.next_sequence.saturating_sub(entry.first_sequence),
            must_evacuate: entry.evacuate && !entry.is_stuck,
        }
    }

    /// Whether a put may go to the next group now. What reclaim moves always may, and what a failed write has left.
    pub(crate) fn may_write(&self, put: &PendingPut) -> bool {
        !matches!(put.origin, PutOrigin::Client { .. })
            || !put.may_be_dropped()
            || self.pace.may_client_write()
    }

    /// When the level has to be counted again, where reclaim waits for that.
    pub(crate) fn level_due_us(&self) -> Option<u64> {
        let is_waited_for = self.zones.count() > ZONES_AT_ONCE && self.pace.pressure() > 0;
        is_waited_for.then(|| self.level_counted_us.saturating_add(LOOK_US))
    }

    /// Whether a put for which there is no room now will have some.
    pub(crate) fn space_will_come(&self) -> bool {
        !self.checkpointing.is_given_up()
            && (self.has_reclaimable || self.reclaim.zone().is_some() || !self.trash.is_empty())
    }

    /// Whether zones that wait for a checkpoint are needed.
    pub(crate) fn pace_wants_zones(&self) -> bool {
        self.zones.free_count() <= ZONES_FOR_RECLAIM + ZONES_FOR_DELETIONS + CHECKPOINT_ZONES
            || self.pace.pressure() > 0
    }
}
