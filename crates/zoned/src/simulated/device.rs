//! A device on a simulated drive: a bounded queue, carried out in order by the thread that waits.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::simulated::drive::{Connection, SimulatedDrive};
use crate::simulated::file_store::FileStore;
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::memory_store::MemoryStore;
use crate::simulated::random::Random;
use crate::simulated::wakeup::Wakeup;
use crate::simulated::zone_entry;
use crate::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, OpenError, OpenRefusal, Token,
    Waker, Zone, ZoneOperation,
};

/// The largest number of operations in flight.
const IN_FLIGHT_MAX: usize = 128;

/// A simulated drive in use. It works in [`Device::wait`], on the caller's thread.
pub struct SimulatedDevice {
    connection: Connection,
    identity: Identity,
    geometry: Geometry,
    pool: BufferPool,
    queue: VecDeque<(Token, Work)>,
    wakeup: Arc<Wakeup>,
}

/// An operation in flight.
enum Work {
    Read {
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    },
    Write {
        offset_bytes: u64,
        buffer: Buffer,
    },
    Flush {
        number: u64,
    },
    Order {
        zone: u32,
        operation: ZoneOperation,
    },
    /// What was refused at submission.
    Refused {
        error: DeviceError,
        buffer: Option<Buffer>,
    },
}

impl SimulatedDevice {
    /// Makes a drive in a sparse file of its own, all zones empty, and opens it.
    ///
    /// # Errors
    ///
    /// Where the geometry cannot be used, something has that name already, or the file cannot be written.
    pub fn create(path: &Path, geometry: SimulatedGeometry, pool: BufferPool) -> Result<Self, OpenError> {
        let refuse = |reason| OpenError { path: path.to_owned(), reason };
        geometry.check().map_err(|what| refuse(OpenRefusal::Unsupported { what }))?;
        let mut geometry = geometry;
        if geometry.serial.is_none() {
            let serial = random_serial();
            let operation = "making up a serial";
            let serial = serial.map_err(|source| refuse(OpenRefusal::System { operation, source }))?;
            geometry.serial = Some(serial);
        }
        let file = FileStore::create(path, &geometry)?;
        Self::of_file(path, SimulatedDrive::of_file(path, file), pool)
    }

    /// Opens the drive in the file `path`. Zones that were open when it was last in use are closed.
    ///
    /// # Errors
    ///
    /// Where another process has the drive open, or the file is not a whole drive.
    pub fn open(path: &Path, pool: BufferPool) -> Result<Self, OpenError> {
        let file = FileStore::open(path)?;
        Self::of_file(path, SimulatedDrive::of_file(path, file), pool)
    }

    /// Makes a drive in memory, all zones empty, and opens it. It lives as long as a device or a
    /// [`SimulatedDrive`] of it.
    ///
    /// # Errors
    ///
    /// Where the geometry cannot be used.
    pub fn in_memory(geometry: SimulatedGeometry, pool: BufferPool) -> Result<Self, OpenError> {
        let path = Path::new("memory");
        let refuse = |what| OpenError { path: path.to_owned(), reason: OpenRefusal::Unsupported { what } };
        geometry.check().map_err(refuse)?;
        let serial = geometry.serial.unwrap_or_else(|| "SIMULATED".to_owned());
        let geometry = SimulatedGeometry { serial: Some(serial), ..geometry };
        let zones = (0..geometry.zone_count).map(|zone| zone_entry::first_state(&geometry, zone)).collect();
        let drive = SimulatedDrive::new(path, &geometry, zones, Box::new(MemoryStore::default()), true);
        Ok(drive.open(pool))
    }

    pub(crate) fn new(
        connection: Connection,
        identity: Identity,
        geometry: Geometry,
        pool: BufferPool,
    ) -> Self {
        Self { connection, identity, geometry, pool, queue: VecDeque::new(), wakeup: Arc::default() }
    }

    /// A handle of the drive, to pull its plug with and to open it again.
    #[must_use]
    pub fn drive(&self) -> SimulatedDrive {
        self.connection.drive().clone()
    }

    /// Cuts the drive's power and brings it back under this device, as [`SimulatedDrive::crash`] describes it.
    ///
    /// Of the operations in flight some may have been carried out, in order; none of them completes.
    ///
    /// # Errors
    ///
    /// Where the drive's file cannot be written.
    pub fn crash(&mut self, seed: u64) -> Result<(), DeviceError> {
        let mut random = Random::new(seed);
        while let Some((_, work)) = self.queue.pop_front() {
            if random.one_in(2) {
                self.queue.clear();
            } else {
                // Nobody is told what became of it.
                let _ = self.carry_out(work);
            }
        }
        let drive = self.drive();
        drive.crash(random.next())?;
        self.connection = drive.connect();
        Ok(())
    }

    fn of_file(
        path: &Path,
        drive: Result<SimulatedDrive, DeviceError>,
        pool: BufferPool,
    ) -> Result<Self, OpenError> {
        let drive = drive.map_err(|error| {
            let operation = "closing the zones that were open";
            let reason = OpenRefusal::System { operation, source: std::io::Error::other(error) };
            OpenError { path: path.to_owned(), reason }
        })?;
        Ok(drive.open(pool))
    }

    fn carry_out(&mut self, work: Work) -> (Result<(), DeviceError>, Option<Buffer>) {
        let mut state = match self.connection.state() {
            Ok(state) => state,
            Err(gone) => return (Err(gone), work.into_buffer()),
        };
        match work {
            Work::Read { offset_bytes, mut buffer, length_bytes } => {
                let out_of_bounds =
                    DeviceError::OutOfBounds { offset_bytes, length_bytes: length_bytes as u64 };
                let bytes = buffer.get_mut(..length_bytes).ok_or(out_of_bounds);
                (bytes.and_then(|bytes| state.read(offset_bytes, bytes)), Some(buffer))
            }
            Work::Write { offset_bytes, buffer } => (state.write(offset_bytes, &buffer), Some(buffer)),
            Work::Flush { number } => (state.flush(number), None),
            Work::Order { zone, operation } => (state.order(zone, operation), None),
            Work::Refused { error, buffer } => (Err(error), buffer),
        }
    }

    fn is_full(&self) -> bool {
        self.queue.len() >= IN_FLIGHT_MAX
    }

    /// Whether a write is in flight in the zone in which `offset_bytes` lies.
    fn writes_in_zone_of(&self, offset_bytes: u64) -> bool {
        let zone = offset_bytes / self.geometry.zone_size_bytes;
        self.queue.iter().any(|(_, work)| match work {
            Work::Write { offset_bytes, .. } => offset_bytes / self.geometry.zone_size_bytes == zone,
            _ => false,
        })
    }
}

impl Work {
    fn into_buffer(self) -> Option<Buffer> {
        match self {
            Self::Read { buffer, .. } | Self::Write { buffer, .. } => Some(buffer),
            Self::Refused { buffer, .. } => buffer,
            Self::Flush { .. } | Self::Order { .. } => None,
        }
    }
}

impl Device for SimulatedDevice {
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
        Ok(self.connection.state()?.report())
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
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
        self.queue.push_back((token, Work::Read { offset_bytes, buffer, length_bytes }));
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
        let overtaking = match self.connection.state() {
            Ok(state) if self.writes_in_zone_of(offset_bytes) => state.overtaking(offset_bytes),
            _ => None,
        };
        let work = match overtaking {
            Some(error) => Work::Refused { error, buffer: Some(buffer) },
            None => Work::Write { offset_bytes, buffer },
        };
        self.queue.push_back((token, work));
        Ok(())
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        let work = match self.connection.state() {
            Ok(mut state) => Work::Flush { number: state.submit_flush() },
            Err(error) => Work::Refused { error, buffer: None },
        };
        self.queue.push_back((token, work));
        Ok(())
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        self.queue.push_back((token, Work::Order { zone, operation }));
        Ok(())
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        if self.queue.is_empty() {
            self.wakeup.wait(timeout);
            return Ok(());
        }
        while let Some((token, work)) = self.queue.pop_front() {
            let (result, buffer) = self.carry_out(work);
            completions.push(Completion { token, result, buffer });
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.wakeup.waker()
    }
}

fn random_serial() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("SIM{:016X}", u64::from_le_bytes(bytes)))
}
