//! What the host asks of the disk.

/// What the host asks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A read, of which the first `stored_bytes` are on the medium: the rest is beyond a write pointer.
    Read {
        /// The first byte, from the start of the drive.
        offset_bytes: u64,
        /// The length in bytes.
        length_bytes: u64,
        /// How many of its bytes are on the medium or on their way there.
        stored_bytes: u64,
    },
    /// A write.
    Write {
        /// The first byte, from the start of the drive.
        offset_bytes: u64,
        /// The length in bytes.
        length_bytes: u64,
    },
    /// Puts everything on the medium that had completed before.
    Flush,
    /// An order to a zone. A reset drops what the cache holds of the zone: the range `dropped_bytes`.
    ZoneOrder {
        /// The zone's first byte and its end where it is reset; an empty range else.
        dropped_bytes: (u64, u64),
    },
    /// A report of so many zones.
    ReportZones {
        /// The number of zones reported.
        zone_count: u32,
    },
}
