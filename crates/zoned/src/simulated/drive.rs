//! The drive itself: what is behind the cable, and goes on when the cable is pulled.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::simulated::device::SimulatedDevice;
use crate::simulated::file_store::OpenedFile;
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::queue::SharedQueue;
use crate::simulated::random::Random;
use crate::simulated::state::DriveState;
use crate::simulated::store::Store;
use crate::simulated::zone_table::ZoneState;
use crate::{BufferPool, Condition, DeviceError, Identity};

/// A handle of a simulated drive, for those who pull its plug. It outlives the devices that are opened on it.
#[derive(Clone)]
pub struct SimulatedDrive {
    state: Arc<Mutex<DriveState>>,
}

/// A connection to the drive: what a device holds. A pulled connection stays dead.
pub(crate) struct Connection {
    drive: SimulatedDrive,
    number: u64,
    queue: SharedQueue,
}

impl SimulatedDrive {
    pub(crate) fn new(
        path: &Path,
        shape: &SimulatedGeometry,
        zones: Vec<ZoneState>,
        store: Box<dyn Store>,
        keeps_overwritten: bool,
    ) -> Self {
        let identity = Identity {
            path: path.to_owned(),
            wwn: None,
            serial: shape.serial.clone(),
            model: Some("Imbrex simulated drive".to_owned()),
            firmware: Some(env!("CARGO_PKG_VERSION").to_owned()),
            bus: "simulated".to_owned(),
        };
        let state = DriveState::new(identity, shape, zones, store, keeps_overwritten);
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn of_file(path: &Path, opened: OpenedFile) -> Result<Self, DeviceError> {
        let OpenedFile { store, geometry, zones } = opened;
        let drive = Self::new(path, &geometry, zones, Box::new(store), false);
        drive.lock().close_open_zones()?;
        Ok(drive)
    }

    /// Opens the drive. It has one user at a time: a device that was opened earlier finds the drive gone.
    #[must_use]
    pub fn open(&self, pool: BufferPool) -> SimulatedDevice {
        let (identity, geometry) = {
            let state = self.lock();
            (state.identity.clone(), state.geometry.clone())
        };
        SimulatedDevice::new(self.connect(), identity, geometry, pool)
    }

    /// Makes the drive vanish, with its power on: nothing is lost, and it can be opened again.
    pub fn pull(&self) {
        self.lock().connection += 1;
    }

    /// Cuts the drive's power: the device that is open finds it gone, and it can be opened again.
    ///
    /// Of the operations in flight some have been carried out, those of one zone in order; each ends as
    /// [`DeviceError::Gone`]. What no flush has covered is decided by `seed`, as a drive with a volatile cache would:
    ///
    /// * The write pointer of a sequential zone falls to any whole unit from what was flushed to what was written.
    ///   A cut write is torn at a sector. Mostly the torn unit lies beyond the pointer, where reads return fill, as
    ///   with drives that write their units atomically; one time in four the pointer covers it, and it reads as a
    ///   beginning of what was written and then zeros, as with drives whose pointer runs ahead of the medium.
    /// * Each unit of a conventional zone is old, new, or torn between the two. A drive kept in a file always keeps
    ///   the new: it does not remember what it has overwritten.
    /// * Open zones are closed. A finished zone stays full, and may have lost its tail. Resets are durable at once.
    ///
    /// # Errors
    ///
    /// Where the drive's file cannot be written.
    pub fn crash(&self, seed: u64) -> Result<(), DeviceError> {
        let mut random = Random::new(seed);
        let mut state = self.lock();
        state.connection += 1;
        std::mem::take(&mut state.queue).carry_out_some(&mut state, &mut random);
        state.lose_power(&mut random)
    }

    /// Sets a zone read-only or offline, as a drive does by itself when a part of it wears out.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfBounds`] where there is no such zone, [`DeviceError::ZoneCondition`] where `condition` is
    /// another one; or where the drive's file cannot be written.
    pub fn wear_out(&self, zone: u32, condition: Condition) -> Result<(), DeviceError> {
        let mut state = self.lock();
        if zone >= state.geometry.zone_count {
            let offset_bytes = state.geometry.zone_start_bytes(zone);
            return Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: 0 });
        }
        if !matches!(condition, Condition::ReadOnly | Condition::Offline) {
            return Err(DeviceError::ZoneCondition { zone, condition });
        }
        state.wear(zone, condition)
    }

    pub(crate) fn connect(&self) -> Connection {
        let queue = SharedQueue::default();
        let mut state = self.lock();
        state.connection += 1;
        state.queue = queue.clone();
        Connection { number: state.connection, drive: self.clone(), queue }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, DriveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The drive, whether or not this connection is alive.
    pub(crate) fn drive(&self) -> &SimulatedDrive {
        &self.drive
    }

    /// The drive's state, for one operation.
    pub(crate) fn state(&self) -> Result<MutexGuard<'_, DriveState>, DeviceError> {
        let state = self.drive.lock();
        if self.is_alive(&state) { Ok(state) } else { Err(DeviceError::Gone) }
    }

    /// Whether the drive, whose state that is, still answers on this connection.
    pub(crate) fn is_alive(&self, state: &DriveState) -> bool {
        state.connection == self.number
    }

    /// What is in flight.
    pub(crate) fn queue(&self) -> &SharedQueue {
        &self.queue
    }
}

impl Drop for Connection {
    /// What was in flight is forgotten: the drive keeps no buffer of a user that has gone.
    fn drop(&mut self) {
        // Dropped under no lock: who waits for memory is woken by its return.
        let entries = std::mem::take(&mut self.queue.lock().entries);
        drop(entries);
    }
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
