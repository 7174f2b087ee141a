//! How fast reclaim must go, and how far writers are held back for it.
//!
//! A write takes space and reclaim frees it. While much is free nothing is reclaimed: what dies in the meantime costs
//! nothing. Below the *start* threshold each unit that a client writes owes units of space to be freed: none at the
//! threshold, as many as are written halfway down, and twice as many at the *low* one. A client whose debt is too large
//! waits until reclaim has paid. So writers slow down smoothly, to the speed at which space is freed, whatever
//! freeing costs; the level settles where it needs to be, and at most the next group waits, never all of them.
//!
//! Trash that rests, and is free soon, counts for what is owed, since reclaim has done its part. Feedback: where the
//! space that is free now still falls short, the start threshold rises, so that reclaim begins
//! sooner; where it does not, it sinks again, within bounds, because every unit kept free is one less for the dead.
//!
//! Invariants:
//!
//! * In the reserve only reclaim writes.
//! * Where nothing is worth reclaiming nobody is held back: the drive fills up until it is full.
//! * A client is never held back for more than a zone's worth of space.

use imbrex_format::UNIT_BYTES;

/// How much space there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// Units that can be written now: free zones, and what is left of the zones that are open for clients.
    pub(crate) free_units: u64,
    /// Units of zones that are dead and wait for their reset.
    pub(crate) resting_units: u64,
    /// What reclaim would free: the sum of `gain_units` over all candidates, the zone under way included.
    pub(crate) reclaimable_units: u64,
    /// Whether no more zones are free than the reserve and [`SHORT_ZONES`].
    pub(crate) is_short: bool,
}

/// The highest pressure.
pub(crate) const PRESSURE_MAX: u32 = 1000;

/// At the highest pressure each unit written owes two.
const OWED_MAX: u64 = 2;

/// Up to how many free zones beside the reserve room is called short. Zones that wait for a checkpoint then get one at
/// once, which costs much; so the feedback keeps more than that free.
pub(crate) const SHORT_ZONES: u32 = 2;

/// The debt up to which clients write on is this part of a zone. They never owe more than a zone: a group may be many MiB,
/// and what is not asked of it for its size, the level sinks by.
const DEBT_PART: u64 = 16;

/// How far above the low threshold reclaim starts: at least and at most this part of the drive, in 1/1024 of its
/// zones. At least 0.2 % and at most 6 %.
const START_PART_MIN: u64 = 2;
const START_PART_MAX: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pace {
    zone_units: u64,
    reserve_units: u64,
    low_units: u64,
    start_units: u64,
    start_units_min: u64,
    start_units_max: u64,
    level: Level,
    /// What clients owe, in units times [`PRESSURE_MAX`].
    debt: u64,
    /// The least that was free since the threshold was last looked at, and what clients have written since.
    least_free_units: u64,
    ran_short: bool,
    written_units: u64,
}

impl Pace {
    /// The pace of a drive with `usable_zones` zones of at most `zone_units` for its log, of which `reserve_zones` are
    /// for reclaim alone.
    pub(crate) fn new(usable_zones: u32, reserve_zones: u32, zone_units: u32) -> Self {
        let (zones, zone_units) = (u64::from(usable_zones), u64::from(zone_units));
        let reserve_units = u64::from(reserve_zones) * zone_units;
        let low_units = reserve_units + zone_units / 2;
        let part = |part: u64| zones * zone_units * part / 1024;
        let start_units_min = low_units + part(START_PART_MIN).max(zone_units);
        let start_units_max = low_units + part(START_PART_MAX).max(2 * zone_units);
        Self {
            zone_units,
            reserve_units,
            low_units,
            start_units: start_units_min,
            start_units_min,
            start_units_max,
            level: Level { free_units: u64::MAX / 2, ..Level::default() },
            debt: 0,
            least_free_units: u64::MAX,
            ran_short: false,
            written_units: 0,
        }
    }

    /// Tells the level, whenever it has changed.
    pub(crate) fn observe(&mut self, level: Level) {
        self.level = level;
        self.least_free_units = self.least_free_units.min(level.free_units);
        self.ran_short |= level.is_short;
        if self.pressure() == 0 {
            self.debt = 0;
        }
    }

    /// How much reclaim matters now: 0 (it need not run), 500 (it frees as much as is written), 1000 (twice as much).
    pub(crate) fn pressure(&self) -> u32 {
        let Level { free_units, resting_units, reclaimable_units, .. } = self.level;
        if reclaimable_units == 0 {
            return 0;
        }
        let free = free_units + resting_units;
        let below = self.start_units.saturating_sub(free.max(self.low_units));
        let span = self.start_units - self.low_units;
        u32::try_from(u64::from(PRESSURE_MAX) * below / span).unwrap_or(PRESSURE_MAX)
    }

    /// What a zone holds, in bytes.
    pub(crate) const fn zone_bytes(&self) -> u64 {
        self.zone_units * UNIT_BYTES as u64
    }

    /// Notes what a group of clients' records took, its own overhead included.
    pub(crate) fn client_wrote(&mut self, units: u64) {
        let owed = OWED_MAX * units * u64::from(self.pressure());
        self.debt = (self.debt + owed).min(self.zone_units * u64::from(PRESSURE_MAX));
        self.written_units += units;
        if self.written_units >= self.zone_units {
            self.adapt();
        }
    }

    /// Notes what reclaim has freed: dead units that it passed over in the zone that it clears.
    pub(crate) fn reclaimed(&mut self, units: u64) {
        self.debt = self.debt.saturating_sub(units * u64::from(PRESSURE_MAX));
    }

    /// Whether the next group of clients' records may be formed now.
    pub(crate) fn may_client_write(&self) -> bool {
        if self.level.reclaimable_units == 0 {
            // Resting trash comes back by itself: the reserve waits for it.
            return self.level.resting_units == 0 || self.level.free_units > self.reserve_units;
        }
        self.level.free_units > self.reserve_units && self.debt <= self.debt_max()
    }

    /// Whether live records should be moved now. Zones without any go to the trash at all times: they cost nothing.
    /// The last free zone is not moved into while trash rests, since that brings back what it takes by itself.
    pub(crate) fn may_reclaim(&self) -> bool {
        self.pressure() > 0 && (self.level.resting_units == 0 || self.level.free_units >= 2 * self.zone_units)
    }

    fn debt_max(&self) -> u64 {
        (self.zone_units / DEBT_PART).max(1) * u64::from(PRESSURE_MAX)
    }

    /// Once for each zone that clients have filled: see the module.
    fn adapt(&mut self) {
        let enough_units = self.low_units + u64::from(SHORT_ZONES + 2) * self.zone_units;
        let start = if self.ran_short || self.least_free_units < self.low_units {
            self.start_units + self.zone_units / 2
        } else if self.least_free_units > enough_units {
            self.start_units - self.zone_units / 16
        } else {
            self.start_units
        };
        self.start_units = start.clamp(self.start_units_min, self.start_units_max);
        self.least_free_units = self.level.free_units;
        self.ran_short = self.level.is_short;
        self.written_units = 0;
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
