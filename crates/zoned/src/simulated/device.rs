//! A device on a simulated drive: a bounded queue, carried out in order by the thread that waits.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::simulated::drive::{Connection, SimulatedDrive};
use crate::simulated::file_store::FileStore;
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::memory_store::MemoryStore;
use crate::simulated::queue::{IN_FLIGHT_MAX, Work};
use crate::simulated::state::DriveState;
use crate::simulated::wakeup::Wakeup;
use crate::simulated::zone_entry;
use crate::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, OpenError, OpenRefusal, Token,
    Waker, Zone, ZoneOperation,
};

/// A simulated drive in use. It works in [`Device::wait`], on the caller's thread.
pub struct SimulatedDevice {
    connection: Connection,
    identity: Identity,
    geometry: Geometry,
    pool: BufferPool,
    wakeup: Arc<Wakeup>,
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
        Self { connection, identity, geometry, pool, wakeup: Arc::default() }
    }

    /// A handle of the drive, to pull its plug with and to open it again.
    #[must_use]
    pub fn drive(&self) -> SimulatedDrive {
        self.connection.drive().clone()
    }

    /// Cuts the drive's power and brings it back under this device, as [`SimulatedDrive::crash`] describes it.
    ///
    /// None of the operations in flight completes.
    ///
    /// # Errors
    ///
    /// Where the drive's file cannot be written.
    pub fn crash(&mut self, seed: u64) -> Result<(), DeviceError> {
        let drive = self.drive();
        drive.crash(seed)?;
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

    /// Puts an operation into the queue, or hands it back where the queue is full.
    fn submit(&mut self, token: Token, work: Work) -> Result<(), Work> {
        self.connection.queue().lock().submit(token, work)
    }

    /// The error of a transfer whose buffer is of another pool: the kernel's device could not give it to its ring.
    fn stranger(&self, offset_bytes: u64, buffer: &Buffer, length_bytes: usize) -> Option<DeviceError> {
        let length_bytes = length_bytes as u64;
        (!self.pool.owns(buffer)).then_some(DeviceError::OutOfBounds { offset_bytes, length_bytes })
    }

    /// Carries out all that is in flight, in order.
    fn wait_for_all(&self, state: Option<&mut DriveState>, completions: &mut Vec<Completion>) {
        let mut state = state;
        let mut queue = self.connection.queue().lock();
        while let Some(entry) = queue.entries.pop_front() {
            // A fault can end the connection between one operation and the next.
            let alive = state.as_deref_mut().filter(|state| self.connection.is_alive(state));
            completions.push(entry.complete(alive));
        }
    }

    /// Carries out some of what is in flight: all that is not held back, in order, or as the drive's scheduling has it.
    fn wait_for_some(&self, state: &mut DriveState, completions: &mut Vec<Completion>) {
        let mut queue = self.connection.queue().lock();
        for entry in &mut queue.entries {
            let held = entry.held_waits.map(|waits| waits.saturating_sub(1));
            entry.held_waits = Some(held.unwrap_or_else(|| state.held_waits()));
        }
        let mut ready = Vec::with_capacity(queue.entries.len());
        queue.ready(self.geometry.zone_size_bytes, &mut ready);
        let mut rest = match &mut state.scheduling {
            Some(random) if !ready.is_empty() => 1 + random.up_to(ready.len() as u64 - 1),
            _ => u64::MAX,
        };
        while !ready.is_empty() && rest > 0 && self.connection.is_alive(state) {
            let choice = state.scheduling.as_mut().map_or(0, |random| random.up_to(ready.len() as u64 - 1));
            let chosen = ready[usize::try_from(choice).unwrap_or_default()];
            if let Some(entry) = queue.entries.remove(chosen) {
                completions.push(entry.complete(Some(state)));
            }
            rest -= 1;
            queue.ready(self.geometry.zone_size_bytes, &mut ready);
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
        let work = match self.stranger(offset_bytes, &buffer, length_bytes) {
            Some(error) => Work::Refused { error, buffer: Some(buffer) },
            None => Work::Read { offset_bytes, buffer, length_bytes },
        };
        self.submit(token, work).map_err(Work::refused)
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        let state = self.connection.state();
        let mut queue = self.connection.queue().lock();
        let refused = match state {
            _ if !self.pool.owns(&buffer) => self.stranger(offset_bytes, &buffer, buffer.len()),
            Ok(state) if queue.writes_in_zone_of(offset_bytes, self.geometry.zone_size_bytes) => {
                state.overtaking(offset_bytes)
            }
            _ => None,
        };
        let work = match refused {
            Some(error) => Work::Refused { error, buffer: Some(buffer) },
            None => Work::Write { offset_bytes, buffer },
        };
        queue.submit(token, work).map_err(Work::refused)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        // Counted even where it is then refused: a flush that is never carried out covers nothing.
        let work = match self.connection.state() {
            Ok(mut state) => Work::Flush { number: state.submit_flush() },
            Err(error) => Work::Refused { error, buffer: None },
        };
        self.submit(token, work).map_err(|_| DeviceError::QueueFull)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.submit(token, Work::Order { zone, operation }).map_err(|_| DeviceError::QueueFull)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        if self.connection.queue().lock().entries.is_empty() {
            self.wakeup.wait(timeout);
            return Ok(());
        }
        let before = completions.len();
        loop {
            match self.connection.state() {
                Ok(mut state) if state.is_disordered() => self.wait_for_some(&mut state, completions),
                Ok(mut state) => self.wait_for_all(Some(&mut state), completions),
                Err(_) => self.wait_for_all(None, completions),
            }
            // Where all that is in flight is held back, time passes with each call. Without a timeout, it passes here.
            if completions.len() > before || timeout.is_some() {
                return Ok(());
            }
        }
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
