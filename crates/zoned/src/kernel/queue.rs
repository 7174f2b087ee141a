//! The seam below a device: what carries operations on one open file to the kernel and brings them back.

use std::fs::File;
use std::io;
use std::time::Duration;

use crate::kernel::operation::{Failure, Operation};
use crate::kernel::ring::Ring;
use crate::{BufferPool, Waker};

/// The largest number of operations in flight.
pub(crate) const IN_FLIGHT_MAX: u32 = 128;

/// By what means a device reaches the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The crate `io-uring`, with registered memory and files.
    #[default]
    Ring,
    /// The crate `tokio-uring`, held to the same checks for the sake of comparison: see [`crate::tokio_uring`].
    #[cfg(feature = "tokio-uring")]
    TokioUring,
}

impl Backend {
    /// Makes a queue on `files` for the buffers of `pool`.
    pub(crate) fn queue(self, files: &Files<'_>, pool: &BufferPool) -> io::Result<Box<dyn Queue>> {
        match self {
            Self::Ring => Ok(Box::new(Ring::new(files, pool)?)),
            #[cfg(feature = "tokio-uring")]
            Self::TokioUring => Ok(Box::new(crate::tokio_uring::TokioUringQueue::new(files)?)),
        }
    }
}

/// The files of a queue.
pub(crate) struct Files<'a> {
    /// What is read and written.
    pub(crate) drive: &'a File,
    /// Only of a drive file: the same file, through the page cache.
    pub(crate) table: Option<&'a File>,
}

/// The end of one operation.
pub(crate) struct Ended {
    pub(crate) operation: Operation,
    pub(crate) result: Result<(), Failure>,
}

/// Operations in flight. It owns the memory of each from its submission until the kernel has answered.
///
/// The thread that first waits is its thread from then on. Dropping it waits for what is in flight; where that cannot
/// be waited for, the memory is leaked.
pub(crate) trait Queue: Send {
    /// How many operations are in flight: at most [`IN_FLIGHT_MAX`].
    fn in_flight(&self) -> usize;

    /// A handle that interrupts a wait.
    fn waker(&self) -> Waker;

    /// Queues an operation; the next wait submits it.
    ///
    /// # Errors
    ///
    /// Hands it back where as many are in flight as there may be.
    fn submit(&mut self, operation: Operation) -> Result<(), Box<Operation>>;

    /// Submits what is queued, without waiting.
    fn start(&mut self) -> io::Result<()>;

    /// Submits what is queued and appends what has ended. Waits for at least one end, a wake or the timeout.
    fn wait(&mut self, timeout: Option<Duration>, ended: &mut Vec<Ended>) -> io::Result<()>;
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
