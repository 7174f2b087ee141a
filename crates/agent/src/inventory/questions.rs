//! Asks every drive's process, and sysfs where it was not read yet, at the same time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use imbrex_api::drive::DriveStatus;
use tokio::task::JoinSet;

use crate::drive_client::{self, DriveCallError};
use crate::sysfs::{self, Identity};

/// At most this many drives are asked at once; the others wait for a place.
const ASKED_MAX: usize = 128;

/// Reading sysfs takes microseconds, unless the drive's queue is frozen.
const SYSFS_DEADLINE: Duration = Duration::from_millis(500);

/// What to ask about one drive.
#[derive(Debug)]
pub(super) struct Question {
    /// The drive's ID.
    pub(super) id: String,
    /// The socket to ask on; `None` where its process is not to be asked.
    pub(super) socket: Option<PathBuf>,
    /// The device file to look up in sysfs; `None` where that is known.
    pub(super) device: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Reply {
    /// The drive's ID.
    pub(super) id: String,
    /// What its process answered; `None` where it was not asked.
    pub(super) status: Option<Result<DriveStatus, DriveCallError>>,
    /// What sysfs says; `None` where it was not asked.
    pub(super) identity: Option<IdentityReply>,
}

/// What came of reading sysfs.
#[derive(Debug)]
pub(super) enum IdentityReply {
    /// This is what it says.
    Read(Box<Identity>),
    /// It has no such device, which may come.
    NotThere,
    /// It did not answer in time. It is not asked again, since each try would hold a thread.
    Stuck,
}

/// Asks all; each process has `deadline` to answer.
pub(super) async fn ask_all(questions: Vec<Question>, sysfs: &Path, deadline: Duration) -> Vec<Reply> {
    let mut waiting = questions.into_iter();
    let mut asked = JoinSet::new();
    let mut replies = Vec::new();
    loop {
        while asked.len() < ASKED_MAX {
            let Some(question) = waiting.next() else { break };
            asked.spawn(ask(question, sysfs.to_owned(), deadline));
        }
        match asked.join_next().await {
            None => return replies,
            Some(Ok(reply)) => replies.push(reply),
            Some(Err(error)) => tracing::error!("asking a drive ended early: {error}"),
        }
    }
}

async fn ask(question: Question, sysfs: PathBuf, deadline: Duration) -> Reply {
    let status = async {
        match &question.socket {
            None => None,
            Some(socket) => Some(drive_client::status(socket, deadline).await),
        }
    };
    let identity = async {
        match question.device {
            None => None,
            Some(device) => Some(read_identity(sysfs, device).await),
        }
    };
    let (status, identity) = tokio::join!(status, identity);
    Reply { id: question.id, status, identity }
}

async fn read_identity(sysfs: PathBuf, device: String) -> IdentityReply {
    let read = tokio::task::spawn_blocking(move || sysfs::read_identity(&sysfs, &device));
    match tokio::time::timeout(SYSFS_DEADLINE, read).await {
        Ok(Ok(Some(identity))) => IdentityReply::Read(Box::new(identity)),
        Ok(Ok(None)) => IdentityReply::NotThere,
        Ok(Err(_)) | Err(_) => IdentityReply::Stuck,
    }
}
