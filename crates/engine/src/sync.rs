//! What threads meet at: locks, channels and threads of the standard library; with the feature `shuttle` those of the
//! library of that name, by which a test runs under thousands of schedules and a failing one can be run again.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard, mpsc},
    thread,
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{Mutex, MutexGuard},
    thread,
};

/// Shuttle's bounded channel, save that a receiver that goes drops what was sent and not received, as the standard
/// library's does: whoever waits for an answer to it learns that there will be none.
#[cfg(feature = "shuttle")]
pub(crate) mod mpsc {
    pub(crate) use shuttle::sync::mpsc::{RecvError, SyncSender, TryRecvError};

    /// The receiving end.
    pub(crate) struct Receiver<T>(shuttle::sync::mpsc::Receiver<T>);

    /// A channel that holds at most `bound` messages.
    pub(crate) fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
        let (sender, receiver) = shuttle::sync::mpsc::sync_channel(bound);
        (sender, Receiver(receiver))
    }

    impl<T> Receiver<T> {
        /// The next message, if one is there.
        pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
            self.0.try_recv()
        }

        /// The next message, for which it waits.
        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            self.0.recv()
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            while self.0.try_recv().is_ok() {}
        }
    }
}
