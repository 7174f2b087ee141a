//! What happened to a drive and when: counts by kind and time, bounded.
//!
//! - Counts are kept for slots of ten minutes, and the order in which they come in does not matter.
//! - At most [`HAPPENINGS_MAX`] slots are kept; the oldest go first, and none is older than [`KEPT_S`].

use serde::{Deserialize, Serialize};

use crate::context::DAY_S;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Happening {
    /// The engine could not read.
    ReadError,
    /// The engine could not write.
    WriteError,
    /// The engine could not flush.
    FlushError,
    /// The engine could not reset a zone.
    ResetError,
    /// The engine could not open the device or list its zones.
    OpenError,
    /// Data came back other than they were written.
    ChecksumFailure,
    /// The scrub found a bad record.
    ScrubFinding,
    /// The kernel: medium error.
    MediumError,
    /// The kernel: hardware error.
    HardwareError,
    /// The kernel: an order failed.
    IoError,
    /// The kernel: link reset.
    LinkReset,
    /// The kernel: link error.
    LinkError,
    /// The kernel: timeout.
    Timeout,
    /// The kernel gave the drive up.
    Offline,
    /// smartctl did not answer.
    SmartFailed,
    /// The drive was compared with its peers and as fast as they.
    AsFastAsPeers,
    /// The drive was compared with its peers and much slower.
    SlowerThanPeers,
    /// The drive was many times slower than it had been itself.
    SlowerThanBefore,
    /// The drive went away.
    Gone,
}

/// A slot is this long, in seconds.
pub(crate) const SLOT_S: u64 = 600;

/// What is older than this counts in no rule and is dropped, in seconds: 30 days.
pub(crate) const KEPT_S: u64 = 30 * 24 * 3600;

/// At most this many slots are kept: one kind every ten minutes for three days.
pub(crate) const HAPPENINGS_MAX: usize = 432;

/// Counts of one kind in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    slot: u64,
    happening: Happening,
    count: u64,
}

/// What happened to one drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Happenings(Vec<Slot>);

/// Counts of some kinds over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many.
    pub(crate) count: u64,
    /// In how many different slots.
    pub(crate) slots: usize,
    /// The beginning of the first slot, in seconds since 1970.
    pub(crate) since_unix_s: Option<u64>,
}

impl Happenings {
    /// Counts `count` times `happening` at a time. Nothing is recorded for a count of 0.
    pub(crate) fn record(&mut self, at_unix_s: u64, happening: Happening, count: u64) {
        if count == 0 {
            return;
        }
        let slot = at_unix_s / SLOT_S;
        match self.0.binary_search_by_key(&(slot, happening), |slot| (slot.slot, slot.happening)) {
            Ok(index) => self.0[index].count = self.0[index].count.saturating_add(count),
            Err(index) => self.0.insert(index, Slot { slot, happening, count }),
        }
        let newest = self.0.last().map_or(0, |slot| slot.slot);
        // Comparisons come all the time, and count for a day: they push nothing else out.
        let day_ago = newest.saturating_sub(DAY_S / SLOT_S);
        let is_compared = |of| matches!(of, Happening::AsFastAsPeers | Happening::SlowerThanPeers);
        self.0.retain(|slot| slot.slot >= day_ago || !is_compared(slot.happening));
        let oldest = newest.saturating_sub(KEPT_S / SLOT_S);
        let old = self.0.partition_point(|slot| slot.slot < oldest);
        self.0.drain(..old.max(self.0.len().saturating_sub(HAPPENINGS_MAX)));
    }

    /// How often any of `happenings` came in the time from `from_unix_s` to `to_unix_s`. Slots in which the drive
    /// went away, and those beside them, are left out: an order to a drive that is being pulled fails, and says nothing
    /// of the drive. That it failed may be seen some seconds before or after that the drive has gone.
    pub(crate) fn tally(&self, happenings: &[Happening], from_unix_s: u64, to_unix_s: u64) -> Tally {
        let mut tally = Tally::default();
        let (from, to) = (from_unix_s / SLOT_S, to_unix_s / SLOT_S);
        let start = self.0.partition_point(|slot| slot.slot < from);
        for slot in self.0[start..].iter().take_while(|slot| slot.slot <= to) {
            if happenings.contains(&slot.happening)
                && (slot.happening == Happening::Gone || !self.went_away_about(slot.slot))
            {
                tally.count = tally.count.saturating_add(slot.count);
                tally.slots += 1;
                tally.since_unix_s = tally.since_unix_s.or(Some(slot.slot * SLOT_S));
            }
        }
        tally
    }

    fn went_away_about(&self, slot: u64) -> bool {
        let start = self.0.partition_point(|other| other.slot < slot.saturating_sub(1));
        let mut about = self.0[start..].iter().take_while(|other| other.slot <= slot + 1);
        about.any(|other| other.happening == Happening::Gone)
    }

    /// Takes what `other` has: of two counts in one slot, the greater.
    pub(crate) fn merge(&mut self, other: Self) {
        for slot in other.0 {
            let known = self.0.iter().find(|own| (own.slot, own.happening) == (slot.slot, slot.happening));
            let more = slot.count.saturating_sub(known.map_or(0, |known| known.count));
            self.record(slot.slot.saturating_mul(SLOT_S), slot.happening, more);
        }
    }

    /// When the newest slot began, in seconds since 1970.
    pub(crate) fn newest_unix_s(&self) -> Option<u64> {
        self.0.last().map(|slot| slot.slot.saturating_mul(SLOT_S))
    }

    /// The clock was set back by `by_s`, to `now_unix_s`: what is yet to come has come so much earlier.
    pub(crate) fn clock_set_back(&mut self, by_s: u64, now_unix_s: u64) {
        for slot in std::mem::take(&mut self.0) {
            let at_unix_s = slot.slot.saturating_mul(SLOT_S);
            let at_unix_s = if at_unix_s > now_unix_s { at_unix_s.saturating_sub(by_s) } else { at_unix_s };
            self.record(at_unix_s.min(now_unix_s), slot.happening, slot.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_push_out_nothing_that_happened() {
        let mut happenings = Happenings::default();
        happenings.record(0, Happening::ReadError, 1);
        (1..2000).for_each(|slot| happenings.record(slot * SLOT_S, Happening::AsFastAsPeers, 1));
        let tally = |happening| happenings.tally(&[happening], 0, 2000 * SLOT_S);
        assert_eq!(tally(Happening::ReadError).count, 1);
        let compared = tally(Happening::AsFastAsPeers).slots as u64;
        assert!((DAY_S / SLOT_S..=DAY_S / SLOT_S + 1).contains(&compared), "a day of them: {compared}");
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let events = [
            (1_000_000, Happening::ReadError, 2),
            (1_000_300, Happening::ReadError, 1),
            (990_000, Happening::Timeout, 4),
        ];
        let (mut forth, mut back) = (Happenings::default(), Happenings::default());
        events.iter().for_each(|(at, happening, count)| forth.record(*at, *happening, *count));
        events.iter().rev().for_each(|(at, happening, count)| back.record(*at, *happening, *count));
        assert_eq!(forth, back);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let mut happenings = Happenings::default();
        for slot in 0..10_000 {
            happenings.record(slot * SLOT_S, Happening::Timeout, 1);
        }
        assert_eq!(happenings.0.len(), HAPPENINGS_MAX);
        assert_eq!(happenings.0.last().unwrap().slot, 9_999);
        happenings.record(5, Happening::Timeout, 1);
        assert_eq!(happenings.0.first().unwrap().slot, 10_000 - HAPPENINGS_MAX as u64);
    }

    #[test]
    fn errors_of_a_drive_that_is_pulled_do_not_count() {
        let mut happenings = Happenings::default();
        happenings.record(6_000, Happening::ReadError, 5);
        assert_eq!(happenings.tally(&[Happening::ReadError], 0, 10_000).count, 5);
        happenings.record(6_100, Happening::Gone, 1);
        assert_eq!(happenings.tally(&[Happening::ReadError], 0, 10_000).count, 0);
        assert_eq!(happenings.tally(&[Happening::Gone], 0, 10_000).count, 1);
        let tally = |error_at: u64, gone_at: u64| {
            let mut happenings = Happenings::default();
            happenings.record(error_at, Happening::ReadError, 5);
            happenings.record(gone_at, Happening::Gone, 1);
            happenings.tally(&[Happening::ReadError], 0, 100_000).count
        };
        assert_eq!((tally(5_999, 6_000), tally(6_000, 5_999)), (0, 0), "seen some seconds apart");
        assert_eq!((tally(6_000, 7_200), tally(7_200, 6_000)), (5, 5), "long before, and long after");
    }
}
