//! Who may be asked beside whom.
//!
//! - At most [`ADAPTER_MAX`] questions run behind one adapter, and [`QUESTIONS_MAX`] in all.
//! - Drives that were slow or silent the last time share one place of an adapter: one of them is asked at a time, for as long
//!   as that takes, and the other place is for those that answer.
//! - Nobody knows when a drive begins to hang. Two that do would keep all others waiting: so a question that takes longer
//!   than its drive's questions do leaves its place to others, and only then may more than [`ADAPTER_MAX`] run. No more than
//!   [`OVERDUE_MAX`] do so: behind one adapter there are never more than both together. How often it came to that is
//!   counted.

use std::collections::BTreeMap;
use std::time::Instant;

use super::entry::Entry;
use super::schedule::FIRST_STEP;

/// At most this many questions run at once behind one adapter.
pub(super) const ADAPTER_MAX: usize = 2;

/// And beside them so many that take longer than ever before. That many drives of one adapter that begin to hang in the same
/// half minute have something in common, and it is not worth to ask on.
pub(super) const OVERDUE_MAX: usize = 4;

/// And in the whole node, those that take long not counted.
const QUESTIONS_MAX: usize = 64;

/// The questions that run, by adapter.
pub(super) struct Places {
    all: usize,
    /// When the next one becomes free though its question has not ended.
    pub(super) next_free: Option<Instant>,
    adapters: BTreeMap<String, Taken>,
}

/// The questions that run behind one adapter.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// To drives that are not slow, each within its time.
    in_time: usize,
    /// To such drives, each beyond its time.
    overdue: usize,
    /// To drives that were slow.
    slow: usize,
}

impl Taken {
    const fn running(self) -> usize {
        self.in_time + self.overdue + self.slow
    }

    const fn places(self) -> usize {
        self.in_time + self.slow + self.overdue.saturating_sub(OVERDUE_MAX)
    }
}

impl Places {
    /// Those that are taken.
    pub(super) fn of(drives: &BTreeMap<String, Entry>, now: Instant) -> Self {
        let mut places = Self { all: 0, next_free: None, adapters: BTreeMap::new() };
        for entry in drives.values().filter(|entry| entry.schedule.is_asking()) {
            let taken = places.adapters.entry(adapter_of(entry).to_owned()).or_default();
            match entry.schedule.holds_place_until(now) {
                _ if entry.schedule.is_slow() => taken.slow += 1,
                None => taken.overdue += 1,
                Some(until) => {
                    taken.in_time += 1;
                    places.next_free = Some(places.next_free.map_or(until, |earliest| earliest.min(until)));
                }
            }
        }
        places.all = places.adapters.values().map(|taken| taken.places()).sum();
        places
    }

    /// Whether there is one for this drive.
    pub(super) fn has_one_for(&self, entry: &Entry) -> bool {
        let taken = self.taken_beside(entry);
        self.all < QUESTIONS_MAX
            && taken.places() < ADAPTER_MAX
            && !(entry.schedule.is_slow() && taken.slow > 0)
            // The one that is put now may turn out to hang as well.
            && taken.running() < ADAPTER_MAX + OVERDUE_MAX
    }

    /// Whether a question to this drive is one more than [`ADAPTER_MAX`] behind its adapter.
    pub(super) fn is_one_more(&self, entry: &Entry) -> bool {
        self.taken_beside(entry).running() >= ADAPTER_MAX
    }

    fn taken_beside(&self, entry: &Entry) -> Taken {
        self.adapters.get(adapter_of(entry)).copied().unwrap_or_default()
    }
}

/// Gives each first question that has none its place behind its adapter: after those that have one.
pub(super) fn place_first_questions(drives: &mut BTreeMap<String, Entry>) {
    let mut last: BTreeMap<String, Instant> = BTreeMap::new();
    for entry in drives.values() {
        if let Some((due, true)) = entry.schedule.first_due() {
            let latest = last.entry(adapter_of(entry).to_owned()).or_insert(due);
            *latest = due.max(*latest);
        }
    }
    for entry in drives.values_mut() {
        let Some((due, false)) = entry.schedule.first_due() else { continue };
        let adapter = adapter_of(entry).to_owned();
        let due = last.get(&adapter).map_or(due, |latest| due.max(*latest + FIRST_STEP));
        entry.schedule.place_first(due);
        last.insert(adapter, due);
    }
}

/// What a drive shares with others. Where sysfs names no adapter, an NVMe drive is its own, and all others are taken
/// to hang on one.
fn adapter_of(entry: &Entry) -> &str {
    let device = entry.device.as_deref().unwrap_or_default();
    match &entry.whereabouts.adapter {
        Some(adapter) => adapter,
        None if device.starts_with("/dev/nvme") => device,
        None => "",
    }
}
