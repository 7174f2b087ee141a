//! A drive that has become slow, held against its own history.
//!
//! What the drive takes for a piece of work does not depend on the load: the time in which it had anything to do, divided
//! by what it did, each operation counted as a seek and its transfer ([`SEEK_UNITS`]). That is taken over windows. One that
//! is many times slower than the drive has been so far is a bad one, and several in a row make the drive slow.
//!
//! Invariants:
//!
//! * A drive is called slow, and well again, only after [`WINDOWS`] windows in a row say so.
//! * Clients are never held back for it: their deadlines end what takes too long.
//! * The engine's own work is not held for longer than [`SLOW_US_MAX`]. A drive that is as slow by then is so for good: that
//!   is what it is measured against from then on, and the scrub goes on, for it is needed most of all.
//!
//! Whether a drive is slower than its peers is judged elsewhere, by who sees the peers.

use crate::schedule::SEEK_UNITS;
use crate::store::Store;

/// A window has so much time in which the drive had something to do, in microseconds.
const WINDOW_US: u64 = 10_000_000;

/// And so many operations at least; or else so many times that time, for a drive that hardly answers.
const WINDOW_OPERATIONS_MIN: u64 = 100;
const WINDOWS_WITHOUT_MAX: u64 = 6;

/// How many times slower than before a window has to be. Kinds of load differ by up to three times among themselves: reads
/// one behind another take a third of what a seek and a transfer would.
const SLOW_FACTOR: u64 = 8;

/// How many windows in a row.
const WINDOWS: u32 = 3;

/// What each window weighs in the drive's history: one part of so many.
const HISTORY_PART: u64 = 16;

/// For how long at most the engine's own work is held, in microseconds: an hour.
const SLOW_US_MAX: u64 = 3_600_000_000;

/// For how long it is held at a time, in microseconds.
const HOLD_US: u64 = 1_000_000;

/// What a drive has done since the mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    /// How long it had something to do, in microseconds.
    busy_us: u64,
    operations: u64,
    /// What that cost, in units.
    cost_units: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    /// Reads of the device by reclaim and scrub.
    pub(crate) own_reads: u64,
    busy_us: u64,
    busy_since_us: Option<u64>,
    /// When the present window began.
    window: Done,
    /// Nanoseconds for a unit; 0: no window has ended yet.
    history_ns: u64,
    /// Windows in a row that contradict what the drive is called.
    contradictions: u32,
    /// Since when it is called slow, by the engine's clock and in seconds since 1970.
    slow: Option<(u64, u64)>,
}

impl Slowness {
    /// Since when the drive is slow, in seconds since 1970.
    pub(crate) fn since_unix_s(&self) -> Option<u64> {
        self.slow.map(|(_, unix_s)| unix_s)
    }

    /// Notes whether the drive has something to do from now on.
    fn note(&mut self, now_us: u64, is_busy: bool) {
        if let Some(since_us) = self.busy_since_us {
            self.busy_us += now_us.saturating_sub(since_us);
        }
        self.busy_since_us = is_busy.then_some(now_us);
    }

    /// Ends the window where it is long enough. Whether the drive has become slow, or well again.
    fn judge(&mut self, now_us: u64, unix_s: u64, done: Done) -> bool {
        let busy_us = done.busy_us.saturating_sub(self.window.busy_us);
        let operations = done.operations.saturating_sub(self.window.operations);
        let is_long = busy_us >= WINDOW_US
            && (operations >= WINDOW_OPERATIONS_MIN || busy_us >= WINDOWS_WITHOUT_MAX * WINDOW_US);
        if !is_long {
            return false;
        }
        let cost_units = done.cost_units.saturating_sub(self.window.cost_units).max(1);
        let pace_ns = (busy_us.saturating_mul(1000) / cost_units).max(1);
        self.window = done;
        if self.history_ns == 0 {
            self.history_ns = pace_ns;
        }
        let is_bad = pace_ns >= self.history_ns.saturating_mul(SLOW_FACTOR);
        if !is_bad {
            self.history_ns = (self.history_ns * (HISTORY_PART - 1) + pace_ns) / HISTORY_PART;
        }
        let is_for_good =
            self.slow.is_some_and(|(since_us, _)| now_us >= since_us.saturating_add(SLOW_US_MAX));
        if is_for_good {
            self.history_ns = pace_ns;
        }
        self.contradictions = if is_bad == self.slow.is_some() { 0 } else { self.contradictions + 1 };
        if !is_for_good && self.contradictions < WINDOWS {
            return false;
        }
        self.contradictions = 0;
        self.slow = if self.slow.is_none() { Some((now_us, unix_s)) } else { None };
        true
    }
}

/// What is done with a slow drive, in one place. What it can still do belongs to its clients: the engine's own work that can
/// wait does, up to the bound. Writing and reading go on, and the drive says that it is slow: to give it up is not the
/// engine's to decide.
fn holds_own_work(slow: Option<(u64, u64)>, now_us: u64) -> bool {
    // Of a drive that has nothing to do no window ends: the bound holds by the clock.
    slow.is_some_and(|(since_us, _)| now_us < since_us.saturating_add(SLOW_US_MAX))
}

impl Store {
    /// Looks how fast the drive is, once a turn.
    pub(crate) fn watch_pace(&mut self) {
        let is_busy = !self.reads.is_settled() || self.log_in_flight > 0;
        self.slowness.note(self.now_us, is_busy);
        let done = self.done_by_drive();
        if self.slowness.judge(self.now_us, self.unix_s, done) {
            let is_slow = self.slowness.slow.is_some();
            self.stats.slowdowns += u64::from(is_slow);
            tracing::warn!(is_slow, "the drive's pace has changed, held against what it was");
        }
        // A zone for which writers wait cannot.
        if holds_own_work(self.slowness.slow, self.now_us) && !self.waits_for_zone {
            self.reads.waiting.hold_at_least(self.now_us.saturating_add(HOLD_US));
        }
    }

    fn done_by_drive(&self) -> Done {
        let stats = &self.stats;
        let bytes = stats.device_read_bytes
            + stats.reclaim_read_bytes
            + stats.scrubbed_bytes
            + stats.device_written_bytes;
        let operations = stats.device_reads + self.slowness.own_reads + stats.device_writes + stats.flushes;
        let units = bytes / imbrex_format::UNIT_BYTES as u64;
        let cost_units = units + operations * u64::from(SEEK_UNITS);
        Done { busy_us: self.slowness.busy_us, operations, cost_units }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drive that is run window by window.
    #[derive(Default)]
    struct Drive {
        slowness: Slowness,
        now_us: u64,
        done: Done,
    }

    impl Drive {
        /// One window of reads, each of which takes so long; whether the drive is called slow then.
        fn window(&mut self, read_us: u64) -> bool {
            let reads = WINDOW_US.div_ceil(read_us);
            self.slowness.note(self.now_us, true);
            self.now_us += reads * read_us;
            self.slowness.note(self.now_us, false);
            self.done.operations += reads;
            self.done.cost_units += reads * u64::from(SEEK_UNITS + 16);
            self.done.busy_us = self.slowness.busy_us;
            self.slowness.judge(self.now_us, self.now_us / 1_000_000, self.done);
            self.slowness.slow.is_some()
        }
    }

    #[test]
    fn three_bad_windows_make_a_drive_slow_and_three_good_ones_well() {
        let mut drive = Drive::default();
        (0..5).for_each(|_| assert!(!drive.window(8_000)));
        assert!(!drive.window(90_000) && !drive.window(90_000));
        // One that is as before ends the row.
        assert!(!drive.window(8_000));
        assert!(!drive.window(90_000) && !drive.window(90_000) && drive.window(90_000));
        let since = drive.slowness.since_unix_s();
        assert!(since.is_some_and(|since| since > 0));
        assert!(drive.window(90_000) && drive.window(8_000) && drive.window(8_000));
        assert!(!drive.window(8_000));
    }

    #[test]
    fn other_kinds_of_load_and_idle_time_do_not() {
        let mut drive = Drive::default();
        for _ in 0..50 {
            assert!(!drive.window(3_000) && !drive.window(9_000) && !drive.window(12_000));
            // Nothing to do for an hour.
            drive.now_us += SLOW_US_MAX;
        }
    }

    #[test]
    fn a_drive_that_hardly_answers_is_slow_too() {
        let mut drive = Drive::default();
        assert!(!drive.window(8_000));
        let windows = (0..100).take_while(|_| !drive.window(1_000_000)).count();
        assert!(windows < 30, "{windows}");
    }

    #[test]
    fn own_work_is_held_for_an_hour_at_most_though_the_drive_is_idle() {
        assert!(!holds_own_work(None, 5));
        assert!(
            holds_own_work(Some((5, 0)), 4 + SLOW_US_MAX) && !holds_own_work(Some((5, 0)), 5 + SLOW_US_MAX)
        );
    }

    #[test]
    fn what_stays_slow_is_what_the_drive_is_from_then_on() {
        let mut drive = Drive::default();
        assert!(!drive.window(8_000));
        let windows = u64::try_from((0..10_000).take_while(|_| !drive.window(90_000)).count()).unwrap_or(0);
        assert_eq!(windows, u64::from(WINDOWS) - 1);
        let windows = u64::try_from((0..10_000).take_while(|_| drive.window(90_000)).count()).unwrap_or(0);
        assert!(windows * WINDOW_US <= SLOW_US_MAX + 2 * WINDOW_US, "{windows}");
        assert!(!drive.window(90_000));
    }
}
