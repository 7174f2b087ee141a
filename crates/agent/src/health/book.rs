//! Every drive's history, and which drive is asked next.
//!
//! - A history belongs to a drive by WWN and serial. An ID is made of these; where a drive tells neither, its history
//!   is forgotten when it goes away.
//! - The lock is held for no longer than it takes to read or change memory.

mod asking;
mod keeping;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use imbrex_api::drive::ScrubStatus;
use imbrex_api::health::{DriveHealth, NodeHealth};
use imbrex_api::node::Smart;
use imbrex_health::{
    DriveKey, EngineRecord, ExportedDrive, Finding, KernelEvent, backblaze_csv, judge, life_used_percent,
};
use smartctl_parser::{Protocol, Report};
use tokio::sync::{Notify, watch};

use super::answer::{self, DriveLevels};
use super::clock_watch::{ClockWatch, Step};
use super::engine_mark::Mark;
use super::entry::Entry;
use super::kernel_words::KernelWords;
use super::notes_file::LoadedNotes;
use super::now_unix_s;
use super::places::place_first_questions;
use super::saved::Saved;
use crate::inventory::SurveyedDrive;
use crate::procfs;

pub(crate) use asking::{Ask, Next, OrderError};
pub(crate) use keeping::KeepError;

/// The drives' histories.
#[derive(Debug)]
pub(crate) struct Book {
    drives: Mutex<BTreeMap<String, Entry>>,
    kernel_log: Mutex<KernelWords>,
    restored: Mutex<BTreeMap<DriveKey, Saved>>,
    clock: Mutex<ClockWatch>,
    notes: Mutex<Arc<LoadedNotes>>,
    kernel: Option<String>,
    boot_id: Option<String>,
    changed: Notify,
    questions_beyond: AtomicU64,
    observed: watch::Sender<bool>,
}

impl Book {
    /// An empty book of a node whose kernel procfs describes, judged by these notes.
    pub(crate) fn new(notes: LoadedNotes, procfs: &Path) -> Self {
        Self {
            drives: Mutex::default(),
            kernel_log: Mutex::default(),
            restored: Mutex::default(),
            clock: Mutex::default(),
            notes: Mutex::new(Arc::new(notes)),
            kernel: procfs::kernel_release(procfs),
            boot_id: procfs::boot_id(procfs),
            changed: Notify::new(),
            questions_beyond: AtomicU64::new(0),
            observed: watch::Sender::new(false),
        }
    }

    fn drives(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // No code that holds the lock can leave an entry half changed.
        self.drives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The firmware notes that are in force now. The lock is held for no longer than that takes.
    pub(super) fn notes(&self) -> Arc<LoadedNotes> {
        Arc::clone(&self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these notes are in force. A drive that was not asked because of a note is looked at again.
    pub(super) fn set_notes(&self, notes: LoadedNotes) {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(notes);
        let now = Instant::now();
        self.drives().values_mut().filter(|entry| entry.is_masked()).for_each(|entry| {
            entry.schedule.come_soon(now);
        });
        self.changed.notify_one();
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
            drives.values_mut().for_each(|entry| entry.clock_stepped(step, now, now_unix_s));
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
        place_first_questions(&mut drives);
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

    /// Records a finding of the drive `id`.
    pub(crate) fn record(&self, id: &str, at_unix_s: u64, finding: Finding) {
        if let Some(entry) = self.drives().get_mut(id) {
            entry.record(at_unix_s, finding);
        }
    }

    /// Records what an engine saw: how far its scrub is, where it says so; `tell` makes of its last mark the present one, and
    /// what has happened in between.
    pub(super) fn record_engine(
        &self,
        id: &str,
        at_unix_s: u64,
        scrub: Option<ScrubStatus>,
        tell: impl FnOnce(Mark) -> (Mark, EngineRecord),
    ) {
        if let Some(entry) = self.drives().get_mut(id) {
            let (mark, record) = tell(entry.mark);
            (entry.mark, entry.scrub) = (mark, scrub);
            entry.record(at_unix_s, Finding::Engine { record });
            if let Some(coverage) = scrub.as_ref().map(answer::scrub_coverage) {
                entry.record(at_unix_s, Finding::Scrub { coverage });
            }
        }
    }

    /// Records that a drive's device could not be opened. Its engine does not run, and says nothing.
    pub(super) fn record_open_errors(
        &self,
        id: &str,
        at_unix_s: u64,
        tell: impl FnOnce(Mark) -> (Mark, u64),
    ) {
        if let Some(entry) = self.drives().get_mut(id) {
            let (mark, open_errors) = tell(entry.mark);
            entry.mark = mark;
            if open_errors > 0 {
                let record = EngineRecord { open_errors, ..EngineRecord::default() };
                entry.record(at_unix_s, Finding::Engine { record });
            }
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

    /// How far the scrub of the drive `id` is, as its engine said when it was last asked.
    pub(crate) fn scrub(&self, id: &str) -> Option<ScrubStatus> {
        self.drives().get(id).filter(|entry| entry.present).and_then(|entry| entry.scrub)
    }

    /// How the drive `id` is.
    pub(crate) fn drive_health(&self, id: &str) -> Option<DriveHealth> {
        let drives = self.drives();
        Some(answer::drive_health(id, drives.get(id)?, &self.notes().notes, Instant::now(), now_unix_s()))
    }

    /// The note by which the drive `id` must not hold data: its id and its title.
    pub(crate) fn refusing_note(&self, id: &str) -> Option<String> {
        self.drives().get(id)?.refusing_note(&self.notes().notes)
    }

    /// How much of its life a drive of flash has used, in percent, and how often in a minute a disk rotates: 0 for a
    /// drive that does not.
    pub(crate) fn life_and_rotation(&self, id: &str) -> (Option<u64>, Option<u32>) {
        let drives = self.drives();
        let Some(history) = drives.get(id).map(|entry| &entry.history) else { return (None, None) };
        let loaded = self.notes();
        let notes = loaded.notes.effective(history.identity());
        let rpm = history.latest_report().and_then(|(_, report)| match report.device.protocol {
            Some(Protocol::Nvme) => Some(0),
            _ => report.identity.rotation_rate_rpm,
        });
        (life_used_percent(history, &notes, now_unix_s()), rpm)
    }

    /// Every drive's history, as daily snapshots.
    pub(crate) fn export(&self) -> String {
        let (drives, notes, now_unix_s) = (self.drives(), self.notes(), now_unix_s());
        backblaze_csv(drives.values().map(|entry| {
            let life = judge(&entry.history, &notes.notes, now_unix_s).life;
            ExportedDrive { history: &entry.history, life }
        }))
    }

    /// How all drives are, and what they have in common.
    pub(crate) fn node_health(&self) -> NodeHealth {
        let notes = self.notes();
        let health = answer::node_health(&self.drives(), &notes.notes, now_unix_s());
        NodeHealth {
            kernel_log_reason: self.kernel_log().reason.clone(),
            notes: notes.state.clone(),
            ..health
        }
    }

    /// Every drive's levels.
    pub(crate) fn levels(&self) -> Vec<DriveLevels> {
        let (notes, now_unix_s) = (self.notes(), now_unix_s());
        let levels = |(id, entry): (&String, &Entry)| DriveLevels::of(id, entry, &notes.notes, now_unix_s);
        self.drives().iter().map(levels).collect()
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
