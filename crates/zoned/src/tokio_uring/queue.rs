//! A queue of operations that a tokio-uring runtime carries out, on the thread that waits.

#![expect(unsafe_code, reason = "the kernel borrows memory across calls")]

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::tokio_uring::Runtime;
use ::tokio_uring::fs::File as RingFile;
use nix::libc;
use tokio::sync::Notify;

use crate::Waker;
use crate::kernel::operation::{Action, Operation, Progress};
use crate::kernel::queue::{Ended, Files, IN_FLIGHT_MAX, Queue};
use crate::kernel::slab::Slab;
use crate::tokio_uring::lent::Lent;
use crate::tokio_uring::thread_bound::ThreadBound;

/// Entries of the submission queue: each operation has one, and a wait for nothing one more.
const SUBMISSION_ENTRIES: u32 = (IN_FLIGHT_MAX + 1).next_power_of_two();

/// Operations in flight by way of tokio-uring.
pub(crate) struct TokioUringQueue {
    // Dropped before the memory that it borrows.
    bound: Option<ThreadBound<Bound>>,
    slab: Slab<Operation>,
    /// Operations whose next part has not been handed to the runtime.
    queued: Vec<u32>,
    wake: Arc<Wake>,
    /// What the runtime is to open on its thread.
    drive: Option<File>,
    table: Option<File>,
}

/// The runtime, and what lives on its thread alone.
struct Bound {
    /// Before the runtime, so that they are closed while it is there.
    drive: Rc<RingFile>,
    table: Option<Rc<RingFile>>,
    /// The kernel's answers, by slot, in the form of the ring: a number of bytes, or a negated error number.
    answers: Rc<RefCell<Vec<(u32, i32)>>>,
    runtime: Runtime,
}

#[derive(Default)]
struct Wake {
    woken: AtomicBool,
    notify: Notify,
}

impl TokioUringQueue {
    /// Makes a queue on `files`. The runtime is made by the first thread that waits.
    pub(crate) fn new(files: &Files<'_>) -> io::Result<Self> {
        Ok(Self {
            bound: None,
            slab: Slab::new(IN_FLIGHT_MAX),
            queued: Vec::new(),
            wake: Arc::default(),
            drive: Some(files.drive.try_clone()?),
            table: files.table.map(File::try_clone).transpose()?,
        })
    }

    /// Makes this thread the runtime's, at its first use.
    fn bind(&mut self) -> io::Result<()> {
        let Some(drive) = self.drive.take() else { return Ok(()) };
        let runtime = Runtime::new(::tokio_uring::builder().entries(SUBMISSION_ENTRIES))?;
        self.bound = Some(ThreadBound::new(Bound {
            drive: Rc::new(RingFile::from_std(drive)),
            table: self.table.take().map(|table| Rc::new(RingFile::from_std(table))),
            answers: Rc::default(),
            runtime,
        }));
        Ok(())
    }

    /// Hands what is queued to the runtime, and lets it run until an answer or a wake has come, or for `remaining`.
    fn turn(&mut self, remaining: Option<Duration>) -> io::Result<()> {
        self.bind()?;
        let bound = self.bound.as_ref().and_then(ThreadBound::get);
        let bound = bound.ok_or_else(|| io::Error::other("another thread has used the device"))?;
        let (slab, queued, wake) = (&mut self.slab, &mut self.queued, &self.wake);
        bound.runtime.block_on(async {
            for slot in queued.drain(..) {
                let operation = slab.get_mut(slot).expect("what is queued is in flight");
                bound.carry_out(slot, operation, wake);
            }
            bound.until_answered(wake, remaining).await
        })
    }

    /// Takes the answers, and queues the next part of what goes on.
    fn reap(&mut self, ended: &mut Vec<Ended>) {
        let Some(bound) = self.bound.as_ref().and_then(ThreadBound::get) else { return };
        for (slot, answer) in bound.answers.borrow_mut().drain(..) {
            let operation = self.slab.get_mut(slot).expect("an answer belongs to an operation in flight");
            match operation.answered(answer) {
                Progress::Continues => self.queued.push(slot),
                Progress::Ended(result) => {
                    let operation = self.slab.remove(slot).expect("it was there a moment ago");
                    ended.push(Ended { operation, result });
                }
            }
        }
    }
}

impl Bound {
    /// Starts a task for the next part of an operation.
    fn carry_out(&self, slot: u32, operation: &mut Operation, wake: &Arc<Wake>) {
        let part = operation.next_part();
        let start = operation.memory().wrapping_add(part.within_bytes);
        // SAFETY: the memory belongs to the operation, which stays in the slab, unread and unwritten by us, until the
        // task has told the kernel's answer (see `Drop` for where it never does). The part lies within it.
        let lent = unsafe { Lent::new(start, part.length_bytes as usize) };
        let (action, offset_bytes) = (operation.action, part.offset_bytes);
        let (range_bytes, mode) = (operation.length_bytes as u64, operation.allocation_mode());
        let (answers, drive, table) = (Rc::clone(&self.answers), Rc::clone(&self.drive), self.table.clone());
        let wake = Arc::clone(wake);
        ::tokio_uring::spawn(async move {
            let transferred = match (action, table) {
                (Action::Read, _) => drive.read_at(lent, offset_bytes).await.0,
                (Action::Write, _) => drive.write_at(lent, offset_bytes).submit().await.0,
                (Action::Save, Some(table)) => table.write_at(lent, offset_bytes).submit().await.0,
                // Not reached: only a drive file's operations save.
                (Action::Save, None) => Err(io::Error::from_raw_os_error(libc::EBADF)),
                (Action::Flush, _) => drive.sync_data().await.map(|()| 0),
                (Action::Reserve | Action::Discard, _) => {
                    drive.fallocate(offset_bytes, range_bytes, mode).await.map(|()| 0)
                }
            };
            let answer = match transferred {
                Ok(bytes) => i32::try_from(bytes).unwrap_or(i32::MAX),
                Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
            };
            answers.borrow_mut().push((slot, answer));
            wake.notify.notify_one();
        });
    }

    /// Runs until an answer or a wake has come, or for `remaining`; long enough to submit what was handed over.
    async fn until_answered(&self, wake: &Wake, remaining: Option<Duration>) -> io::Result<()> {
        let has_come = || !self.answers.borrow().is_empty() || wake.woken.load(Ordering::Acquire);
        if has_come() || remaining.is_some_and(|remaining| remaining.is_zero()) {
            // The runtime submits when it goes to sleep: it sleeps for this.
            return ::tokio_uring::no_op().await;
        }
        let come = async {
            while !has_come() {
                wake.notify.notified().await;
            }
        };
        match remaining {
            None => come.await,
            // Whether it came in time is seen by what has come.
            Some(remaining) => _ = tokio::time::timeout(remaining, come).await,
        }
        Ok(())
    }
}

impl Queue for TokioUringQueue {
    fn in_flight(&self) -> usize {
        self.slab.len()
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(&self.wake);
        Waker::new(move || {
            wake.woken.store(true, Ordering::Release);
            wake.notify.notify_one();
        })
    }

    fn submit(&mut self, operation: Operation) -> Result<(), Box<Operation>> {
        let slot = self.slab.insert(operation)?;
        self.queued.push(slot);
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        // Before the first wait it has no thread, and what is queued goes with that wait.
        if self.bound.is_some() && !self.queued.is_empty() {
            self.turn(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>, ended: &mut Vec<Ended>) -> io::Result<()> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let before = ended.len();
        loop {
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            self.turn(remaining)?;
            self.reap(ended);
            let woken = self.wake.woken.swap(false, Ordering::Acquire);
            if woken || ended.len() > before || remaining.is_some_and(|remaining| remaining.is_zero()) {
                break;
            }
        }
        self.start()
    }
}

impl Drop for TokioUringQueue {
    /// Waits for every operation in flight. Where another thread has used the runtime, it and the buffers are leaked.
    fn drop(&mut self) {
        let mut ended = Vec::new();
        while self.slab.len() > 0 {
            if self.wait(None, &mut ended).is_err() {
                std::mem::forget(std::mem::replace(&mut self.slab, Slab::new(0)));
            }
            ended.clear();
        }
    }
}
