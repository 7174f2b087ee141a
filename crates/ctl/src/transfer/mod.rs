//! Moving blocks between local files and the drives.
//!
//! Invariants:
//! - A block is in memory only under one of `jobs` permits: the program's memory does not grow with what it moves,
//!   but for the manifests themselves (about 200 bytes for each file of a tree, 100 for each block of a file).
//! - A task that waits for a permit holds none, so that transfers cannot wait for each other for ever.

pub(crate) mod get;
pub(crate) mod put;
pub(crate) mod read;
mod stage;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::fleet::Fleet;
use crate::progress::Progress;

/// The drives, the progress bar and the limits. Clones share all of them.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    fleet: Arc<Fleet>,
    progress: Progress,
    /// Blocks in memory.
    blocks: Arc<Semaphore>,
    /// Files open.
    files: Arc<Semaphore>,
    jobs: usize,
}

impl Transport {
    /// A transport with at most `jobs` blocks in memory and as many files open.
    pub(crate) fn new(fleet: Arc<Fleet>, progress: Progress, jobs: usize) -> Self {
        let limit = || Arc::new(Semaphore::new(jobs));
        Self { fleet, progress, blocks: limit(), files: limit(), jobs }
    }

    /// The drives.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The progress bar.
    pub(crate) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How many things to do at a time.
    pub(crate) const fn jobs(&self) -> usize {
        self.jobs
    }

    async fn block_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.blocks).acquire_owned().await.map_err(|_| stopped())
    }

    /// Waits until one more file may be open.
    pub(crate) async fn file_permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.files).acquire_owned().await.map_err(|_| stopped())
    }
}

/// Runs something that blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| stopped())
}

/// The next finished task of a set; nothing where none is left.
pub(crate) async fn next_of<T: 'static>(tasks: &mut JoinSet<T>) -> Result<Option<T>, Error> {
    tasks.join_next().await.transpose().map_err(|_| stopped())
}

/// What a task ends with when the program is being stopped under it.
fn stopped() -> Error {
    Error::Incomplete("the transfer was stopped before its end".into())
}
