//! What the rules look at: a history at one moment, and what the notes say of the drive.
//!
//! - A rule asks for times and counts through here, so that what a note or a person has struck out is struck out
//!   for all of them.
//! - A level that was reached is held for [`HELD_S`] after it was last seen: up fast, down slow.

use smartctl_parser::{Attribute, Protocol, Report};

use crate::cleared::Cleared;
use crate::happenings::{Happening, KEPT_S, Tally};
use crate::history::History;
use crate::last_report::Part;
use crate::notes::Effective;
use crate::reading::{Counter, Reading};
use crate::statement::{Statement, Statements};

/// Seconds of an hour and of a day.
pub(crate) const HOUR_S: u64 = 3600;
pub(crate) const DAY_S: u64 = 24 * HOUR_S;

/// What was reached is held for so long, in seconds: a week, in which a scrub or a person can look into it.
pub(crate) const HELD_S: u64 = 7 * DAY_S;

/// Data older than this are late, in seconds: a drive is asked every hour, and fully once a day.
pub(crate) const LATE_S: u64 = 36 * HOUR_S;

/// Growth is looked for over this time, in seconds.
pub(crate) const GROWTH_S: u64 = KEPT_S;

/// ATA drives of this size and more have physical sectors of 4 KiB, save some early ones, in bytes.
const LARGE_SECTORS_BYTES_MIN: u64 = 2_000_000_000_000;

/// Logical sectors of 512 bytes in a physical one of 4 KiB.
const SECTORS_IN_LARGE: u64 = 8;

/// A history at one moment.
pub(crate) struct Context<'a> {
    pub(crate) history: &'a History,
    pub(crate) notes: &'a Effective<'a>,
    pub(crate) now_unix_s: u64,
    /// Up to when the drive's own word stands: now, or for one that sleeps since it was first found asleep.
    told_until_unix_s: u64,
    sector_unit: u64,
}

/// A counter at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) at_unix_s: u64,
}

/// How a counter grew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) from: Count,
    pub(crate) to: Count,
}

impl Growth {
    pub(crate) const fn by(self) -> u64 {
        self.to.count.saturating_sub(self.from.count)
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(history: &'a History, notes: &'a Effective<'a>, now_unix_s: u64) -> Self {
        let told_until_unix_s = asleep_since(history, now_unix_s).unwrap_or(now_unix_s);
        let mut context = Self { history, notes, now_unix_s, told_until_unix_s, sector_unit: 1 };
        context.sector_unit = context.find_sector_unit();
        context
    }

    /// The last report.
    pub(crate) fn report(&self) -> Option<&'a Report> {
        self.history.report.as_ref().map(|report| &*report.what)
    }

    /// The ATA attributes, and when they were told, in seconds since 1970: no longer ago than [`HELD_S`].
    pub(crate) fn attributes(&self) -> Option<(&'a [Attribute], u64)> {
        let at_unix_s = self.told_unix_s(Part::Attributes)?;
        Some((&self.report()?.ata.as_ref()?.attributes, at_unix_s))
    }

    /// Since when an ATA attribute has stood as it does, in seconds since 1970, as far as the history reaches.
    pub(crate) fn attribute_since(&self, id: u8) -> Option<u64> {
        self.history.report.as_ref()?.attribute_since_unix_s(id)
    }

    /// When a part of the last report was told, in seconds since 1970; `None` where that is longer ago than [`HELD_S`].
    pub(crate) fn told_unix_s(&self, part: Part) -> Option<u64> {
        let at_unix_s = self.history.report.as_ref()?.told_unix_s(part)?;
        let is_struck_out = self.cleared_unix_s().is_some_and(|cleared| at_unix_s <= cleared);
        let is_old = self.told_until_unix_s.saturating_sub(at_unix_s) > HELD_S;
        (!is_old && !is_struck_out).then_some(at_unix_s)
    }

    /// Since when the drive has been asleep, in seconds since 1970; `None` where it is not, or nobody has looked lately.
    pub(crate) fn asleep_since(&self) -> Option<u64> {
        asleep_since(self.history, self.now_unix_s)
    }

    /// Whether the drive rotates; `None` where nobody says.
    pub(crate) fn rotates(&self) -> Option<bool> {
        let report = self.report()?;
        if report.device.protocol == Some(Protocol::Nvme) || report.nvme.is_some() {
            return Some(false);
        }
        report.identity.rotation_rate_rpm.map(|rate| rate > 0)
    }

    /// The newest reading.
    pub(crate) fn newest(&self) -> Option<&'a Reading> {
        self.until_now().last()
    }

    /// How old the drive's own data are, in seconds, asleep or awake; `None` where there are none.
    pub(crate) fn data_age_s(&self) -> Option<u64> {
        self.newest().map(|newest| self.now_unix_s.saturating_sub(newest.at_unix_s))
    }

    /// Whether the drive's own data are there and not late; asleep, whether they were not when it fell asleep.
    pub(crate) fn is_fresh(&self) -> bool {
        self.newest().is_some_and(|newest| self.told_until_unix_s.saturating_sub(newest.at_unix_s) <= LATE_S)
    }

    /// Readings up to now, or for a drive that sleeps until it fell asleep, and not older than `for_s`.
    pub(crate) fn readings(&self, for_s: u64) -> &'a [Reading] {
        let from = self.told_until_unix_s.saturating_sub(for_s);
        let readings = self.until_now();
        &readings[readings.partition_point(|reading| reading.at_unix_s < from)..]
    }

    fn until_now(&self) -> &'a [Reading] {
        let readings = &self.history.readings;
        &readings[..readings.partition_point(|reading| reading.at_unix_s <= self.now_unix_s)]
    }

    /// Readings that nobody has struck out, over `for_s`.
    pub(crate) fn counted(&self, for_s: u64) -> &'a [Reading] {
        let readings = self.readings(for_s);
        let Some(cleared) = self.cleared_unix_s() else { return readings };
        &readings[readings.partition_point(|reading| reading.at_unix_s <= cleared)..]
    }

    /// Up to here a person has struck out what was recorded, in seconds since 1970; `None` where nobody has.
    pub(crate) fn cleared_unix_s(&self) -> Option<u64> {
        self.history.cleared.as_ref().map(|cleared| cleared.at_unix_s)
    }

    /// What a person has struck out.
    pub(crate) fn cleared(&self) -> Option<&'a Cleared> {
        self.history.cleared.as_ref().map(|cleared| &cleared.what)
    }

    /// A counter in a reading, as the notes have it, in physical sectors where it counts sectors, less what a person
    /// has struck out.
    fn counter(&self, reading: &Reading, counter: Counter) -> Option<u64> {
        let told = |reading: &Reading| {
            let raw = reading.counter(counter)?;
            let Some(attribute) = counter.attribute() else { return Some(raw) };
            let ignored = self.notes.ignores_raw(attribute).is_some();
            (!ignored).then(|| self.notes.count_in(attribute, raw))
        };
        let struck_out = self.cleared().and_then(|cleared| cleared.reading);
        let count = told(reading)?.saturating_sub(struck_out.as_ref().and_then(told).unwrap_or(0));
        let unit = if counts_sectors(counter) { self.sector_unit } else { 1 };
        Some(count.div_ceil(unit))
    }

    /// Whether the drive tells this count now: in a reading that is not late.
    pub(crate) fn tells(&self, counter: Counter) -> bool {
        self.counted(LATE_S).iter().any(|reading| self.counter(reading, counter).is_some())
    }

    /// The highest count of the last [`HELD_S`].
    pub(crate) fn highest(&self, counter: Counter) -> Option<Count> {
        let counts = self.counted(HELD_S).iter().filter_map(|reading| self.count_of(reading, counter));
        counts.reduce(|highest, count| if count.count > highest.count { count } else { highest })
    }

    /// The first time from which on the count has been at least `count`.
    pub(crate) fn since(&self, counter: Counter, count: u64) -> Option<u64> {
        let readings = self.counted(GROWTH_S).iter().rev();
        let counts = readings.filter_map(|reading| self.count_of(reading, counter));
        counts.take_while(|earlier| earlier.count >= count).last().map(|count| count.at_unix_s)
    }

    /// The largest rise from any reading of the last `for_s` to a later one: from the last one that was as low.
    pub(crate) fn growth(&self, counter: Counter, for_s: u64) -> Option<Growth> {
        let mut lowest: Option<Count> = None;
        let mut most: Option<Growth> = None;
        for count in self.counted(for_s).iter().filter_map(|reading| self.count_of(reading, counter)) {
            let from = *lowest.get_or_insert(count);
            let growth = Growth { from, to: count };
            if growth.by() > most.map_or(0, Growth::by) {
                most = Some(growth);
            }
            if count.count <= from.count {
                lowest = Some(count);
            }
        }
        most
    }

    fn count_of(&self, reading: &Reading, counter: Counter) -> Option<Count> {
        self.counter(reading, counter).map(|count| Count { count, at_unix_s: reading.at_unix_s })
    }

    /// What the drive said outright in the last [`HELD_S`], and when it last said each.
    pub(crate) fn statements(&self) -> impl Iterator<Item = (Statements, u64)> {
        self.counted(HELD_S).iter().map(|reading| (reading.statements, reading.at_unix_s))
    }

    /// Since when the drive has said this each time that it was asked, in seconds since 1970. A time in which nobody asked it
    /// takes nothing from that.
    pub(crate) fn said_since(&self, statement: Statement) -> Option<u64> {
        let says = |reading: &&Reading| reading.statements.has(statement);
        let back = self.counted(GROWTH_S).iter().rev().skip_while(|reading| !says(reading));
        back.take_while(says).last().map(|reading| reading.at_unix_s)
    }

    /// How often any of these happened in the last `for_s`, since a person last struck out what was recorded.
    pub(crate) fn tally(&self, happenings: &[Happening], for_s: u64) -> Tally {
        let from =
            self.now_unix_s.saturating_sub(for_s).max(self.cleared_unix_s().map_or(0, |cleared| cleared + 1));
        self.history.happenings.tally(happenings, from, self.now_unix_s)
    }

    /// Some ATA drives of 4 KiB sectors count in units of 512 bytes, so that one bad sector is eight (Seagate's desktop
    /// drives do). Such a drive is known by its maker, its size, and by all its counts being multiples of eight.
    fn find_sector_unit(&self) -> u64 {
        if self.report().is_none_or(|report| report.ata.is_none()) {
            return 1;
        }
        let told = self.report().and_then(|report| report.identity.model.as_deref());
        if !told.or(self.history.identity().model.as_deref()).is_some_and(is_seagate) {
            return 1;
        }
        let size_bytes = self.report().and_then(|report| report.identity.capacity_bytes).unwrap_or(0);
        let counts = || {
            let sectors = [Counter::Remapped, Counter::Pending, Counter::OfflineUnreadable];
            let readings = self.readings(GROWTH_S).iter();
            readings
                .flat_map(move |reading| sectors.into_iter().filter_map(|counter| reading.counter(counter)))
        };
        let large =
            size_bytes >= LARGE_SECTORS_BYTES_MIN && counts().all(|count| count % SECTORS_IN_LARGE == 0);
        if large { SECTORS_IN_LARGE } else { 1 }
    }

    /// How many of a drive's own counts make one physical sector.
    pub(crate) const fn sector_unit(&self) -> u64 {
        self.sector_unit
    }
}

fn asleep_since(history: &History, now_unix_s: u64) -> Option<u64> {
    let asleep = history.asleep.filter(|asleep| asleep.since_unix_s <= now_unix_s)?;
    (now_unix_s.saturating_sub(asleep.last_unix_s) <= LATE_S).then_some(asleep.since_unix_s)
}

/// Seagate's models are "ST", then the capacity in digits.
fn is_seagate(model: &str) -> bool {
    let model = model.trim_start_matches("SEAGATE ").trim_start_matches("Seagate ");
    model.strip_prefix("ST").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

const fn counts_sectors(counter: Counter) -> bool {
    matches!(counter, Counter::Remapped | Counter::Pending | Counter::OfflineUnreadable)
}
