//! Which drives there are to ask, when each is due, and what each last answered.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use imbrex_api::node::Smart;
use tokio::sync::Notify;

use super::{SmartAnswer, never_asked};

/// A drive is asked this often.
const INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Up to this much is taken off each interval, so that drives do not fall into step.
const JITTER_MS_MAX: u64 = 5 * 60 * 1000;

/// What is known of one drive.
#[derive(Debug)]
struct Entry {
    device: String,
    due: Instant,
    /// Set from the start of a question until its process has ended.
    asking: bool,
    latest: Smart,
}

/// The drives' SMART statuses.
#[derive(Debug, Default)]
pub(crate) struct SmartTable {
    entries: Mutex<BTreeMap<String, Entry>>,
    changed: Notify,
}

/// What the poller is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask this drive.
    Ask {
        /// Its ID.
        id: String,
        /// Its device file.
        device: String,
    },
    /// Nothing before this instant; `None` where no drive waits.
    Wait(Option<Instant>),
}

impl SmartTable {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // No code that holds the lock can leave an entry half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the drives (ID and device file) that are there now. A new one, or one whose device
    /// file changed, is due at once. One that went is forgotten when no question to it runs.
    pub(crate) fn observe(&self, drives: &[(String, String)], now: Instant) {
        let mut entries = self.entries();
        entries.retain(|id, entry| entry.asking || drives.iter().any(|(present, _)| present == id));
        for (id, device) in drives {
            let known = entries.get(id).is_some_and(|entry| entry.device == *device || entry.asking);
            if !known {
                let latest = never_asked("smartctl was not asked yet");
                entries.insert(id.clone(), Entry { device: device.clone(), due: now, asking: false, latest });
                self.changed.notify_one();
            }
        }
    }

    /// The last answer of the drive `id`.
    pub(crate) fn latest(&self, id: &str) -> Option<Smart> {
        self.entries().get(id).map(|entry| entry.latest.clone())
    }

    /// Waits until a drive was added or became free to be asked.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes the drive that has been due longest, or tells when the next one is due.
    pub(crate) fn take(&self, now: Instant) -> Next {
        let mut entries = self.entries();
        let Some((id, entry)) =
            entries.iter_mut().filter(|(_, entry)| !entry.asking).min_by_key(|(_, entry)| entry.due)
        else {
            return Next::Wait(None);
        };
        if entry.due > now {
            return Next::Wait(Some(entry.due));
        }
        entry.asking = true;
        Next::Ask { id: id.clone(), device: entry.device.clone() }
    }

    /// Keeps what the drive `id` answered.
    pub(crate) fn answered(&self, id: &str, answer: SmartAnswer, at: SystemTime) {
        if let Some(entry) = self.entries().get_mut(id) {
            let checked_at_unix_s = at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
            entry.latest = Smart { status: answer.status, reason: answer.reason, checked_at_unix_s };
        }
    }

    /// The question to the drive `id` has ended and left nothing behind: it may be asked again after
    /// an interval.
    pub(crate) fn release(&self, id: &str, now: Instant) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.asking = false;
            entry.due = now + INTERVAL - Duration::from_millis(random() % JITTER_MS_MAX);
            self.changed.notify_one();
        }
    }
}

/// A random number. Where the kernel has none, the middle does: this spreads load and hides nothing.
fn random() -> u64 {
    getrandom::u64().unwrap_or(JITTER_MS_MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drives(ids: &[&str]) -> Vec<(String, String)> {
        ids.iter().map(|id| ((*id).to_owned(), format!("/dev/{id}"))).collect()
    }

    #[test]
    fn a_new_drive_is_asked_at_once_and_again_after_25_to_30_minutes() {
        let (table, now) = (SmartTable::default(), Instant::now());
        table.observe(&drives(&["sda"]), now);
        assert_eq!(table.take(now), Next::Ask { id: "sda".to_owned(), device: "/dev/sda".to_owned() });
        assert_eq!(table.take(now), Next::Wait(None), "a drive is asked once at a time");
        table.release("sda", now);
        let Next::Wait(Some(due)) = table.take(now) else { panic!("due too early") };
        assert!(due > now + Duration::from_secs(25 * 60) - Duration::from_secs(1) && due <= now + INTERVAL);
        table.observe(&drives(&["sda"]), now);
        assert_eq!(table.take(now), Next::Wait(Some(due)), "seeing a drive again does not make it due");
    }

    #[test]
    fn a_drive_whose_question_still_runs_is_not_asked_again_even_after_it_was_away() {
        let (table, now) = (SmartTable::default(), Instant::now());
        table.observe(&drives(&["sda"]), now);
        assert!(matches!(table.take(now), Next::Ask { .. }));
        table.observe(&[], now);
        table.observe(&drives(&["sda"]), now);
        assert_eq!(table.take(now), Next::Wait(None));
    }

    #[test]
    fn a_drive_never_asked_is_unknown() {
        let table = SmartTable::default();
        table.observe(&drives(&["sda"]), Instant::now());
        let smart = table.latest("sda").unwrap();
        assert_eq!(smart.status, imbrex_api::node::SmartStatus::Unknown);
        assert_eq!(smart.checked_at_unix_s, None);
        assert_eq!(table.latest("sdb"), None);
    }
}
