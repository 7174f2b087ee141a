//! Which drive is asked next, and what comes of it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use imbrex_health::notes::MaskedCommand;
use smartctl_parser::{Answer, Question};

use super::Book;
use crate::health::entry::Entry;
use crate::health::now_unix_s;
use crate::health::places::Places;

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
    /// What it is called whatever its device file is: its WWN and serial; the device file of a drive that tells neither.
    pub(crate) drive: String,
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
            Some((_, id)) => {
                let is_one_more = drives.get(&id).is_some_and(|entry| places.is_one_more(entry));
                match drives.get_mut(&id).and_then(|entry| self.start(&id, entry, now)) {
                    Some(ask) => {
                        self.questions_beyond.fetch_add(u64::from(is_one_more), Ordering::Relaxed);
                        Next::Ask(ask)
                    }
                    // It is masked, and no longer due.
                    None => Next::Wait(Some(now)),
                }
            }
        }
    }

    fn start(&self, id: &str, entry: &mut Entry, now: Instant) -> Option<Ask> {
        if let Some(reason) = entry.mask(&self.notes().notes, MaskedCommand::Smartctl) {
            entry.masked(reason, now, now_unix_s());
            return None;
        }
        let may_be_full = entry.mask(&self.notes().notes, MaskedCommand::SelfTestLog).is_none();
        let device = entry.device.clone()?;
        Some(Ask {
            id: id.to_owned(),
            drive: entry.key().map_or_else(|| device.clone(), |key| key.to_string()),
            device,
            socket: entry.socket.clone(),
            question: entry.schedule.start(may_be_full, now),
        })
    }

    /// How many questions were put while two others ran behind their drive's adapter.
    pub(crate) fn questions_beyond(&self) -> u64 {
        self.questions_beyond.load(Ordering::Relaxed)
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
        if let Some(reason) = entry.mask(&self.notes().notes, MaskedCommand::Smartctl) {
            return Err(OrderError::Masked(reason));
        }
        entry.schedule.order(full, now).map_err(OrderError::TooSoon)?;
        drop(drives);
        self.changed.notify_one();
        Ok(())
    }
}
