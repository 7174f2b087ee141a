//! Who may be asked beside whom.
//!
//! - At most [`ADAPTER_MAX`] questions run behind one adapter and [`QUESTIONS_MAX`] in all. One that takes longer than
//!   that drive's questions do no longer counts (see [`super::schedule`]); a drive whose last question hung takes at
//!   most one of its adapter's places.

use std::collections::BTreeMap;
use std::time::Instant;

use super::entry::Entry;
use super::schedule::FIRST_STEP;

/// At most this many questions run at once behind one adapter.
const ADAPTER_MAX: usize = 2;

/// And in the whole node, those that take long not counted.
const QUESTIONS_MAX: usize = 64;

/// The questions that run, by adapter.
pub(super) struct Places {
    all: usize,
    /// When the next one becomes free though its question has not ended.
    pub(super) next_free: Option<Instant>,
    /// How many, and how many of these to drives whose last question hung.
    adapters: BTreeMap<String, (usize, usize)>,
}

impl Places {
    /// Those that are taken.
    pub(super) fn of(drives: &BTreeMap<String, Entry>, now: Instant) -> Self {
        let mut places = Self { all: 0, next_free: None, adapters: BTreeMap::new() };
        for entry in drives.values() {
            let Some(until) = entry.schedule.holds_place_until(now) else { continue };
            places.next_free = Some(places.next_free.map_or(until, |earliest| earliest.min(until)));
            places.all += 1;
            let (taken, hanging) = places.adapters.entry(adapter_of(entry).to_owned()).or_default();
            *taken += 1;
            *hanging += usize::from(entry.schedule.hangs());
        }
        places
    }

    /// Whether there is one for this drive.
    pub(super) fn has_one_for(&self, entry: &Entry) -> bool {
        let (taken, hanging) = self.adapters.get(adapter_of(entry)).copied().unwrap_or_default();
        self.all < QUESTIONS_MAX && taken < ADAPTER_MAX && !(entry.schedule.hangs() && hanging > 0)
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
