//! The thread that does what blocks: orders to zones, and a look at a zone in which a write has failed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::kernel::{errno, ioctl};
use crate::sync::mpsc::{self, Receiver, Sender};
use crate::sync::thread::{self, JoinHandle};
use crate::{Condition, DeviceError, Geometry, Token, Waker, Zone, ZoneOperation};

#[cfg(all(test, feature = "shuttle"))]
#[path = "zone_worker_schedules.rs"]
mod schedules;

/// Work that blocks. `W` is what a failed write leaves behind until its zone has been looked at.
pub(crate) enum Job<W> {
    Order {
        token: Token,
        zone: u32,
        operation: ZoneOperation,
    },
    /// After a failed write the kernel refuses every further one to the zone until it has reported its write pointer;
    /// and the report may say why the write failed.
    Look {
        zone: u32,
        failed_write: W,
    },
}

/// The end of a job.
pub(crate) enum JobEnded<W> {
    Ordered { token: Token, zone: u32, operation: ZoneOperation, result: Result<(), DeviceError> },
    Looked { zone: Option<Zone>, failed_write: W },
}

/// The helper thread of one device. It takes jobs one after another, and wakes the device's thread after each.
pub(crate) struct ZoneWorker<W> {
    /// `None` only while it is dropped.
    jobs: Option<Sender<Job<W>>>,
    ended: Receiver<JobEnded<W>>,
    in_flight: usize,
    thread: Option<JoinHandle<()>>,
}

impl<W: Send + 'static> ZoneWorker<W> {
    pub(crate) fn start(file: Arc<File>, geometry: Geometry, waker: Waker) -> io::Result<Self> {
        let (jobs, taken) = mpsc::channel::<Job<W>>();
        let (ends, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("imbrex-zones".to_owned()).spawn(move || {
            for job in taken {
                // Where nobody listens any more, nobody waits for the end either.
                let _ = ends.send(job.carry_out(file.as_fd(), &geometry));
                waker.wake();
            }
        })?;
        Ok(Self { jobs: Some(jobs), ended, in_flight: 0, thread: Some(thread) })
    }
}

impl<W> ZoneWorker<W> {
    /// How many jobs have been submitted and not yet taken back by [`ZoneWorker::ended`].
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Hands a job to the thread. Whoever calls it bounds the number in flight.
    ///
    /// # Panics
    ///
    /// Where the thread has ended, which only dropping this brings about.
    pub(crate) fn submit(&mut self, job: Job<W>) {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        assert!(sent, "the thread takes jobs until it is dropped");
        self.in_flight += 1;
    }

    /// The next job that has ended, if any has.
    pub(crate) fn ended(&mut self) -> Option<JobEnded<W>> {
        let ended = self.ended.try_recv().ok()?;
        self.in_flight -= 1;
        Some(ended)
    }
}

impl<W> Drop for ZoneWorker<W> {
    /// Waits for the jobs in flight, so that the drive is closed when its device is gone.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic, and nobody to tell if it had.
            let _ = thread.join();
        }
    }
}

impl<W> Job<W> {
    fn carry_out(self, device: BorrowedFd<'_>, geometry: &Geometry) -> JobEnded<W> {
        match self {
            Self::Order { token, zone, operation } => {
                let result = order(device, geometry, zone, operation);
                JobEnded::Ordered { token, zone, operation, result }
            }
            Self::Look { zone, failed_write } => {
                JobEnded::Looked { zone: look(device, geometry, zone), failed_write }
            }
        }
    }
}

fn look(device: BorrowedFd<'_>, geometry: &Geometry, zone: u32) -> Option<Zone> {
    ioctl::report_zones(device, geometry, zone, 1).ok()?.first().copied()
}

fn order(
    device: BorrowedFd<'_>,
    geometry: &Geometry,
    zone: u32,
    operation: ZoneOperation,
) -> Result<(), DeviceError> {
    let Err(failed) = ioctl::order_zone(device, geometry, zone, operation) else { return Ok(()) };
    let error = errno::of_order(failed, zone);
    if !matches!(error, DeviceError::System { .. }) {
        return Err(error);
    }
    // A drive answers most refusals alike: the zone's condition tells them apart.
    let condition = look(device, geometry, zone).map(|zone| zone.condition);
    match condition.filter(|&condition| forbids(condition, operation)) {
        Some(condition) => Err(DeviceError::ZoneCondition { zone, condition }),
        None => Err(error),
    }
}

/// Whether the condition explains that a drive refuses the order.
fn forbids(condition: Condition, operation: ZoneOperation) -> bool {
    match condition {
        Condition::NotWritePointer | Condition::ReadOnly | Condition::Offline => true,
        Condition::Full => matches!(operation, ZoneOperation::Open | ZoneOperation::Close),
        Condition::Empty => operation == ZoneOperation::Close,
        Condition::ImplicitOpen | Condition::ExplicitOpen | Condition::Closed => false,
    }
}
