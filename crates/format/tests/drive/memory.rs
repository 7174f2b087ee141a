//! The bytes of a drive, of which single units can be made unreadable.

use std::collections::HashSet;

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::read_only::ReadOnlyDrive;
use imbrex_zoned::{Condition, DeviceError, Geometry, Identity, Zone, ZoneKind};

use super::{CONVENTIONAL, ZONE_UNITS, ZONES};

pub(crate) struct MemoryDrive {
    identity: Identity,
    geometry: Geometry,
    pub(crate) zones: Vec<Zone>,
    bytes: Vec<u8>,
    /// Units that the medium does not give.
    pub(crate) unreadable: HashSet<(u32, u32)>,
}

impl MemoryDrive {
    pub(crate) fn new() -> Self {
        let zone_size_bytes = u64::from(ZONE_UNITS) * UNIT_BYTES as u64;
        let device_bytes = u64::from(ZONES) * zone_size_bytes;
        let geometry = Geometry {
            logical_block_bytes: 4096,
            write_unit_bytes: 4096,
            zone_count: ZONES,
            zone_size_bytes,
            zone_open_max: None,
            zone_active_max: None,
            device_bytes,
            rotational: true,
        };
        let zone = |index| {
            let is_conventional = index < CONVENTIONAL;
            let (kind, condition) = if is_conventional {
                (ZoneKind::Conventional, Condition::NotWritePointer)
            } else {
                (ZoneKind::SequentialWriteRequired, Condition::Empty)
            };
            let write_pointer_bytes = (!is_conventional).then_some(0);
            Zone { index, kind, condition, capacity_bytes: zone_size_bytes, write_pointer_bytes }
        };
        Self {
            identity: Identity { serial: Some("TEST".into()), ..Identity::default() },
            geometry,
            zones: (0..ZONES).map(zone).collect(),
            bytes: vec![0; usize::try_from(device_bytes).unwrap()],
            unreadable: HashSet::new(),
        }
    }

    fn place(zone: u32, unit: u32) -> usize {
        (zone * ZONE_UNITS + unit) as usize * UNIT_BYTES
    }

    pub(crate) fn put(&mut self, zone: u32, unit: u32, bytes: &[u8]) {
        let begin = Self::place(zone, unit);
        self.bytes[begin..begin + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn unit(&mut self, zone: u32, unit: u32) -> &mut [u8] {
        let begin = Self::place(zone, unit);
        &mut self.bytes[begin..begin + UNIT_BYTES]
    }

    /// The bytes of a zone.
    pub(crate) fn zone(&self, zone: u32) -> &[u8] {
        let begin = Self::place(zone, 0);
        &self.bytes[begin..begin + ZONE_UNITS as usize * UNIT_BYTES]
    }

    pub(crate) fn erase(&mut self, zone: u32) {
        let begin = Self::place(zone, 0);
        self.bytes[begin..begin + ZONE_UNITS as usize * UNIT_BYTES].fill(0);
    }
}

impl ReadOnlyDrive for MemoryDrive {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read_at(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let begin = usize::try_from(offset_bytes).unwrap();
        let end = begin + bytes.len();
        let zone_bytes = ZONE_UNITS as usize * UNIT_BYTES;
        assert_eq!(begin / zone_bytes, (end - 1) / zone_bytes, "a read crosses zones");
        let zone = u32::try_from(begin / zone_bytes).unwrap();
        if self.zones[zone as usize].condition == Condition::Offline {
            return Err(DeviceError::ZoneCondition { zone, condition: Condition::Offline });
        }
        let units =
            (begin % zone_bytes) / UNIT_BYTES..(end - zone as usize * zone_bytes).div_ceil(UNIT_BYTES);
        if units.into_iter().any(|unit| self.unreadable.contains(&(zone, u32::try_from(unit).unwrap()))) {
            return Err(DeviceError::MediumRead { offset_bytes, length_bytes: bytes.len() as u64 });
        }
        bytes.copy_from_slice(&self.bytes[begin..end]);
        Ok(())
    }
}
