//! What a drive says of its shape. It is read from the drive and never assumed.

/// The fixed shape of a zoned drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The unit of addressing in bytes: 512 or 4,096.
    pub logical_block_bytes: u32,
    /// The unit of writing to sequential zones in bytes, a power of two: every write begins and ends on a
    /// multiple of it (`queue/zone_write_granularity`; the physical block of an SMR disk).
    pub write_unit_bytes: u32,
    /// The number of zones. Zone `n` begins at byte `n * zone_size_bytes`.
    pub zone_count: u32,
    /// The distance between the starts of two zones, in bytes. A zone's capacity may be smaller.
    pub zone_size_bytes: u64,
    /// The number of zones that may be open at once; `None` where the drive sets no limit.
    pub zone_open_max: Option<u32>,
    /// The number of zones that may be open or closed at once; `None` where the drive sets no limit.
    pub zone_active_max: Option<u32>,
    /// The size of the whole drive in bytes.
    pub device_bytes: u64,
    /// Whether the medium rotates.
    pub rotational: bool,
}

impl Geometry {
    /// The first byte of zone `zone`.
    #[must_use]
    pub fn zone_start_bytes(&self, zone: u32) -> u64 {
        u64::from(zone) * self.zone_size_bytes
    }
}
