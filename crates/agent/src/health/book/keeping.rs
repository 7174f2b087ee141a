//! What is kept of the drives beyond this agent: on file, and by a control plane.

use std::sync::PoisonError;

use imbrex_api::health::KeptHistory;
use imbrex_health::History;

use serde::Deserialize as _;

use super::Book;
use crate::health::engine_mark::Mark;
use crate::health::now_unix_s;
use crate::health::saved::{Head, Saved};

/// The version of the histories that are given out and taken.
const VERSION: u32 = 1;

/// In a history that is given out, what the drive's engine had told: without it the next node would take old damage for new.
/// A node of an earlier version gives none, and passes over what it is given.
const ENGINE_MARK: &str = "engine_mark";

/// A history may have been kept by a node whose clock goes ahead of this one's by so much, in seconds.
const AHEAD_S_MAX: u64 = 3600;

/// Why a history is not given out or taken.
#[derive(Debug)]
pub(crate) enum KeepError {
    /// There is no such drive.
    Unknown,
    /// The drive tells neither WWN nor serial: nobody could tell whose history it is.
    Nameless,
    /// It is another drive's: whose.
    Another(String),
    /// It is of another version: of which.
    Version(u32),
    /// It is no history: why.
    Broken(String),
    /// It tells of a time that has not come: so many seconds from now.
    FromTheFuture(u64),
}

impl Book {
    /// What was recorded of the drive `id`, to be kept elsewhere.
    ///
    /// # Errors
    ///
    /// Why it is not given out.
    pub(crate) fn kept_history(&self, id: &str) -> Result<KeptHistory, KeepError> {
        let (history, mark) = {
            let drives = self.drives();
            let entry = drives.get(id).ok_or(KeepError::Unknown)?;
            entry.key().ok_or(KeepError::Nameless)?;
            (entry.history.clone(), entry.mark)
        };
        let broken = |error: serde_json::Error| KeepError::Broken(error.to_string());
        let mut history = serde_json::to_value(&history).map_err(broken)?;
        history[ENGINE_MARK] = serde_json::to_value(mark).map_err(broken)?;
        Ok(KeptHistory { version: VERSION, history })
    }

    /// Takes a history of the drive `id` that was kept elsewhere, beside what was recorded since.
    ///
    /// # Errors
    ///
    /// Why it is not taken: then nothing has changed.
    pub(crate) fn take_history(&self, id: &str, kept: KeptHistory) -> Result<(), KeepError> {
        if kept.version != VERSION {
            return Err(KeepError::Version(kept.version));
        }
        let broken = |error: serde_json::Error| KeepError::Broken(error.to_string());
        let mark = kept.history.get(ENGINE_MARK).map(Mark::deserialize).transpose().map_err(broken)?;
        let history: History = serde_json::from_value(kept.history).map_err(broken)?;
        let now_unix_s = now_unix_s();
        let ahead_s = history.newest_unix_s().unwrap_or(0).saturating_sub(now_unix_s);
        if ahead_s > AHEAD_S_MAX {
            return Err(KeepError::FromTheFuture(ahead_s));
        }
        let mut drives = self.drives();
        let entry = drives.get_mut(id).ok_or(KeepError::Unknown)?;
        let key = entry.key().ok_or(KeepError::Nameless)?;
        match history.key() {
            Some(of) if of == key => {
                entry.take_history(history, now_unix_s);
                entry.mark = entry.mark.and_told_by(mark.unwrap_or_default());
            }
            of => {
                return Err(KeepError::Another(
                    of.map_or_else(|| "no drive".to_owned(), |of| of.to_string()),
                ));
            }
        }
        Ok(())
    }

    /// The drives' IDs.
    pub(in crate::health) fn ids(&self) -> Vec<String> {
        self.drives().keys().cloned().collect()
    }

    /// The first line of the book's file.
    pub(in crate::health) fn saved_head(&self) -> Head {
        Head::new(self.boot_id.clone(), self.kernel_log().next_sequence())
    }

    /// The line of the drive `id`; `None` where it has gone, or has no name under which its history could be found.
    pub(in crate::health) fn saved_line(&self, id: &str) -> Option<serde_json::Result<Vec<u8>>> {
        self.drives()
            .get(id)
            .filter(|entry| entry.key().is_some())
            .map(|entry| serde_json::to_vec(&entry.saved()))
    }

    /// Takes what was saved: each drive's when the drive is seen.
    pub(in crate::health) fn restore(&self, head: &Head, saved: Vec<Saved>) {
        let is_same_boot = head.boot_id.is_some() && head.boot_id == self.boot_id;
        if is_same_boot {
            self.kernel_log().begin_at(head.next_sequence);
        }
        // In another boot the engines count from nothing, and find the damage that they had found.
        let mark = |saved: &Saved| if is_same_boot { saved.mark } else { saved.mark.of_new_boot() };
        let anew = saved.into_iter().map(|saved| Saved { mark: mark(&saved), ..saved });
        let keyed = anew.filter_map(|saved| Some((saved.history.key()?, saved)));
        *self.restored.lock().unwrap_or_else(PoisonError::into_inner) = keyed.collect();
    }
}
