//! A host-managed drive of this machine, as a [`Device`].

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::kernel::errno;
use crate::kernel::ioctl::{self, ReportError};
use crate::kernel::opened_drive::{OpenedDrive, failed};
use crate::kernel::operation::{Action, Failure, Operation, PIECE_BYTES};
use crate::kernel::queue::{Backend, Ended, Files, IN_FLIGHT_MAX, Queue};
use crate::kernel::sysfs::BlockDirectory;
use crate::kernel::waiting::Wakes;
use crate::kernel::zone_guard::ZoneGuard;
use crate::kernel::zone_worker::{Job, JobEnded, ZoneWorker};
use crate::{
    Buffer, BufferPool, Completion, Condition, Device, DeviceError, Geometry, Identity, OpenError,
    OpenRefusal, Token, Waker, Zone, ZoneOperation,
};

/// A host-managed drive of this machine.
///
/// It may be opened on one thread and used on another: the first thread to submit or to wait is its thread from then
/// on. Dropping it waits for all that is in flight; a drive that never answers holds the thread that drops it.
pub struct KernelDevice {
    queue: Box<dyn Queue>,
    worker: ZoneWorker<FailedWrite>,
    guard: ZoneGuard,
    /// Completions of what never went to the kernel.
    ready: Vec<Completion>,
    ended: Vec<Ended>,
    wakes: Wakes,
    write_part_bytes_max: usize,
    pool: BufferPool,
    geometry: Geometry,
    identity: Identity,
    block: BlockDirectory,
    file: Arc<File>,
}

/// A write that has failed, while its zone is being looked at.
struct FailedWrite {
    token: Token,
    offset_bytes: u64,
    length_bytes: u64,
    error: DeviceError,
    buffer: Option<Buffer>,
}

impl KernelDevice {
    /// Opens the drive at `path`, such as `/dev/nvme0n1`, for this process alone, by the usual [`Backend`].
    ///
    /// # Errors
    ///
    /// As [`KernelDevice::open_by`].
    pub fn open(path: &Path, pool: BufferPool) -> Result<Self, OpenError> {
        Self::open_by(Backend::default(), path, pool)
    }

    /// Opens the drive at `path` for this process alone, by the means of `backend`.
    ///
    /// # Errors
    ///
    /// Where it is no whole, writable, host-managed drive, has partitions, or is in use; where the kernel describes
    /// it in a way that this program does not know; and where it or the ring cannot be opened.
    pub fn open_by(backend: Backend, path: &Path, pool: BufferPool) -> Result<Self, OpenError> {
        Self::open_checked(backend, path, pool).map_err(|reason| OpenError { path: path.to_owned(), reason })
    }

    fn open_checked(backend: Backend, path: &Path, pool: BufferPool) -> Result<Self, OpenRefusal> {
        let OpenedDrive { file, block, identity, geometry, write_part_bytes_max } = OpenedDrive::open(path)?;
        let files = Files { drive: &file, table: None };
        let queue = backend.queue(&files, &pool).map_err(failed("setting up io_uring"))?;
        let file = Arc::new(file);
        let worker = ZoneWorker::start(Arc::clone(&file), geometry.clone(), queue.waker());
        Ok(Self {
            worker: worker.map_err(failed("starting the thread for zone orders"))?,
            guard: ZoneGuard::new(geometry.clone()),
            ready: Vec::new(),
            ended: Vec::new(),
            wakes: Wakes::default(),
            write_part_bytes_max,
            identity,
            queue,
            pool,
            geometry,
            block,
            file,
        })
    }

    fn is_full(&self) -> bool {
        let in_flight = self.queue.in_flight() + self.worker.in_flight() + self.ready.len();
        in_flight >= IN_FLIGHT_MAX as usize
    }

    /// Completes at the next wait what was refused, or needed nothing.
    fn settle(&mut self, token: Token, result: Result<(), DeviceError>, buffer: Option<Buffer>) {
        self.ready.push(Completion { token, result, buffer });
    }

    fn submit(&mut self, operation: Operation) {
        if let Err(operation) = self.queue.submit(operation) {
            // Not reached: whoever submits has asked `is_full`.
            self.settle(operation.token, Err(DeviceError::QueueFull), operation.buffer);
        }
    }

    /// Tells a drive that has vanished from one that has failed: the kernel's answers do not.
    fn or_gone(&self, error: DeviceError) -> DeviceError {
        let there =
            self.block.exists() && ioctl::device_bytes(self.file.as_fd()).is_ok_and(|bytes| bytes > 0);
        if there { error } else { DeviceError::Gone }
    }

    fn complete(&mut self, ended: Ended, completions: &mut Vec<Completion>) {
        let Ended { operation, result } = ended;
        let Operation { token, action, offset_bytes, length_bytes, buffer, .. } = operation;
        let length_bytes = length_bytes as u64;
        let zone = self.guard.zone_of(offset_bytes);
        let result = result.map_err(|failure| {
            let Failure::Errno(errno) = failure else { return DeviceError::Gone };
            self.or_gone(match action {
                Action::Read => errno::of_read(errno, offset_bytes, length_bytes),
                Action::Write => errno::of_write(errno, zone, offset_bytes, length_bytes),
                // A drive is given no others.
                Action::Flush | Action::Save | Action::Reserve | Action::Discard => errno::of_flush(errno),
            })
        });
        match (action, result) {
            (Action::Write, Err(error)) if error != DeviceError::Gone => {
                let failed_write = FailedWrite { token, offset_bytes, length_bytes, error, buffer };
                self.worker.submit(Job::Look { zone, failed_write });
            }
            (action, result) => {
                if action == Action::Write {
                    self.guard.end_write(offset_bytes, length_bytes, result.is_ok());
                }
                completions.push(Completion { token, result, buffer });
            }
        }
    }

    fn collect(&mut self, completions: &mut Vec<Completion>) {
        completions.append(&mut self.ready);
        let mut ended = std::mem::take(&mut self.ended);
        for ended in ended.drain(..) {
            self.complete(ended, completions);
        }
        self.ended = ended;
        while let Some(ended) = self.worker.ended() {
            completions.push(match ended {
                JobEnded::Ordered { token, zone, operation, result } => {
                    let result = result.map_err(|error| self.or_gone(error));
                    self.guard.end_order(zone, operation, &result);
                    Completion { token, result, buffer: None }
                }
                JobEnded::Looked { zone, failed_write } => {
                    let FailedWrite { token, offset_bytes, length_bytes, error, buffer } = failed_write;
                    self.guard.end_write(offset_bytes, length_bytes, false);
                    self.guard.learn(zone.as_slice());
                    let error =
                        self.or_gone(explained(error, zone, offset_bytes - self.start_of(offset_bytes)));
                    Completion { token, result: Err(error), buffer }
                }
            });
        }
    }

    /// The first byte of the zone in which a byte lies.
    fn start_of(&self, offset_bytes: u64) -> u64 {
        self.geometry.zone_start_bytes(self.guard.zone_of(offset_bytes))
    }
}

impl Device for KernelDevice {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn pool(&self) -> &BufferPool {
        &self.pool
    }

    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError> {
        let zones = ioctl::report_zones(self.file.as_fd(), &self.geometry, 0, self.geometry.zone_count);
        let zones = zones.map_err(|error| {
            self.or_gone(match error {
                ReportError::Errno(errno) => errno::of_any("reporting zones", errno),
                ReportError::Unknown(what) => DeviceError::Unknown { what },
            })
        })?;
        self.guard.learn(&zones);
        Ok(zones)
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX as usize
    }

    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)> {
        if self.is_full() {
            return Err((DeviceError::QueueFull, buffer));
        }
        let length = length_bytes as u64;
        let checked = if length_bytes > buffer.len() || !self.pool.owns(&buffer) {
            Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: length })
        } else {
            self.guard.check_read(offset_bytes, length)
        };
        if checked.is_err() || length_bytes == 0 {
            self.settle(token, checked, Some(buffer));
        } else {
            // A read goes to the kernel in one piece: it may be taken apart and carried out in any order.
            self.submit(Operation::transfer(
                token,
                Action::Read,
                offset_bytes,
                buffer,
                length_bytes,
                PIECE_BYTES,
            ));
        }
        Ok(())
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        if self.is_full() {
            return Err((DeviceError::QueueFull, buffer));
        }
        let length_bytes = buffer.len();
        let checked = if self.pool.owns(&buffer) {
            self.guard.begin_write(offset_bytes, length_bytes as u64)
        } else {
            Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: length_bytes as u64 })
        };
        if checked.is_err() {
            self.settle(token, checked, Some(buffer));
        } else {
            let part = self.write_part_bytes_max;
            self.submit(Operation::transfer(token, Action::Write, offset_bytes, buffer, length_bytes, part));
        }
        Ok(())
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        self.submit(Operation::flush(token));
        Ok(())
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        match self.guard.check_order(zone, operation) {
            Ok(()) => self.worker.submit(Job::Order { token, zone, operation }),
            Err(error) => self.settle(token, Err(error), None),
        }
        Ok(())
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        let wakes = self.wakes.clone();
        wakes.wait(timeout, !self.ready.is_empty(), completions, |remaining, completions| {
            let mut ended = std::mem::take(&mut self.ended);
            let waited = self.queue.wait(remaining, &mut ended);
            self.ended = ended;
            self.collect(completions);
            waited
        })
    }

    fn waker(&self) -> Waker {
        self.wakes.waker(self.queue.waker())
    }
}

/// The error of a write at byte `at` of a zone, in the light of a look at the zone afterwards.
fn explained(error: DeviceError, zone: Option<Zone>, at: u64) -> DeviceError {
    let (DeviceError::MediumWrite { length_bytes, .. }, Some(zone)) = (&error, zone) else { return error };
    match (zone.condition, zone.write_pointer_bytes) {
        (condition @ (Condition::Full | Condition::ReadOnly | Condition::Offline), _) => {
            DeviceError::ZoneCondition { zone: zone.index, condition }
        }
        // The pointer stands where no part of this write could have left it.
        (_, Some(pointer)) if pointer < at || pointer > at + length_bytes => DeviceError::NotAtWritePointer {
            zone: zone.index,
            write_pointer_bytes: pointer,
            offset_bytes: at,
        },
        _ => error,
    }
}
