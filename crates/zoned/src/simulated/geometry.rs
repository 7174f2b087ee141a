//! The shape of a simulated drive, chosen when it is made.

use crate::Geometry;

/// The fewest zones that a drive can have: fewer leave no room for a log beside the labels.
const ZONES_MIN: u64 = 4;
/// The most zones: those of a 64 TB drive with zones of 4 MiB. Bounds the table that a file can make us read.
const ZONES_MAX: u64 = 1 << 24;
/// The longest serial in bytes.
pub(crate) const SERIAL_BYTES_MAX: usize = 64;

/// The shape of a simulated drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedGeometry {
    /// The number of zones, conventional ones included.
    pub zone_count: u32,
    /// The distance between the starts of two zones, in bytes: a multiple of the write unit.
    pub zone_size_bytes: u64,
    /// How many bytes of a sequential zone can be written: at most its size, a multiple of the write unit.
    pub zone_capacity_bytes: u64,
    /// How many zones, from the first on, are conventional.
    pub conventional_zones: u32,
    /// The unit of addressing in bytes: 512 or 4,096.
    pub logical_block_bytes: u32,
    /// The unit of writing in bytes: a power of two, and a multiple of the logical block.
    pub write_unit_bytes: u32,
    /// The number of zones that may be open at once.
    pub zone_open_max: Option<u32>,
    /// The number of zones that may be open or closed at once.
    pub zone_active_max: Option<u32>,
    /// Whether the medium is said to rotate.
    pub rotational: bool,
    /// The serial, 1 to 64 printable ASCII characters. `None`: one is made up when a file is created.
    pub serial: Option<String>,
}

impl Default for SimulatedGeometry {
    /// 64 zones of 64 MiB, 2 of them conventional; at most 16 open and 16 active.
    fn default() -> Self {
        Self {
            zone_count: 64,
            zone_size_bytes: 64 << 20,
            zone_capacity_bytes: 64 << 20,
            conventional_zones: 2,
            logical_block_bytes: 4096,
            write_unit_bytes: 4096,
            zone_open_max: Some(16),
            zone_active_max: Some(16),
            rotational: true,
            serial: None,
        }
    }
}

impl SimulatedGeometry {
    /// The default geometry with as many zones of `zone_size_bytes` as fit in `device_bytes`.
    ///
    /// # Errors
    ///
    /// One sentence, where fewer than 4 zones fit or the zone size cannot be used.
    pub fn fitted(device_bytes: u64, zone_size_bytes: u64) -> Result<Self, String> {
        let zones = device_bytes.checked_div(zone_size_bytes).unwrap_or(0);
        if zones < ZONES_MIN {
            return Err(format!(
                "{device_bytes} bytes do not hold {ZONES_MIN} zones of {zone_size_bytes} bytes: give a larger size \
                 or a smaller zone size"
            ));
        }
        let zone_count = u32::try_from(zones)
            .map_err(|_| format!("{zones} zones are too many: give a larger zone size"))?;
        let geometry =
            Self { zone_count, zone_size_bytes, zone_capacity_bytes: zone_size_bytes, ..Self::default() };
        geometry.check()?;
        Ok(geometry)
    }

    /// Says in one sentence what cannot be used of this geometry.
    ///
    /// # Errors
    ///
    /// That sentence.
    pub fn check(&self) -> Result<(), String> {
        let unit = u64::from(self.write_unit_bytes);
        let zones = u64::from(self.zone_count);
        if !matches!(self.logical_block_bytes, 512 | 4096) {
            return Err(format!("the logical block is {} bytes, not 512 or 4096", self.logical_block_bytes));
        }
        if !self.write_unit_bytes.is_power_of_two() || self.write_unit_bytes < self.logical_block_bytes {
            return Err(format!(
                "the write unit is {unit} bytes, not a power of two of one logical block or more"
            ));
        }
        if !(ZONES_MIN..=ZONES_MAX).contains(&zones) {
            return Err(format!("the number of zones is {zones}, not {ZONES_MIN} to {ZONES_MAX}"));
        }
        if self.conventional_zones > self.zone_count {
            return Err(format!("{} of {zones} zones cannot be conventional", self.conventional_zones));
        }
        if self.zone_size_bytes == 0 || !self.zone_size_bytes.is_multiple_of(unit) {
            return Err(format!(
                "a zone of {} bytes is not a multiple of {unit} bytes",
                self.zone_size_bytes
            ));
        }
        let capacity = self.zone_capacity_bytes;
        if capacity == 0 || capacity > self.zone_size_bytes || !capacity.is_multiple_of(unit) {
            return Err(format!(
                "a zone capacity of {capacity} bytes does not fit the zone or the write unit"
            ));
        }
        // Half of what fits, so that the place of the data in a file can be added without overflow.
        if zones.checked_mul(self.zone_size_bytes).is_none_or(|bytes| bytes > i64::MAX.unsigned_abs() / 2) {
            return Err(format!("{zones} zones of {} bytes are too large a drive", self.zone_size_bytes));
        }
        if self.zone_open_max == Some(0) || self.zone_active_max == Some(0) {
            return Err("a limit of 0 open or active zones leaves nothing to write".to_owned());
        }
        if let Some(serial) = &self.serial {
            let printable = serial.bytes().all(|byte| byte.is_ascii_graphic());
            if serial.is_empty() || serial.len() > SERIAL_BYTES_MAX || !printable {
                return Err(format!(
                    "a serial has 1 to {SERIAL_BYTES_MAX} printable characters, which {serial:?} has not"
                ));
            }
        }
        Ok(())
    }

    /// The size of the whole drive in bytes.
    #[must_use]
    pub fn device_bytes(&self) -> u64 {
        u64::from(self.zone_count) * self.zone_size_bytes
    }

    /// As a device tells it.
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            logical_block_bytes: self.logical_block_bytes,
            write_unit_bytes: self.write_unit_bytes,
            zone_count: self.zone_count,
            zone_size_bytes: self.zone_size_bytes,
            zone_open_max: self.zone_open_max,
            zone_active_max: self.zone_active_max,
            device_bytes: self.device_bytes(),
            rotational: self.rotational,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SimulatedGeometry;

    #[test]
    fn a_geometry_is_fitted_to_a_size_by_dropping_what_is_no_whole_zone() {
        let geometry = SimulatedGeometry::fitted((4 << 30) + 12345, 64 << 20).unwrap();
        assert_eq!((geometry.zone_count, geometry.conventional_zones), (64, 2));
        assert_eq!(geometry.device_bytes(), 4 << 30);
    }

    #[test]
    fn a_size_or_zone_that_makes_no_drive_is_refused_in_a_sentence() {
        for (device, zone) in [(1 << 20, 64 << 20), (4 << 30, 0), (4 << 30, 5000), (u64::MAX, 4096)] {
            let sentence = SimulatedGeometry::fitted(device, zone).unwrap_err();
            assert!(sentence.split(' ').count() > 5, "{sentence}");
        }
    }
}
