//! The drive in memory as a file, laid out as FORMAT.md, "Drive files", says, and what can be broken in one.

use std::path::Path;

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{Condition, ZoneKind};

use super::{CONVENTIONAL, TestDrive, ZONE_UNITS, ZONES};

const HEAD_BYTES: usize = 4096;
const ENTRY_BYTES: usize = 32;
const DATA_OFFSET_BYTES: usize = 1 << 20;
pub(crate) const ZONE_BYTES: usize = ZONE_UNITS as usize * UNIT_BYTES;
const EMPTY: u8 = 1;
const CLOSED: u8 = 4;
const FULL: u8 = 14;

/// The bytes of a drive's file.
#[derive(Clone)]
pub(crate) struct DriveFile(pub(crate) Vec<u8>);

impl DriveFile {
    /// The file of a drive; `path` is where it is made.
    pub(crate) fn of(drive: &TestDrive, path: &Path) -> Self {
        let zone_size_bytes = ZONE_BYTES as u64;
        let geometry = SimulatedGeometry {
            zone_count: ZONES,
            zone_size_bytes,
            zone_capacity_bytes: zone_size_bytes,
            conventional_zones: CONVENTIONAL,
            serial: Some("TEST".into()),
            ..SimulatedGeometry::default()
        };
        drop(SimulatedDevice::create(path, geometry, BufferPool::new(UNIT_BYTES).unwrap()).unwrap());
        let mut file = Self(std::fs::read(path).unwrap());
        for zone in &drive.memory.zones {
            let at = Self::unit(zone.index, 0);
            file.0[at..at + ZONE_BYTES].copy_from_slice(drive.memory.zone(zone.index));
            if zone.kind == ZoneKind::SequentialWriteRequired && zone.condition != Condition::Empty {
                let units = zone.write_pointer_bytes.map(|pointer| pointer / UNIT_BYTES as u64);
                file.set_pointer(zone.index, units.map(|units| u32::try_from(units).unwrap()));
            }
        }
        file
    }

    /// Where a unit begins.
    pub(crate) fn unit(zone: u32, unit: u32) -> usize {
        DATA_OFFSET_BYTES + (zone * ZONE_UNITS + unit) as usize * UNIT_BYTES
    }

    /// The bytes of a zone.
    pub(crate) fn zone(&mut self, zone: u32) -> &mut [u8] {
        &mut self.0[Self::unit(zone, 0)..][..ZONE_BYTES]
    }

    /// The entry of a zone in the table.
    pub(crate) fn entry(&mut self, zone: u32) -> &mut [u8] {
        &mut self.0[HEAD_BYTES + zone as usize * ENTRY_BYTES..][..ENTRY_BYTES]
    }

    /// How far a sequential zone is written, in units.
    pub(crate) fn pointer(&mut self, zone: u32) -> u32 {
        let bytes = u64::from_le_bytes(self.entry(zone)[8..16].try_into().unwrap());
        u32::try_from(bytes / UNIT_BYTES as u64).unwrap()
    }

    /// Says that a sequential zone is written so far; `None` where it is full.
    pub(crate) fn set_pointer(&mut self, zone: u32, units: Option<u32>) {
        let entry = self.entry(zone);
        entry[5] = match units {
            None => FULL,
            Some(0) => EMPTY,
            Some(_) => CLOSED,
        };
        let bytes = u64::from(units.unwrap_or(ZONE_UNITS)) * UNIT_BYTES as u64;
        entry[8..16].copy_from_slice(&bytes.to_le_bytes());
        let checksum = crc32c::crc32c(&entry[..28]);
        entry[28..].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Resets a sequential zone.
    pub(crate) fn reset(&mut self, zone: u32) {
        self.zone(zone).fill(0);
        self.set_pointer(zone, Some(0));
    }
}
