//! An io_uring on one file, with a pool of registered memory.
//!
//! Invariants:
//!
//! * Every entry that was pushed has its operation, and with it its buffer, in the slab until the kernel's answer has
//!   been reaped. Where that answer cannot be waited for, the buffers are leaked, never freed.
//! * At most one entry of each operation, and one poll for wakes, are with the kernel: the submission queue has room for
//!   all of them and the completion queue for twice as many, so that neither can overflow.
//! * The ring is created disabled, restricted to the operations that it needs (four for a drive, two more for a drive
//!   file), and enabled by the thread that uses it, the only one that may from then on (`IORING_SETUP_SINGLE_ISSUER`).

#![expect(unsafe_code, reason = "the kernel borrows memory across calls")]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::register::Restriction;
use io_uring::squeue::Flags;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::kernel::operation::{Operation, PIECE_BYTES, Progress, WAKE_FILE};
use crate::kernel::queue::{Ended, Files, IN_FLIGHT_MAX, Queue};
use crate::kernel::slab::Slab;
use crate::{BufferPool, Waker};

/// One entry for each operation and one for the wake, as the power of two that the kernel wants.
const SUBMISSION_ENTRIES: u32 = (IN_FLIGHT_MAX + 1).next_power_of_two();
/// What the kernel returns with the wake: no slot has this number.
const WAKE: u64 = u64::MAX;
/// `IORING_UNREGISTER_FILES` of `linux/io_uring.h`.
const UNREGISTER_FILES: u8 = 3;
/// How long to wait before asking again for a resource that the kernel lacked.
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// A ring on one file.
pub(crate) struct Ring {
    // Closed first: then the kernel lets go of the registered memory.
    uring: IoUring,
    slab: Slab<Operation>,
    answers: Vec<(u64, i32)>,
    wake: Arc<EventFd>,
    enabled: bool,
    /// Whether a part of an operation is queued that the kernel has not been given. A poll for wakes may wait: it tells
    /// of a wake that came before it all the same.
    has_queued_part: bool,
    // Unmapped last, if this is its last handle.
    _pool: BufferPool,
}

impl Ring {
    /// Makes a ring on `files`, disabled, with all of `pool` registered. The kernel keeps the files open for the ring.
    pub(crate) fn new(files: &Files<'_>, pool: &BufferPool) -> io::Result<Self> {
        let uring: IoUring = IoUring::builder()
            .setup_r_disabled()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(SUBMISSION_ENTRIES * 2)
            .build(SUBMISSION_ENTRIES)?;
        if !uring.params().is_feature_ext_arg() || !uring.params().is_feature_nodrop() {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let submitter = uring.submitter();
        let mut registered = vec![files.drive.as_raw_fd(), wake.as_raw_fd()];
        registered.extend(files.table.map(AsRawFd::as_raw_fd));
        submitter.register_files(&registered)?;
        let pieces: Vec<libc::iovec> = (0..pool.bytes_total())
            .step_by(PIECE_BYTES)
            .map(|at| libc::iovec {
                iov_base: pool.base().as_ptr().wrapping_add(at).cast(),
                iov_len: PIECE_BYTES.min(pool.bytes_total() - at),
            })
            .collect();
        // SAFETY: the pieces cover exactly the pool's mapping, which `_pool` keeps mapped until after the ring is
        // closed. Registration lends nothing: the kernel touches the memory only for entries that are pushed.
        unsafe { submitter.register_buffers(&pieces) }?;
        let mut restrictions = vec![
            Restriction::sqe_op(opcode::ReadFixed::CODE),
            Restriction::sqe_op(opcode::WriteFixed::CODE),
            Restriction::sqe_op(opcode::Fsync::CODE),
            Restriction::sqe_op(opcode::PollAdd::CODE),
            Restriction::register_op(UNREGISTER_FILES),
            Restriction::sqe_flags_required(Flags::FIXED_FILE.bits()),
        ];
        if files.table.is_some() {
            restrictions.push(Restriction::sqe_op(opcode::Write::CODE));
            restrictions.push(Restriction::sqe_op(opcode::Fallocate::CODE));
        }
        submitter.register_restrictions(&mut restrictions)?;
        Ok(Self {
            uring,
            slab: Slab::new(IN_FLIGHT_MAX),
            answers: Vec::with_capacity(SUBMISSION_ENTRIES as usize * 2),
            wake: Arc::new(wake),
            enabled: false,
            has_queued_part: false,
            _pool: pool.clone(),
        })
    }

    /// Makes this thread the ring's only issuer, at its first use.
    fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.uring.submitter().register_enable_rings()?;
            self.enabled = true;
            self.push_wake_poll();
        }
        Ok(())
    }

    /// Submits what is queued, and waits for one answer at most as long as `remaining`.
    fn enter(&mut self, remaining: Option<Duration>) -> io::Result<()> {
        let entered = match remaining {
            None => self.uring.submitter().submit_and_wait(1),
            // A wait of no time would set a timer and sleep until it fires, which costs more than what it waits for.
            Some(Duration::ZERO) if self.has_nothing_to_do() => Ok(0),
            Some(Duration::ZERO) => self.uring.submitter().submit(),
            Some(remaining) => {
                let timespec = Timespec::from(remaining);
                self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec))
            }
        };
        self.has_queued_part &= !self.uring.submission().is_empty();
        match entered.map_err(|error| (error.raw_os_error(), error)) {
            // The time is over, or a signal came: the caller looks at the clock.
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR), _)) => Ok(()),
            // The kernel had no memory for a request, or wants answers reaped first. Both pass.
            Err((Some(libc::EAGAIN | libc::EBUSY), _)) => {
                std::thread::sleep(RETRY_AFTER);
                Ok(())
            }
            Err((_, error)) => Err(error),
        }
    }

    /// Whether there is nothing to submit, and the kernel has no answer to make on this thread.
    fn has_nothing_to_do(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
    }

    /// Takes the kernel's answers, and queues the next part of what goes on. Returns whether a wake was among them.
    fn reap(&mut self, ended: &mut Vec<Ended>) -> bool {
        let mut answers = std::mem::take(&mut self.answers);
        answers.extend(self.uring.completion().map(|entry| (entry.user_data(), entry.result())));
        let mut woken = false;
        for (user_data, answer) in answers.drain(..) {
            if user_data == WAKE {
                woken = true;
                // Nothing to read means that an earlier read took this wake too.
                let _ = self.wake.read();
                self.push_wake_poll();
                continue;
            }
            let slot = u32::try_from(user_data).expect("the kernel returns what it was given");
            let operation = self.slab.get_mut(slot).expect("an answer belongs to an operation in flight");
            match operation.answered(answer) {
                Progress::Continues => self.push_next_part(slot),
                Progress::Ended(result) => {
                    let operation = self.slab.remove(slot).expect("it was there a moment ago");
                    ended.push(Ended { operation, result });
                }
            }
        }
        self.answers = answers;
        woken
    }

    fn push_next_part(&mut self, slot: u32) {
        let operation = self.slab.get_mut(slot).expect("the slot has just been filled");
        let entry = operation.entry().user_data(u64::from(slot));
        self.push(&entry);
        self.has_queued_part = true;
    }

    fn push_wake_poll(&mut self) {
        let events = u32::from(libc::POLLIN.cast_unsigned());
        let entry = opcode::PollAdd::new(WAKE_FILE, events).build().user_data(WAKE);
        self.push(&entry);
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the memory of a transfer belongs to the buffer of its operation, which stays in the slab, unread and
        // unwritten by us, until the kernel's answer has been reaped (see `Drop` for where it never is). It lies within
        // the registered pool. A flush and a poll name no memory.
        let pushed = unsafe { self.uring.submission().push(entry) };
        pushed.expect("the submission queue has room for all that may be in flight");
    }
}

impl Queue for Ring {
    fn in_flight(&self) -> usize {
        self.slab.len()
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(&self.wake);
        // The counter can only be full of wakes, in which case the wait is interrupted already.
        Waker::new(move || _ = wake.write(1))
    }

    fn submit(&mut self, operation: Operation) -> Result<(), Box<Operation>> {
        let slot = self.slab.insert(operation)?;
        self.push_next_part(slot);
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        // Before the first wait the ring is disabled, and what is queued goes with that wait.
        if self.enabled && self.has_queued_part {
            self.enter(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>, ended: &mut Vec<Ended>) -> io::Result<()> {
        self.enable()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let before = ended.len();
        loop {
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            self.enter(remaining)?;
            let woken = self.reap(ended);
            if woken || ended.len() > before || remaining.is_some_and(|remaining| remaining.is_zero()) {
                break;
            }
        }
        // Further parts do not wait for the caller.
        self.start()
    }
}

impl Drop for Ring {
    /// Waits for every operation in flight: until then the kernel may write to its buffer.
    ///
    /// A drive that never answers holds this thread as long; the process has to be killed, which ends what is in
    /// flight. Where this thread may not wait, because another one has used the ring, or where waiting fails, the
    /// buffers are leaked.
    fn drop(&mut self) {
        let mut ended = Vec::new();
        while self.slab.len() > 0 {
            if self.wait(None, &mut ended).is_err() {
                std::mem::forget(std::mem::replace(&mut self.slab, Slab::new(0)));
            }
            ended.clear();
        }
        // The kernel takes a ring apart in its own time. The drive is to be free for its next user now; where this
        // fails, that user waits a little.
        let _ = self.uring.submitter().unregister_files();
    }
}
