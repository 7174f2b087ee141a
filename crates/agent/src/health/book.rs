//! Every drive's history, and which drive is asked next.
//!
//! - A history belongs to a drive by WWN and serial. An ID is made of these; where a drive tells neither, its history
//!   is forgotten when it goes away.
//! - At most [`ADAPTER_MAX`] questions run behind one adapter and [`QUESTIONS_MAX`] in all. One that takes long no
//!   longer counts; a drive whose last question hung takes at most one of its adapter's places.
//! - The lock is held for no longer than it takes to read or change memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use imbrex_api::health::{DriveHealth, NodeHealth};
use imbrex_api::node::Smart;
use imbrex_health::notes::{MaskedCommand, Notes};
use imbrex_health::{ExportedDrive, backblaze_csv, judge, life_used_percent};
use smartctl_parser::{Answer, Protocol, Question};
use tokio::sync::Notify;

use super::entry::Entry;
use super::{answer, now_unix_s};
use crate::inventory::SurveyedDrive;

/// At most this many questions run at once behind one adapter.
const ADAPTER_MAX: usize = 2;

/// And in the whole node, those that take long not counted.
const QUESTIONS_MAX: usize = 64;

/// The drives' histories.
#[derive(Debug)]
pub(crate) struct Book {
    drives: Mutex<BTreeMap<String, Entry>>,
    notes: Notes,
    kernel: Option<String>,
    changed: Notify,
}

/// What the poller is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ask this drive.
    Ask(Ask),
    /// Nothing before this instant; `None` where no drive waits.
    Wait(Option<Instant>),
}

/// A question to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The drive's ID.
    pub(crate) id: String,
    /// Its device file.
    pub(crate) device: String,
    /// The socket of its process.
    pub(crate) socket: Option<PathBuf>,
    /// The question.
    pub(crate) question: Question,
}

/// Why an order to ask a drive now is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OrderError {
    /// There is no such drive.
    Unknown,
    /// It is not there, or has no device file that smartctl could open.
    NotThere,
    /// A note says that asking harms it.
    Masked(String),
    /// An order came a moment ago: how long to wait.
    TooSoon(Duration),
}

impl Book {
    /// An empty book of a node with this kernel, judged by these notes.
    pub(crate) fn new(notes: Notes, kernel: Option<String>) -> Self {
        Self { drives: Mutex::default(), notes, kernel, changed: Notify::new() }
    }

    fn drives(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // No code that holds the lock can leave an entry half changed.
        self.drives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a survey. A drive that the inventory has forgotten is forgotten here too, unless it is being
    /// asked.
    pub(crate) fn observe(&self, surveyed: &[SurveyedDrive], now: Instant) {
        let now_unix_s = now_unix_s();
        let kernel = self.kernel.as_deref();
        let mut drives = self.drives();
        drives.retain(|id, entry| {
            entry.schedule.is_asking() || surveyed.iter().any(|drive| drive.entry.id == *id)
        });
        for drive in surveyed {
            match drives.get_mut(&drive.entry.id) {
                Some(entry) if entry.is(drive) => entry.observe(drive, kernel, now, now_unix_s),
                _ => {
                    let entry = Entry::new(drive, kernel, now, now_unix_s);
                    drives.insert(drive.entry.id.clone(), entry);
                }
            }
        }
        drop(drives);
        self.changed.notify_one();
    }

    /// Waits until a drive was added or became free to be asked.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes the drive that has been due longest and whose adapter has a place, or tells when the next one is due.
    pub(crate) fn take(&self, now: Instant) -> Next {
        let mut drives = self.drives();
        let places = Places::of(&drives);
        let mut next: Option<(Instant, &String)> = None;
        for (id, entry) in drives.iter() {
            let Some(due) = entry.schedule.due().filter(|_| entry.device.is_some()) else { continue };
            // One that is due and has no place is looked at again when a place becomes free.
            if (due > now || places.has_one_for(entry)) && next.is_none_or(|(earliest, _)| due < earliest) {
                next = Some((due, id));
            }
        }
        match next.map(|(due, id)| (due, id.clone())) {
            None => Next::Wait(None),
            Some((due, _)) if due > now => Next::Wait(Some(due)),
            Some((_, id)) => match drives.get_mut(&id).and_then(|entry| self.start(&id, entry, now)) {
                Some(ask) => Next::Ask(ask),
                // It is masked, and no longer due.
                None => Next::Wait(Some(now)),
            },
        }
    }

    fn start(&self, id: &str, entry: &mut Entry, now: Instant) -> Option<Ask> {
        if let Some(reason) = entry.mask(&self.notes, MaskedCommand::Smartctl) {
            entry.masked(reason, now, now_unix_s());
            return None;
        }
        let may_be_full = entry.mask(&self.notes, MaskedCommand::SelfTestLog).is_none();
        Some(Ask {
            id: id.to_owned(),
            device: entry.device.clone()?,
            socket: entry.socket.clone(),
            question: entry.schedule.start(may_be_full, now),
        })
    }

    /// The question to the drive `id` takes long: others need not wait for it.
    pub(crate) fn give_up_place(&self, id: &str) {
        if let Some(entry) = self.drives().get_mut(id) {
            entry.schedule.give_up_place();
        }
        self.changed.notify_one();
    }

    /// Keeps what smartctl answered of the drive `id`.
    pub(crate) fn answered(&self, id: &str, answer: Answer) {
        if let Some(entry) = self.drives().get_mut(id) {
            entry.answered(answer, Instant::now(), now_unix_s());
        }
        self.changed.notify_one();
    }

    /// Makes the drive `id` due now.
    ///
    /// # Errors
    ///
    /// Why it is not asked.
    pub(crate) fn order(&self, id: &str, full: bool, now: Instant) -> Result<(), OrderError> {
        let mut drives = self.drives();
        let entry = drives.get_mut(id).ok_or(OrderError::Unknown)?;
        if entry.device.is_none() {
            return Err(OrderError::NotThere);
        }
        if let Some(reason) = entry.mask(&self.notes, MaskedCommand::Smartctl) {
            return Err(OrderError::Masked(reason));
        }
        entry.schedule.order(full, now).map_err(OrderError::TooSoon)?;
        drop(drives);
        self.changed.notify_one();
        Ok(())
    }

    /// SMART's status of the drive `id`, as the inventory tells it.
    pub(crate) fn smart(&self, id: &str) -> Option<Smart> {
        self.drives().get(id).filter(|entry| entry.device.is_some()).map(Entry::smart)
    }

    /// How the drive `id` is.
    pub(crate) fn drive_health(&self, id: &str) -> Option<DriveHealth> {
        let drives = self.drives();
        Some(answer::drive_health(id, drives.get(id)?, &self.notes, Instant::now(), now_unix_s()))
    }

    /// How much of its life a drive of flash has used, in percent, and how often in a minute a disk rotates: 0 for a
    /// drive that does not.
    pub(crate) fn life_and_rotation(&self, id: &str) -> (Option<u64>, Option<u32>) {
        let drives = self.drives();
        let Some(history) = drives.get(id).map(|entry| &entry.history) else { return (None, None) };
        let notes = self.notes.effective(history.identity());
        let rpm = history.latest_report().and_then(|(_, report)| match report.device.protocol {
            Some(Protocol::Nvme) => Some(0),
            _ => report.identity.rotation_rate_rpm,
        });
        (life_used_percent(history, &notes, now_unix_s()), rpm)
    }

    /// Every drive's history, as daily snapshots.
    pub(crate) fn export(&self) -> String {
        let (drives, now_unix_s) = (self.drives(), now_unix_s());
        backblaze_csv(drives.values().map(|entry| {
            let life = judge(&entry.history, &self.notes, now_unix_s).life;
            ExportedDrive { history: &entry.history, life }
        }))
    }

    /// How all drives are, and what they have in common.
    pub(crate) fn node_health(&self) -> NodeHealth {
        answer::node_health(&self.drives(), &self.notes, now_unix_s())
    }
}

/// The questions that run, by adapter.
struct Places {
    all: usize,
    /// How many, and how many of these to drives whose last question hung.
    adapters: BTreeMap<String, (usize, usize)>,
}

impl Places {
    fn of(drives: &BTreeMap<String, Entry>) -> Self {
        let mut places = Self { all: 0, adapters: BTreeMap::new() };
        for entry in drives.values().filter(|entry| entry.schedule.holds_place()) {
            places.all += 1;
            let (taken, hanging) = places.adapters.entry(adapter_of(entry).to_owned()).or_default();
            *taken += 1;
            *hanging += usize::from(entry.schedule.hangs());
        }
        places
    }

    fn has_one_for(&self, entry: &Entry) -> bool {
        let (taken, hanging) = self.adapters.get(adapter_of(entry)).copied().unwrap_or_default();
        self.all < QUESTIONS_MAX && taken < ADAPTER_MAX && !(entry.schedule.hangs() && hanging > 0)
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
