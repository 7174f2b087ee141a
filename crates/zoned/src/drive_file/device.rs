//! A drive file as a [`Device`].

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use crate::drive_file::opened_file::OpenedDriveFile;
use crate::drive_file::sequencer::Sequencer;
use crate::kernel::errno;
use crate::kernel::opened_drive::failed;
use crate::kernel::operation::{Action, Failure, Operation, PIECE_BYTES};
use crate::kernel::queue::{Backend, Ended, Files, IN_FLIGHT_MAX, Queue};
use crate::kernel::slab::Slab;
use crate::kernel::waiting::Wakes;
use crate::simulated::file_store::FileStore;
use crate::simulated::{SimulatedDevice, SimulatedGeometry, file_header, zone_entry};
use crate::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, OpenError, Token, Waker, Zone,
    ZoneOperation,
};

/// The file of a simulated drive in use, by direct I/O.
///
/// It may be opened on one thread and used on another: the first thread to wait is its thread from then on. Dropping it
/// waits for all that is in flight.
pub struct DriveFileDevice {
    queue: Box<dyn Queue>,
    /// What was submitted and has not completed, by the number that the queue knows it by.
    pending: Slab<Pending>,
    /// What waits for its zone, oldest first.
    waiting: VecDeque<u32>,
    sequencer: Sequencer,
    /// Completions that the next wait hands back.
    ready: Vec<Completion>,
    ended: Vec<Ended>,
    wakes: Wakes,
    pool: BufferPool,
    geometry: Geometry,
    identity: Identity,
    direct: bool,
    // Unlocked last.
    store: FileStore,
}

/// An operation, from its submission to its completion.
struct Pending {
    token: Token,
    work: Work,
    /// While it is not with the queue.
    buffer: Option<Buffer>,
}

#[derive(Clone, Copy)]
enum Work {
    Read {
        offset_bytes: u64,
        length_bytes: usize,
    },
    /// `zone` is that of a sequential zone.
    Write {
        offset_bytes: u64,
        length_bytes: usize,
        zone: Option<u32>,
    },
    Flush,
    Order {
        zone: u32,
        operation: ZoneOperation,
    },
}

impl Pending {
    /// Fills a part of the buffer with zeros: what a drive returns where nothing is written.
    fn fill(&mut self, range: Range<usize>) {
        if let Some(bytes) = self.buffer.as_mut().and_then(|buffer| buffer.get_mut(range)) {
            bytes.fill(0);
        }
    }
}

impl DriveFileDevice {
    /// Makes a drive in a sparse file of its own, all zones empty, and opens it by the usual [`Backend`].
    ///
    /// # Errors
    ///
    /// As [`DriveFileDevice::create_by`].
    pub fn create(path: &Path, geometry: SimulatedGeometry, pool: BufferPool) -> Result<Self, OpenError> {
        Self::create_by(Backend::default(), path, geometry, pool)
    }

    /// Makes a drive in a sparse file of its own, all zones empty, and opens it by the means of `backend`.
    ///
    /// # Errors
    ///
    /// Where the geometry cannot be used, something has that name already, or the file cannot be written; and as
    /// [`DriveFileDevice::open_by`].
    pub fn create_by(
        backend: Backend,
        path: &Path,
        geometry: SimulatedGeometry,
        pool: BufferPool,
    ) -> Result<Self, OpenError> {
        drop(SimulatedDevice::create(path, geometry, pool.clone())?);
        Self::open_by(backend, path, pool)
    }

    /// Opens the drive in the file `path` by the usual [`Backend`].
    ///
    /// # Errors
    ///
    /// As [`DriveFileDevice::open_by`].
    pub fn open(path: &Path, pool: BufferPool) -> Result<Self, OpenError> {
        Self::open_by(Backend::default(), path, pool)
    }

    /// Opens the drive in the file `path` by the means of `backend`. Zones that were open when it was last in use are
    /// closed. A file that is held is waited for, up to 3 s.
    ///
    /// # Errors
    ///
    /// Where another process has the drive open, the file is not a whole drive, or it or the ring cannot be opened.
    pub fn open_by(backend: Backend, path: &Path, pool: BufferPool) -> Result<Self, OpenError> {
        let OpenedDriveFile { store, direct, geometry, zones } = OpenedDriveFile::open(path, &pool)?;
        let files = Files { drive: direct.as_ref().unwrap_or(store.file()), table: Some(store.file()) };
        let queue = backend.queue(&files, &pool).map_err(failed("setting up io_uring"));
        let queue = queue.map_err(|reason| OpenError { path: path.to_owned(), reason })?;
        let identity = Identity {
            path: path.to_owned(),
            wwn: None,
            serial: geometry.serial.clone(),
            model: Some("Imbrex simulated drive".to_owned()),
            firmware: Some(env!("CARGO_PKG_VERSION").to_owned()),
            bus: "simulated".to_owned(),
        };
        let geometry = geometry.geometry();
        Ok(Self {
            queue,
            pending: Slab::new(IN_FLIGHT_MAX),
            waiting: VecDeque::new(),
            sequencer: Sequencer::new(geometry.clone(), zones),
            ready: Vec::new(),
            ended: Vec::new(),
            wakes: Wakes::default(),
            pool,
            geometry,
            identity,
            direct: direct.is_some(),
            store,
        })
    }

    /// Whether data goes past the page cache. Where the file system refuses that, it goes through it, and its speed
    /// says little of a disk.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Takes an operation and begins it, or hands its buffer back where the queue is full.
    fn submit(&mut self, token: Token, work: Work, buffer: Option<Buffer>) -> Result<(), Option<Buffer>> {
        if self.ready.len() + self.pending.len() >= IN_FLIGHT_MAX as usize {
            return Err(buffer);
        }
        let overtaken = match work {
            Work::Write { zone: Some(zone), .. } => Some(zone).filter(|&zone| self.has_write(zone)),
            _ => None,
        };
        let slot = self.pending.insert(Pending { token, work, buffer }).map_err(|pending| pending.buffer)?;
        match (overtaken, work) {
            (Some(zone), Work::Write { offset_bytes, .. }) => {
                let error = self.sequencer.overtaking(zone, offset_bytes);
                self.settle(slot, Err(error));
            }
            _ => self.begin(slot),
        }
        Ok(())
    }

    /// Begins an operation, or lets it wait for its zone.
    fn begin(&mut self, slot: u32) {
        let Some(Pending { work, buffer, .. }) = self.pending.get(slot) else { return };
        let begun = match *work {
            Work::Read { offset_bytes, length_bytes } | Work::Write { offset_bytes, length_bytes, .. }
                if !buffer.as_ref().is_some_and(|own| length_bytes <= own.len() && self.pool.owns(own)) =>
            {
                Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: length_bytes as u64 })
            }
            Work::Read { offset_bytes, length_bytes } => self.begin_read(slot, offset_bytes, length_bytes),
            Work::Write { offset_bytes, length_bytes, zone } => {
                self.begin_write(slot, offset_bytes, length_bytes, zone)
            }
            Work::Order { zone, operation } => self.begin_order(slot, zone, operation),
            Work::Flush => {
                self.hand_over(Operation::flush(Token(slot.into())));
                Ok(())
            }
        };
        if let Err(error) = begun {
            self.settle(slot, Err(error));
        }
    }

    fn begin_read(&mut self, slot: u32, offset_bytes: u64, length_bytes: usize) -> Result<(), DeviceError> {
        let stored = self.sequencer.check_read(offset_bytes, length_bytes as u64)?;
        let stored_bytes = usize::try_from(stored).unwrap_or(length_bytes);
        let Some(pending) = self.pending.get_mut(slot) else { return Ok(()) };
        pending.fill(stored_bytes..length_bytes);
        if stored_bytes == 0 {
            self.settle(slot, Ok(()));
        } else {
            self.transfer(slot, Action::Read, offset_bytes, stored_bytes);
        }
        Ok(())
    }

    fn begin_write(
        &mut self,
        slot: u32,
        offset_bytes: u64,
        length_bytes: usize,
        zone: Option<u32>,
    ) -> Result<(), DeviceError> {
        if zone.is_some_and(|zone| self.sequencer.is_busy(zone)) {
            self.waiting.push_back(slot);
            return Ok(());
        }
        let first = self.sequencer.begin_write(offset_bytes, length_bytes as u64)?;
        if first && self.direct {
            // The whole zone in one piece, so that no later write has to look for room.
            let room = usize::try_from(self.geometry.zone_size_bytes).unwrap_or(length_bytes);
            let place = self.store.data_offset_bytes() + offset_bytes;
            self.hand_over(Operation::of_range(Token(slot.into()), Action::Reserve, place, room));
        } else {
            self.transfer(slot, Action::Write, offset_bytes, length_bytes);
        }
        Ok(())
    }

    fn begin_order(&mut self, slot: u32, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        if self.sequencer.is_busy(zone) {
            self.waiting.push_back(slot);
            return Ok(());
        }
        match self.sequencer.begin_order(zone, operation)? {
            Some(state) => self.save(slot, zone, zone_entry::encode(zone, state)),
            None => self.settle(slot, Ok(())),
        }
        Ok(())
    }

    /// Hands the operation's buffer to the queue.
    fn transfer(&mut self, slot: u32, action: Action, offset_bytes: u64, length_bytes: usize) {
        let Some(buffer) = self.pending.get_mut(slot).and_then(|pending| pending.buffer.take()) else {
            return;
        };
        let place = self.store.data_offset_bytes() + offset_bytes;
        let token = Token(slot.into());
        // In one piece: a file takes the parts of a write in any order, and what counts of it is its entry.
        self.hand_over(Operation::transfer(token, action, place, buffer, length_bytes, PIECE_BYTES));
    }

    fn save(&mut self, slot: u32, zone: u32, entry: [u8; zone_entry::ENTRY_BYTES]) {
        let place = file_header::entry_offset_bytes(zone);
        self.hand_over(Operation::save(Token(slot.into()), place, Box::new(entry)));
    }

    fn hand_over(&mut self, operation: Operation) {
        let handed = self.queue.submit(operation);
        assert!(handed.is_ok(), "each operation has at most one part with the queue, which takes as many");
    }

    /// Ends an operation; the next wait hands its completion back.
    fn settle(&mut self, slot: u32, result: Result<(), DeviceError>) {
        let Some(Pending { token, buffer, .. }) = self.pending.remove(slot) else { return };
        self.ready.push(Completion { token, result, buffer });
    }

    /// Goes on with an operation after one of its parts.
    fn go_on(&mut self, ended: Ended) {
        let Ended { operation, result } = ended;
        let Operation { token, action, buffer, .. } = operation;
        let slot = u32::try_from(token.0).expect("the queue returns what it was given");
        let Some(pending) = self.pending.get_mut(slot) else { return };
        if buffer.is_some() {
            pending.buffer = buffer;
        }
        match pending.work {
            Work::Read { offset_bytes, length_bytes } => {
                self.settle(slot, result.map_err(|failure| read_error(failure, offset_bytes, length_bytes)));
            }
            Work::Flush => self.settle(slot, result.map_err(|_| DeviceError::Flush)),
            Work::Write { offset_bytes, length_bytes, zone } => {
                let result =
                    result.map_err(|failure| write_error(failure, action, offset_bytes, length_bytes));
                match (action, zone) {
                    // Where the file system cannot reserve room, the write finds its own or fails for want of it.
                    (Action::Reserve, _) => self.transfer(slot, Action::Write, offset_bytes, length_bytes),
                    (Action::Write, Some(zone)) if result.is_ok() => {
                        let state = self.sequencer.written(zone);
                        self.save(slot, zone, zone_entry::encode(zone, state));
                    }
                    (_, Some(zone)) => {
                        self.sequencer.end_write(zone, result.is_ok());
                        self.settle(slot, result);
                        self.begin_waiting(zone);
                    }
                    (_, None) => self.settle(slot, result),
                }
            }
            Work::Order { zone, operation } => self.go_on_with_order(slot, zone, operation, action, result),
        }
    }

    fn go_on_with_order(
        &mut self,
        slot: u32,
        zone: u32,
        operation: ZoneOperation,
        action: Action,
        result: Result<(), Failure>,
    ) {
        let result = match (action, result) {
            (Action::Save, Ok(())) => self.sequencer.apply_order(zone, operation),
            // The file system has no holes: the room comes back when the zone is written again.
            (Action::Discard, Ok(()) | Err(Failure::Errno(Errno::EOPNOTSUPP))) => Ok(()),
            (_, failed) => failed.map_err(|failure| system("ordering a zone of the drive's file", failure)),
        };
        if action == Action::Save && operation == ZoneOperation::Reset && result.is_ok() {
            // The zone is empty already: what is left there can no longer be read.
            let place = self.store.data_offset_bytes() + self.geometry.zone_start_bytes(zone);
            let room = usize::try_from(self.geometry.zone_size_bytes).unwrap_or(usize::MAX);
            self.hand_over(Operation::of_range(Token(slot.into()), Action::Discard, place, room));
            return;
        }
        self.sequencer.end_order(zone);
        self.settle(slot, result);
        self.begin_waiting(zone);
    }

    /// Begins what waits for `zone`, until the zone is busy again.
    fn begin_waiting(&mut self, zone: u32) {
        while !self.sequencer.is_busy(zone) {
            let next = self.waiting.iter().position(|&slot| self.zone_of(slot) == Some(zone));
            let Some(slot) = next.and_then(|place| self.waiting.remove(place)) else { return };
            self.begin(slot);
        }
    }

    /// The sequential zone that the operation writes, or the zone that it orders.
    fn zone_of(&self, slot: u32) -> Option<u32> {
        match self.pending.get(slot)?.work {
            Work::Write { zone, .. } => zone,
            Work::Order { zone, .. } => Some(zone),
            Work::Read { .. } | Work::Flush => None,
        }
    }

    /// Whether a write to `zone` is in flight or waits.
    fn has_write(&self, zone: u32) -> bool {
        let waits = |&slot: &u32| {
            let work = self.pending.get(slot).map(|pending| pending.work);
            matches!(work, Some(Work::Write { zone: Some(of), .. }) if of == zone)
        };
        self.sequencer.is_writing(zone) || self.waiting.iter().any(waits)
    }
}

impl Device for DriveFileDevice {
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
        Ok(self.sequencer.report())
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
        let work = Work::Read { offset_bytes, length_bytes };
        self.submit(token, work, Some(buffer)).map_err(refused)
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        let zone = self.sequencer.sequential_zone(offset_bytes);
        let work = Work::Write { offset_bytes, length_bytes: buffer.len(), zone };
        self.submit(token, work, Some(buffer)).map_err(refused)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        self.submit(token, Work::Flush, None).map_err(|_| DeviceError::QueueFull)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.submit(token, Work::Order { zone, operation }, None).map_err(|_| DeviceError::QueueFull)
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
            ended.drain(..).for_each(|ended| self.go_on(ended));
            self.ended = ended;
            completions.append(&mut self.ready);
            // The next parts do not wait for the caller.
            waited.and_then(|()| self.queue.start())
        })
    }

    fn waker(&self) -> Waker {
        self.wakes.waker(self.queue.waker())
    }
}

/// The answer to an operation for which there is no room.
fn refused(buffer: Option<Buffer>) -> (DeviceError, Buffer) {
    (DeviceError::QueueFull, buffer.expect("a transfer that was refused still has its buffer"))
}

fn read_error(failure: Failure, offset_bytes: u64, length_bytes: usize) -> DeviceError {
    let length_bytes = length_bytes as u64;
    match failure {
        Failure::Errno(errno) => errno::of_read(errno, offset_bytes, length_bytes),
        // The file was cut short under us.
        Failure::PastEnd => DeviceError::MediumRead { offset_bytes, length_bytes },
    }
}

fn write_error(failure: Failure, action: Action, offset_bytes: u64, length_bytes: usize) -> DeviceError {
    match (action, failure) {
        (Action::Write, Failure::Errno(Errno::EIO | Errno::ENODATA | Errno::EILSEQ | Errno::EREMOTEIO)) => {
            DeviceError::MediumWrite { offset_bytes, length_bytes: length_bytes as u64 }
        }
        (Action::Write, Failure::Errno(Errno::EINVAL)) => {
            DeviceError::Unaligned { offset_bytes, length_bytes: length_bytes as u64 }
        }
        (Action::Write, _) => system("writing the simulated drive", failure),
        (_, _) => system("writing the simulated drive's zone table", failure),
    }
}

fn system(operation: &'static str, failure: Failure) -> DeviceError {
    let errno = match failure {
        Failure::Errno(errno) => errno,
        Failure::PastEnd => Errno::EIO,
    };
    DeviceError::System { operation, errno: errno as i32 }
}
