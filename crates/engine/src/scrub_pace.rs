//! When a zone is due for the scrub, and how fast the scrub reads.
//!
//! Invariants:
//!
//! * A zone is due once two thirds of the period have gone since it was read, and what is due is read three times as fast
//!   as the period asks for. So also where all zones fall due at once, as those of a drive that was filled in a day, each
//!   is read again before its period ends, and clients meet a third of the arm's time at the most, not hours of all that
//!   they leave.
//! * What is late all the same (the drive was off), what a person ordered, and what lies beside damage is not held back:
//!   it reads as fast as its class may.

/// A zone that was never scrubbed is due after this part of the period, for what was written badly shows early.
const FIRST_PART: u64 = 16;

/// A zone is due after so many of [`PARTS`] of the period, and what is due is read [`PARTS`] times as fast as all of it in
/// one period would be: in the rest of the period, all can be.
const DUE_PARTS: u64 = 2;
const PARTS: u64 = 3;

/// The slowest pace, in bytes a second: an almost empty drive's zone does not take days.
const BYTES_PER_S_MIN: u64 = 1 << 20;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScrubPace {
    period_s: u64,
    /// For the zone under way, in bytes a second; `None` is as fast as the class may.
    bytes_per_s: Option<u64>,
    allowed_us: u64,
}

impl ScrubPace {
    /// A pace that reads everything within `period_s` seconds, at least one.
    pub(crate) fn new(period_s: u64) -> Self {
        Self { period_s: period_s.max(1), bytes_per_s: None, allowed_us: 0 }
    }

    /// Within how many seconds everything is read once.
    pub(crate) fn period_s(&self) -> u64 {
        self.period_s
    }

    /// When a zone is due, in seconds since 1970: one that was closed and last scrubbed then. A time of 0 is never.
    pub(crate) fn due_unix_s(&self, closed_at_unix_s: u64, scrubbed_at_unix_s: u64) -> u64 {
        match scrubbed_at_unix_s {
            0 => closed_at_unix_s.saturating_add(self.period_s / FIRST_PART),
            scrubbed => scrubbed.saturating_add(self.period_s.saturating_mul(DUE_PARTS) / PARTS),
        }
    }

    /// A zone is begun that was due at `due_unix_s`, on a drive on which `live_bytes` live.
    pub(crate) fn begin(&mut self, due_unix_s: u64, unix_s: u64, live_bytes: u64) {
        let is_late = due_unix_s.saturating_add(self.period_s * (PARTS - DUE_PARTS) / PARTS) <= unix_s;
        let bytes_per_s = live_bytes.saturating_mul(PARTS) / self.period_s;
        self.bytes_per_s = (!is_late).then_some(bytes_per_s.max(BYTES_PER_S_MIN));
    }

    /// A zone is begun that is not held back.
    pub(crate) fn begin_at_once(&mut self) {
        self.bytes_per_s = None;
        self.allowed_us = 0;
    }

    /// Notes that so many bytes are being read from now on.
    pub(crate) fn spend(&mut self, now_us: u64, bytes: u64) {
        let Some(bytes_per_s) = self.bytes_per_s else { return };
        let took_us = bytes.saturating_mul(1_000_000) / bytes_per_s;
        self.allowed_us = self.allowed_us.max(now_us).saturating_add(took_us);
    }

    /// From when on the next piece may be read, in microseconds of the engine's clock.
    pub(crate) fn allowed_us(&self) -> u64 {
        self.allowed_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 24 * 3600;

    /// Reads a drive of `zones` zones of 256 MiB, all of which fall due at once; gives the seconds that it took.
    fn seconds_for_all(pace: &mut ScrubPace, zones: u64, due_unix_s: u64, unix_s: u64) -> u64 {
        let (zone_bytes, piece_bytes) = (256 << 20, 1 << 20);
        let mut now_us = 0;
        for _ in 0..zones {
            pace.begin(due_unix_s, unix_s + now_us / 1_000_000, zones * zone_bytes);
            for _ in 0..zone_bytes / piece_bytes {
                now_us = now_us.max(pace.allowed_us());
                pace.spend(now_us, piece_bytes);
            }
        }
        now_us / 1_000_000
    }

    #[test]
    fn a_drive_that_falls_due_at_once_is_read_within_its_period() {
        let mut pace = ScrubPace::new(30 * DAY_S);
        let due = pace.due_unix_s(1000, 2000);
        assert_eq!(due, 2000 + 20 * DAY_S);
        let took_s = seconds_for_all(&mut pace, 20_000, due, due);
        assert!(due + took_s <= 2000 + 30 * DAY_S, "{took_s}");
        // And not in a rush.
        assert!(took_s > 9 * DAY_S, "{took_s}");
    }

    #[test]
    fn what_is_late_or_ordered_is_not_held_back() {
        let mut pace = ScrubPace::new(30 * DAY_S);
        assert_eq!(seconds_for_all(&mut pace, 2000, 5000, 5000 + 10 * DAY_S), 0);
        pace.begin(5000, 5000, 1 << 40);
        pace.spend(7, 1 << 20);
        assert!(pace.allowed_us() > 7);
        pace.begin_at_once();
        pace.spend(7, 1 << 20);
        assert!(pace.allowed_us() <= 7);
    }

    #[test]
    fn what_was_never_scrubbed_is_due_sooner() {
        let pace = ScrubPace::new(16 * DAY_S);
        assert_eq!(pace.due_unix_s(500, 0), 500 + DAY_S);
    }
}
