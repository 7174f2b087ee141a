//! A drive file as a [`Device`].

use std::path::Path;
use std::time::Duration;

use crate::drive_file::course::Course;
use crate::drive_file::opened_file::OpenedDriveFile;
use crate::drive_file::pending::Work;
use crate::drive_file::sequencer::Sequencer;
use crate::kernel::opened_drive::failed;
use crate::kernel::queue::{Backend, Files, IN_FLIGHT_MAX};
use crate::kernel::waiting::Wakes;
use crate::simulated::file_store::FileStore;
use crate::simulated::{SimulatedDevice, SimulatedGeometry};
use crate::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, OpenError, Token, Waker, Zone,
    ZoneOperation,
};

/// The file of a simulated drive in use, by direct I/O.
///
/// It may be opened on one thread and used on another: the first thread to wait is its thread from then on. Dropping it
/// waits for all that is in flight.
pub struct DriveFileDevice {
    course: Course,
    wakes: Wakes,
    pool: BufferPool,
    geometry: Geometry,
    identity: Identity,
    direct: bool,
    // Unlocked last.
    _store: FileStore,
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
        let sequencer = Sequencer::new(geometry.clone(), zones);
        let (place, direct) = (store.data_offset_bytes(), direct.is_some());
        let course = Course::new(queue, sequencer, pool.clone(), geometry.clone(), place, direct);
        Ok(Self { course, wakes: Wakes::default(), pool, geometry, identity, direct, _store: store })
    }

    /// Whether data goes past the page cache. Where the file system refuses that, it goes through it, and its speed
    /// says little of a disk.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
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
        Ok(self.course.report())
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
        self.course.submit(token, work, Some(buffer)).map_err(refused)
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        let zone = self.course.sequential_zone(offset_bytes);
        let work = Work::Write { offset_bytes, length_bytes: buffer.len(), zone };
        self.course.submit(token, work, Some(buffer)).map_err(refused)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        self.course.submit(token, Work::Flush, None).map_err(|_| DeviceError::QueueFull)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.course.submit(token, Work::Order { zone, operation }, None).map_err(|_| DeviceError::QueueFull)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        self.wakes.wait(timeout, self.course.is_ready(), completions, |remaining, completions| {
            self.course.turn(remaining, completions)
        })
    }

    fn waker(&self) -> Waker {
        self.wakes.waker(self.course.waker())
    }
}

/// The answer to an operation for which there is no room.
fn refused(buffer: Option<Buffer>) -> (DeviceError, Buffer) {
    (DeviceError::QueueFull, buffer.expect("a transfer that was refused still has its buffer"))
}
