//! What is remembered of every drive from one survey to the next.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use imbrex_api::drive::DriveStatus;

use super::SurveyedDrive;
use super::entry::{self, Silence};
use super::questions::{IdentityReply, Question, Reply};
use crate::drive_client::DriveCallError;
use crate::health::Book;
use crate::init_client::{InitDrive, InitStatus};
use crate::sysfs::Identity;

/// A drive that was late is not asked again for this long.
const LATE_PAUSE: Duration = Duration::from_secs(3);

/// At most this many drives that went away are remembered; the one gone longest is forgotten first.
const MISSING_MAX: usize = 256;

/// All drives by ID.
#[derive(Debug, Default)]
pub(super) struct Memory {
    drives: BTreeMap<String, Remembered>,
}

/// One drive.
#[derive(Debug)]
pub(super) struct Remembered {
    /// What init said of it last.
    pub(super) told: InitDrive,
    /// What sysfs said of it.
    pub(super) identity: IdentityState,
    /// What its process said last, and when.
    pub(super) status: Option<(DriveStatus, Instant)>,
    /// Why its process did not answer the last time that it was asked; `None` where it did.
    pub(super) silence: Option<Silence>,
    /// When it was last there; `None` where it was gone before the agent started.
    pub(super) seen: Option<Instant>,
    /// Whether it was there at the last survey.
    pub(super) present: bool,
    /// It is not asked before this.
    not_before: Option<Instant>,
}

/// How far sysfs was read.
#[derive(Debug, Default)]
pub(super) enum IdentityState {
    /// Not yet.
    #[default]
    Wanted,
    /// It said this.
    Known(Box<Identity>),
    /// It did not answer, and is not asked again.
    Stuck,
}

impl Memory {
    /// The drives that were there at the last survey.
    pub(super) fn present(&self) -> Vec<InitDrive> {
        self.drives.values().filter(|drive| drive.present).map(|drive| drive.told.clone()).collect()
    }

    /// What to ask about those of `targets` that are there.
    pub(super) fn questions(&self, targets: &[InitDrive], now: Instant) -> Vec<Question> {
        targets.iter().filter(|target| target.present).map(|target| self.question(target, now)).collect()
    }

    fn question(&self, target: &InitDrive, now: Instant) -> Question {
        // A drive that came back may be another process, on another device: nothing old holds for it.
        let known =
            self.drives.get(&target.id).filter(|known| known.present && known.told.device == target.device);
        let paused = known.and_then(|known| known.not_before).is_some_and(|not_before| now < not_before);
        let identity_wanted = known.is_none_or(|known| matches!(known.identity, IdentityState::Wanted));
        let last_path = known.and_then(|known| Some(known.status.as_ref()?.0.path.clone()));
        Question {
            id: target.id.clone(),
            socket: target.socket.clone().filter(|_| !paused),
            device: target
                .device
                .clone()
                .or(last_path)
                .filter(|path| identity_wanted && path.starts_with("/dev/")),
        }
    }

    /// Takes note of who is there, who is not, and what they answered.
    pub(super) fn note(&mut self, targets: &[InitDrive], replies: Vec<Reply>, now: Instant) {
        for drive in self.drives.values_mut() {
            drive.present = false;
        }
        for target in targets {
            let drive = self.drives.entry(target.id.clone()).or_insert_with(|| Remembered::new(target));
            if drive.told.device != target.device {
                *drive = Remembered::new(target);
            }
            drive.told = target.clone();
            drive.present = target.present;
            if target.present {
                drive.seen = Some(now);
            }
        }
        for reply in replies {
            if let Some(drive) = self.drives.get_mut(&reply.id) {
                drive.note(reply, now);
            }
        }
        self.forget_oldest_missing();
    }

    fn forget_oldest_missing(&mut self) {
        let missing = self.drives.values().filter(|drive| !drive.present).count();
        for _ in MISSING_MAX..missing {
            let oldest =
                self.drives.iter().filter(|(_, drive)| !drive.present).min_by_key(|(_, drive)| drive.seen);
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
            self.drives.remove(&id);
        }
    }

    /// Every drive's entry for the API, by ID.
    pub(super) fn entries(&self, init: Option<&InitStatus>, book: &Book, now: Instant) -> Vec<SurveyedDrive> {
        self.drives.values().map(|drive| entry::merge(drive, init, book, now)).collect()
    }
}

impl Remembered {
    fn new(told: &InitDrive) -> Self {
        Self {
            told: told.clone(),
            identity: IdentityState::Wanted,
            status: None,
            silence: None,
            seen: None,
            present: told.present,
            not_before: None,
        }
    }

    fn note(&mut self, reply: Reply, now: Instant) {
        match reply.identity {
            Some(IdentityReply::Read(identity)) => self.identity = IdentityState::Known(identity),
            Some(IdentityReply::Stuck) => self.identity = IdentityState::Stuck,
            Some(IdentityReply::NotThere) | None => {}
        }
        match reply.status {
            // Not asked: what held before still holds.
            None => {}
            Some(Ok(status)) => {
                self.status = Some((status, now));
                self.silence = None;
                self.not_before = None;
            }
            Some(Err(error)) => {
                let late = matches!(error, DriveCallError::Late { .. });
                self.not_before = late.then(|| now + LATE_PAUSE);
                self.silence = Some(Silence::from(&error));
            }
        }
    }
}
