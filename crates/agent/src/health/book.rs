//! Every drive's history, and which drive is asked next.
//!
//! - A history belongs to a drive by WWN and serial. An ID is made of these; where a drive tells neither, its history
//!   is forgotten when it goes away.
//! - The lock is held for no longer than it takes to read or change memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use imbrex_api::health::{DriveHealth, NodeHealth, NotesState};
use imbrex_api::node::Smart;
use imbrex_health::notes::{MaskedCommand, Notes};
use imbrex_health::{
    DriveKey, EngineRecord, ExportedDrive, Finding, KernelEvent, backblaze_csv, judge, life_used_percent,
};
use smartctl_parser::{Answer, Protocol, Question, Report};
use tokio::sync::{Notify, watch};

use super::answer::{self, DriveLevels};
use super::clock_watch::{ClockWatch, Step};
use super::engine_watch::Mark;
use super::entry::Entry;
use super::kernel_words::KernelWords;
use super::notes_file::LoadedNotes;
use super::now_unix_s;
use super::places::Places;
use super::saved::{Head, Saved};
use crate::inventory::SurveyedDrive;
use crate::procfs;

/// The drives' histories.
#[derive(Debug)]
pub(crate) struct Book {
    drives: Mutex<BTreeMap<String, Entry>>,
    kernel_log: Mutex<KernelWords>,
    restored: Mutex<BTreeMap<DriveKey, Saved>>,
    clock: Mutex<ClockWatch>,
    notes: Notes,
    notes_state: NotesState,
    kernel: Option<String>,
    boot_id: Option<String>,
    changed: Notify,
    observed: watch::Sender<bool>,
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
    /// It is not there.
    Missing,
    /// It has no device file that smartctl could open.
    NoDevice,
    /// A note says that asking harms it.
    Masked(String),
    /// An order came a moment ago: how long to wait.
    TooSoon(Duration),
}

impl Book {
    /// An empty book of a node whose kernel procfs describes, judged by these notes.
    pub(crate) fn new(notes: LoadedNotes, procfs: &Path) -> Self {
        Self {
            drives: Mutex::default(),
            kernel_log: Mutex::default(),
            restored: Mutex::default(),
            clock: Mutex::default(),
            notes: notes.notes,
            notes_state: notes.state,
            kernel: procfs::kernel_release(procfs),
            boot_id: procfs::boot_id(procfs),
            changed: Notify::new(),
            observed: watch::Sender::new(false),
        }
    }

    fn drives(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // No code that holds the lock can leave an entry half changed.
        self.drives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken after the drives' lock where both are.
    fn kernel_log(&self) -> MutexGuard<'_, KernelWords> {
        self.kernel_log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a survey. A drive that the inventory has forgotten is forgotten here too, unless it is being
    /// asked.
    pub(crate) fn observe(&self, surveyed: &[SurveyedDrive], now: Instant) {
        self.observe_at(surveyed, now, now_unix_s());
    }

    fn observe_at(&self, surveyed: &[SurveyedDrive], now: Instant, now_unix_s: u64) {
        let step = self.clock.lock().unwrap_or_else(PoisonError::into_inner).look(now, now_unix_s);
        let kernel = self.kernel.as_deref();
        let mut drives = self.drives();
        let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
        drives.retain(|id, entry| {
            entry.schedule.is_asking() || surveyed.iter().any(|drive| drive.entry.id == *id)
        });
        if step != Step::None {
            drives.values_mut().for_each(|entry| entry.clock_stepped(step, now));
        }
        for drive in surveyed {
            match drives.get_mut(&drive.entry.id) {
                Some(entry) if entry.is(drive) => {
                    let same_names = entry.whereabouts.names == drive.whereabouts.names;
                    entry.observe(drive, kernel, now, now_unix_s);
                    if !same_names {
                        self.kernel_log().give_to(entry, now);
                    }
                }
                _ => {
                    let mut entry = Entry::new(drive, kernel, now, now_unix_s);
                    self.kernel_log().give_to(&mut entry, now);
                    drives.insert(drive.entry.id.clone(), entry);
                }
            }
        }
        if !restored.is_empty() {
            for entry in drives.values_mut() {
                if let Some(saved) = entry.key().and_then(|key| restored.remove(&key)) {
                    entry.restore(saved, now, now_unix_s);
                }
            }
        }
        drop((restored, drives));
        self.observed.send_replace(true);
        self.changed.notify_one();
    }

    /// Waits for the first survey.
    pub(crate) async fn first_observed(&self) {
        // The sender lives as long as this book.
        let _ = self.observed.subscribe().wait_for(|observed| *observed).await;
    }

    /// Waits until a drive was added or became free to be asked.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes the drive that has been due longest and whose adapter has a place, or tells when the next one is due.
    pub(crate) fn take(&self, now: Instant) -> Next {
        let mut drives = self.drives();
        let places = Places::of(&drives, now);
        let mut next: Option<(Instant, &String)> = None;
        let mut free = None;
        for (id, entry) in drives.iter() {
            let Some(due) = entry.schedule.due().filter(|_| entry.device.is_some()) else { continue };
            if due <= now && !places.has_one_for(entry) {
                // It is looked at again when a place becomes free.
                free = places.next_free;
            } else if next.is_none_or(|(earliest, _)| due < earliest) {
                next = Some((due, id));
            }
        }
        match next.map(|(due, id)| (due, id.clone())) {
            None => Next::Wait(free),
            Some((due, _)) if due > now => Next::Wait(Some(free.map_or(due, |free| free.min(due)))),
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

    /// The engine refused a quiet time. False where the question is to be put all the same.
    pub(crate) fn postpone(&self, id: &str, wait: Duration, now: Instant) -> bool {
        let postponed = self.drives().get_mut(id).is_some_and(|entry| entry.schedule.postpone(wait, now));
        self.changed.notify_one();
        postponed
    }

    /// Keeps what smartctl answered of the drive `id`.
    pub(crate) fn answered(&self, id: &str, answer: Answer, now: Instant) {
        if let Some(entry) = self.drives().get_mut(id) {
            entry.answered(answer, now, now_unix_s());
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
        if !entry.present {
            return Err(OrderError::Missing);
        }
        if entry.device.is_none() {
            return Err(OrderError::NoDevice);
        }
        if let Some(reason) = entry.mask(&self.notes, MaskedCommand::Smartctl) {
            return Err(OrderError::Masked(reason));
        }
        entry.schedule.order(full, now).map_err(OrderError::TooSoon)?;
        drop(drives);
        self.changed.notify_one();
        Ok(())
    }

    /// Records a finding of the drive `id`.
    pub(crate) fn record(&self, id: &str, at_unix_s: u64, finding: Finding) {
        if let Some(entry) = self.drives().get_mut(id) {
            entry.record(at_unix_s, finding);
        }
    }

    /// Records what an engine saw: `tell` makes of its last mark the present one, and what has happened in between.
    pub(super) fn record_engine(
        &self,
        id: &str,
        at_unix_s: u64,
        tell: impl FnOnce(Mark) -> (Mark, EngineRecord),
    ) {
        if let Some(entry) = self.drives().get_mut(id) {
            let (mark, record) = tell(entry.mark);
            entry.mark = mark;
            entry.record(at_unix_s, Finding::Engine { record });
        }
    }

    /// Records what the kernel said of the device that it calls `name`. A drive that is there goes before one that went
    /// away and bore the name. Where several drives hang on that device, it says nothing of any one of them; where none
    /// does, one may be about to come.
    pub(crate) fn record_kernel_event(&self, name: &str, at_unix_s: u64, event: KernelEvent) {
        let mut drives = self.drives();
        for present in [true, false] {
            let is_called = |entry: &&mut Entry| entry.present == present && entry.is_called(name);
            let mut called = drives.values_mut().filter(is_called);
            match (called.next(), called.next()) {
                (Some(entry), None) => return entry.record(at_unix_s, Finding::Kernel { event }),
                (Some(_), Some(_)) => return,
                (None, _) => {}
            }
        }
        self.kernel_log().keep(name, at_unix_s, event);
    }

    /// Whether a record of the kernel's log was not read before; it is from now on.
    pub(super) fn is_new_record(&self, sequence: u64) -> bool {
        self.kernel_log().is_new(sequence)
    }

    /// From now on the kernel's log gives no evidence, for this reason.
    pub(super) fn set_kernel_log_reason(&self, reason: String) {
        self.kernel_log().reason = Some(reason);
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
        let health = answer::node_health(&self.drives(), &self.notes, now_unix_s());
        NodeHealth {
            kernel_log_reason: self.kernel_log().reason.clone(),
            notes: self.notes_state.clone(),
            ..health
        }
    }

    /// Every drive's levels.
    pub(crate) fn levels(&self) -> Vec<DriveLevels> {
        let now_unix_s = now_unix_s();
        self.drives().iter().map(|(id, entry)| DriveLevels::of(id, entry, &self.notes, now_unix_s)).collect()
    }

    /// Shows every drive's last report to `show`.
    pub(crate) fn show_reports<T>(&self, show: impl FnOnce(&[Reported<'_>]) -> T) -> T {
        let drives = self.drives();
        let reported = drives.iter().filter_map(|(id, entry)| {
            let (_, report) = entry.history.latest_report()?;
            Some(Reported { id, device: entry.device.as_deref()?, report })
        });
        show(&reported.collect::<Vec<_>>())
    }

    /// The drives' IDs.
    pub(super) fn ids(&self) -> Vec<String> {
        self.drives().keys().cloned().collect()
    }

    /// The first line of the book's file.
    pub(super) fn saved_head(&self) -> Head {
        Head::new(self.boot_id.clone(), self.kernel_log().next_sequence())
    }

    /// The line of the drive `id`; `None` where it has gone, or has no name under which its history could be found.
    pub(super) fn saved_line(&self, id: &str) -> Option<serde_json::Result<Vec<u8>>> {
        self.drives()
            .get(id)
            .filter(|entry| entry.key().is_some())
            .map(|entry| serde_json::to_vec(&entry.saved()))
    }

    /// Takes what was saved: each drive's when the drive is seen.
    pub(super) fn restore(&self, head: &Head, saved: Vec<Saved>) {
        if head.boot_id.is_some() && head.boot_id == self.boot_id {
            self.kernel_log().begin_at(head.next_sequence);
        }
        let keyed = saved.into_iter().filter_map(|saved| Some((saved.history.key()?, saved)));
        *self.restored.lock().unwrap_or_else(PoisonError::into_inner) = keyed.collect();
    }
}

/// A drive and its last report.
pub(crate) struct Reported<'a> {
    /// The drive's ID.
    pub(crate) id: &'a str,
    /// Its device file.
    pub(crate) device: &'a str,
    /// The report.
    pub(crate) report: &'a Report,
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
