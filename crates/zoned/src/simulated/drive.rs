//! The drive itself: what is behind the cable, and goes on when the cable is pulled.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::libc::EIO;

use crate::simulated::device::SimulatedDevice;
use crate::simulated::file_store::OpenedFile;
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::random::Random;
use crate::simulated::store::Store;
use crate::simulated::unflushed::{Unflushed, UnflushedWrite};
use crate::simulated::zone_table::{Change, ZoneState, ZoneTable};
use crate::{BufferPool, Condition, DeviceError, Geometry, Identity, Zone, ZoneKind, ZoneOperation};

/// The granularity at which a write can be torn, in bytes: the sector of the medium.
const SECTOR_BYTES: u64 = 512;

/// A handle of a simulated drive, for those who pull its plug. It outlives the devices that are opened on it.
#[derive(Clone)]
pub struct SimulatedDrive {
    state: Arc<Mutex<DriveState>>,
}

/// A connection to the drive: what a device holds. A pulled connection stays dead.
pub(crate) struct Connection {
    drive: SimulatedDrive,
    number: u64,
}

/// The drive behind its lock.
pub(crate) struct DriveState {
    identity: Identity,
    geometry: Geometry,
    table: ZoneTable,
    store: Box<dyn Store>,
    unflushed: Unflushed,
    /// Whether the bytes under a write to a conventional zone are kept, so that a crash can bring them back.
    keeps_overwritten: bool,
    /// The number of the connection that is alive.
    connection: u64,
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
        let geometry = shape.geometry();
        let table = ZoneTable::new(geometry.clone(), zones);
        let unflushed = Unflushed::default();
        let connection = 0;
        let state = DriveState { identity, geometry, table, store, unflushed, keeps_overwritten, connection };
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
    /// What no flush has covered is decided by `seed`, as a drive with a volatile cache would:
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
        let mut state = self.lock();
        state.connection += 1;
        state.lose_power(&mut Random::new(seed))
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
        let worn = ZoneState { condition, ..state.table.state(zone) };
        state.change(&[Change { zone, state: worn }])
    }

    pub(crate) fn connect(&self) -> Connection {
        let mut state = self.lock();
        state.connection += 1;
        Connection { number: state.connection, drive: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, DriveState> {
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
        if state.connection == self.number { Ok(state) } else { Err(DeviceError::Gone) }
    }
}

impl DriveState {
    pub(crate) fn report(&self) -> Vec<Zone> {
        self.table.report()
    }

    /// The error of a write that overtakes one in flight in the same sequential zone; `None` in other zones.
    pub(crate) fn overtaking(&self, offset_bytes: u64) -> Option<DeviceError> {
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes).ok()?;
        let sequential = zone < self.geometry.zone_count
            && self.table.state(zone).kind == ZoneKind::SequentialWriteRequired;
        let at = offset_bytes % self.geometry.zone_size_bytes;
        sequential.then(|| self.table.not_at_write_pointer(zone, at))
    }

    pub(crate) fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let length_bytes = bytes.len() as u64;
        let (_, stored_bytes) = self.table.read(offset_bytes, length_bytes)?;
        let stored = usize::try_from(stored_bytes).unwrap_or(bytes.len()).min(bytes.len());
        let (stored, fill) = bytes.split_at_mut(stored);
        fill.fill(0);
        let read = self.store.read(offset_bytes, stored);
        read.map_err(|_| DeviceError::MediumRead { offset_bytes, length_bytes })
    }

    pub(crate) fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let length_bytes = bytes.len() as u64;
        let (zone, changes) = self.table.write(offset_bytes, length_bytes)?;
        let at = offset_bytes % self.geometry.zone_size_bytes;
        let conventional = self.table.state(zone).kind == ZoneKind::Conventional;
        if conventional && self.keeps_overwritten {
            let mut before = vec![0; bytes.len()];
            let read = self.store.read(offset_bytes, &mut before);
            read.map_err(|error| system("reading what a write overwrites", &error))?;
            self.unflushed.wrote_conventional(zone, at, before);
        }
        self.store.write(offset_bytes, bytes).map_err(|error| match error.raw_os_error() {
            Some(EIO) => DeviceError::MediumWrite { offset_bytes, length_bytes },
            _ => system("writing the simulated drive", &error),
        })?;
        self.change(&changes)?;
        if !conventional {
            self.unflushed.wrote_sequential(zone, at, at + length_bytes);
        }
        Ok(())
    }

    /// Counts a flush as submitted, and returns the number by which it is carried out.
    pub(crate) fn submit_flush(&mut self) -> u64 {
        self.unflushed.submit_flush()
    }

    pub(crate) fn flush(&mut self, flush: u64) -> Result<(), DeviceError> {
        self.store.sync().map_err(|_| DeviceError::Flush)?;
        self.unflushed.flushed(flush);
        Ok(())
    }

    pub(crate) fn order(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        let changes = self.table.order(zone, operation)?;
        self.change(&changes)?;
        if operation == ZoneOperation::Reset {
            self.unflushed.reset(zone);
            let start_bytes = self.geometry.zone_start_bytes(zone);
            // The zone is empty already: what is left there can no longer be read.
            let discarded = self.store.discard(start_bytes, self.geometry.zone_size_bytes);
            discarded.map_err(|error| system("giving back the room of a zone", &error))?;
        }
        Ok(())
    }

    /// Keeps each change before it counts.
    fn change(&mut self, changes: &[Change]) -> Result<(), DeviceError> {
        for &change in changes {
            let saved = self.store.save_zone(change.zone, change.state);
            saved.map_err(|error| system("writing the simulated drive's zone table", &error))?;
            self.table.apply(change);
        }
        Ok(())
    }

    fn close_open_zones(&mut self) -> Result<(), DeviceError> {
        let changes: Vec<Change> = (0..self.geometry.zone_count)
            .map(|zone| Change { zone, state: self.table.state(zone) })
            .filter(|change| change.state.is_open())
            .map(|change| Change { state: change.state.closed(), ..change })
            .collect();
        self.change(&changes)
    }

    fn lose_power(&mut self, random: &mut Random) -> Result<(), DeviceError> {
        let (conventional, sequential): (Vec<UnflushedWrite>, Vec<UnflushedWrite>) =
            self.unflushed.take().into_iter().partition(|write| write.kind == ZoneKind::Conventional);
        self.lose_conventional(&conventional, random)
            .map_err(|error| system("bringing back what writes had overwritten", &error))?;
        let zones: BTreeSet<u32> = sequential.iter().map(|write| write.zone).collect();
        for zone in zones {
            let of_zone = sequential.iter().filter(|write| write.zone == zone);
            let flushed_bytes = of_zone.map(|write| write.start_bytes).min().unwrap_or(0);
            self.lose_sequential(zone, flushed_bytes, random)?;
        }
        self.close_open_zones()
    }

    /// Lets each unit of the writes be new, torn, or what it was before: from the newest write to the oldest, so that
    /// a unit can fall back through several.
    fn lose_conventional(&mut self, writes: &[UnflushedWrite], random: &mut Random) -> io::Result<()> {
        let unit_bytes = self.geometry.write_unit_bytes;
        let mut settled = BTreeSet::new();
        for write in writes.iter().rev() {
            let start = self.geometry.zone_start_bytes(write.zone) + write.start_bytes;
            let offsets = (start..).step_by(unit_bytes as usize);
            for (offset, before) in offsets.zip(write.before.chunks(unit_bytes as usize)) {
                if settled.contains(&offset) {
                    continue;
                }
                match random.up_to(7) {
                    0..=3 => _ = settled.insert(offset),
                    4..=6 => self.store.write(offset, before)?,
                    _ => {
                        let kept = random.up_to(u64::from(unit_bytes) / SECTOR_BYTES) * SECTOR_BYTES;
                        let old = &before[usize::try_from(kept).unwrap_or(before.len())..];
                        self.store.write(offset + kept, old)?;
                        settled.insert(offset);
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets the write pointer of a zone fall, to `flushed_bytes` at the lowest.
    fn lose_sequential(
        &mut self,
        zone: u32,
        flushed_bytes: u64,
        random: &mut Random,
    ) -> Result<(), DeviceError> {
        let state = self.table.state(zone);
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let units_at_risk = state.written_bytes.saturating_sub(flushed_bytes) / unit_bytes;
        let mut written_bytes = flushed_bytes + random.up_to(units_at_risk) * unit_bytes;
        if written_bytes < state.written_bytes && random.one_in(4) {
            let kept = random.up_to(unit_bytes / SECTOR_BYTES - 1) * SECTOR_BYTES;
            let lost = vec![0; usize::try_from(unit_bytes - kept).unwrap_or_default()];
            let torn = self.geometry.zone_start_bytes(zone) + written_bytes + kept;
            self.store.write(torn, &lost).map_err(|error| system("tearing a write", &error))?;
            written_bytes += unit_bytes;
        }
        let was_written_full =
            state.condition == Condition::Full && state.written_bytes == state.capacity_bytes;
        let mut next = ZoneState { written_bytes, ..state };
        if was_written_full && written_bytes < state.capacity_bytes {
            next = next.closed();
        }
        self.change(&[Change { zone, state: next }])
    }
}

fn system(operation: &'static str, error: &io::Error) -> DeviceError {
    DeviceError::System { operation, errno: error.raw_os_error().unwrap_or(EIO) }
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
