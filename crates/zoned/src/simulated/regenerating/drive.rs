//! A drive laid down without passing all of its bytes through memory.

use std::path::Path;

use crate::simulated::device::SimulatedDevice;
use crate::simulated::drive::SimulatedDrive;
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::regenerating::payload::{PAYLOAD_BYTES_MAX, RegeneratedPayload};
use crate::simulated::regenerating::store::RegeneratingStore;
use crate::simulated::store::Store;
use crate::simulated::zone_entry;
use crate::simulated::zone_table::ZoneState;
use crate::{BufferPool, Condition, DeviceError, OpenError, OpenRefusal, ZoneKind};

/// A drive in memory that makes payloads again instead of keeping them, before it is opened.
///
/// The full drive of a measurement is laid down here: its headers, tables and footers as bytes, and its payloads as no
/// more than their seeds. What is read later is what a host would have written. A writer needs the checksums of each
/// payload; with a few seeds for all blocks they are computed once.
///
/// ```
/// use imbrex_zoned::simulated::{RegeneratedDrive, RegeneratedPayload, SimulatedGeometry};
/// use imbrex_zoned::{BufferPool, Device, Token};
///
/// let geometry = SimulatedGeometry { conventional_zones: 0, ..SimulatedGeometry::default() };
/// let mut drive = RegeneratedDrive::new(geometry).unwrap();
/// // A record: a header of 128 bytes, 4 MiB of payload, and zeros to the next unit.
/// let payload = RegeneratedPayload { seed: 42 };
/// drive.write(0, &[0xab; 128]).unwrap();
/// drive.write_payload(128, payload, 0, 4 << 20).unwrap();
/// drive.pad(0).unwrap();
/// assert_eq!(drive.written_bytes(0), (4 << 20) + 4096);
/// assert!(drive.memory_bytes() < 1000);
///
/// let pool = BufferPool::new(8 << 20).unwrap();
/// let mut device = drive.open(pool.clone());
/// device.submit_read(Token(1), 4096, pool.try_allocate(4096).unwrap(), 4096).unwrap();
/// let mut completions = Vec::new();
/// device.wait(None, &mut completions).unwrap();
/// let mut expected = [0; 4096];
/// payload.fill_from(4096 - 128, &mut expected);
/// assert_eq!(completions[0].buffer.as_ref().unwrap()[..], expected[..]);
/// ```
pub struct RegeneratedDrive {
    geometry: SimulatedGeometry,
    zones: Vec<ZoneState>,
    store: RegeneratingStore,
}

/// Makes a drive in memory, all zones empty, that makes payloads of [`RegeneratedPayload`] again instead of keeping them,
/// and opens it. It behaves as [`SimulatedDevice::in_memory`] in everything else.
///
/// # Errors
///
/// Where the geometry cannot be used.
pub fn regenerating(geometry: SimulatedGeometry, pool: BufferPool) -> Result<SimulatedDevice, OpenError> {
    Ok(RegeneratedDrive::new(geometry)?.open(pool))
}

impl RegeneratedDrive {
    /// A drive of which all zones are empty.
    ///
    /// # Errors
    ///
    /// Where the geometry cannot be used.
    pub fn new(geometry: SimulatedGeometry) -> Result<Self, OpenError> {
        let refuse = |what| {
            let reason = OpenRefusal::Unsupported { what };
            OpenError { path: Path::new("memory").to_owned(), reason }
        };
        geometry.check().map_err(refuse)?;
        let serial = geometry.serial.unwrap_or_else(|| "SIMULATED".to_owned());
        let geometry = SimulatedGeometry { serial: Some(serial), ..geometry };
        let zones = (0..geometry.zone_count).map(|zone| zone_entry::first_state(&geometry, zone)).collect();
        Ok(Self { geometry, zones, store: RegeneratingStore::default() })
    }

    /// Puts `bytes` at byte `offset_bytes` of the drive: in a sequential zone at the end of what it holds, which need not
    /// be the end of a unit here.
    ///
    /// # Errors
    ///
    /// Where the place is not the end of what the zone holds, or the bytes go beyond its capacity.
    pub fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.advance(offset_bytes, bytes.len() as u64)?;
        let written = self.store.write(offset_bytes, bytes);
        written.expect("memory takes every write");
        Ok(())
    }

    /// Puts `length_bytes` of a payload, from its byte `position_bytes` on, at byte `offset_bytes` of the drive.
    ///
    /// # Errors
    ///
    /// As [`RegeneratedDrive::write`]; and where the payload has no such part, being 1 GiB long.
    pub fn write_payload(
        &mut self,
        offset_bytes: u64,
        payload: RegeneratedPayload,
        position_bytes: u64,
        length_bytes: u64,
    ) -> Result<(), DeviceError> {
        if position_bytes.checked_add(length_bytes).is_none_or(|end_bytes| end_bytes > PAYLOAD_BYTES_MAX) {
            return Err(DeviceError::OutOfBounds { offset_bytes, length_bytes });
        }
        self.advance(offset_bytes, length_bytes)?;
        self.store.declare(offset_bytes, length_bytes, payload, position_bytes);
        Ok(())
    }

    /// Fills up the last unit that a sequential zone holds with zeros.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfBounds`] where there is no such zone.
    pub fn pad(&mut self, zone: u32) -> Result<(), DeviceError> {
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let state = self.zones.get_mut(zone as usize).ok_or(DeviceError::OutOfBounds {
            offset_bytes: u64::from(zone) * self.geometry.zone_size_bytes,
            length_bytes: 0,
        })?;
        state.written_bytes = state.written_bytes.next_multiple_of(unit_bytes);
        Ok(())
    }

    /// How far a sequential zone holds data, in bytes; 0 where there is no such zone.
    #[must_use]
    pub fn written_bytes(&self, zone: u32) -> u64 {
        self.zones.get(zone as usize).map_or(0, |state| state.written_bytes)
    }

    /// The memory that the contents take, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store.memory_bytes()
    }

    /// Opens the drive. Units that were begun are filled up with zeros; a zone that is partly written is closed, and one
    /// that is wholly written full. More zones may be closed than the drive lets be active: no host could have done
    /// that, and none can open another until some are reset or finished.
    #[must_use]
    pub fn open(mut self, pool: BufferPool) -> SimulatedDevice {
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        for state in self.zones.iter_mut().filter(|state| state.kind == ZoneKind::SequentialWriteRequired) {
            state.written_bytes = state.written_bytes.next_multiple_of(unit_bytes);
            state.condition = match state.written_bytes {
                0 => Condition::Empty,
                written_bytes if written_bytes == state.capacity_bytes => Condition::Full,
                _ => Condition::Closed,
            };
        }
        let Self { geometry, zones, store } = self;
        SimulatedDrive::new(Path::new("memory"), &geometry, zones, Box::new(store), true).open(pool)
    }

    /// Checks a write, and moves the end of what its zone holds.
    fn advance(&mut self, offset_bytes: u64, length_bytes: u64) -> Result<(), DeviceError> {
        let out_of_bounds = DeviceError::OutOfBounds { offset_bytes, length_bytes };
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes);
        let zone = zone.map_err(|_| out_of_bounds.clone())?;
        let at = offset_bytes % self.geometry.zone_size_bytes;
        let state = self.zones.get_mut(zone as usize).ok_or(out_of_bounds.clone())?;
        if at.checked_add(length_bytes).is_none_or(|end_bytes| end_bytes > state.capacity_bytes) {
            return Err(out_of_bounds);
        }
        if state.kind == ZoneKind::SequentialWriteRequired {
            if at != state.written_bytes {
                let write_pointer_bytes = state.written_bytes;
                return Err(DeviceError::NotAtWritePointer { zone, write_pointer_bytes, offset_bytes: at });
            }
            state.written_bytes += length_bytes;
        }
        Ok(())
    }
}
