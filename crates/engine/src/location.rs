//! Where a record stands.

use imbrex_format::IndexEntry;

/// The place of one record on the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    /// The zone.
    pub(crate) zone: u32,
    /// The record's first unit within the zone.
    pub(crate) unit_offset: u32,
    /// How many units the record has, at most [`UNIT_COUNT_MAX`].
    pub(crate) unit_count: u32,
}

/// The largest record that an index entry can name, in units. A record of 16 MiB has 4,097.
pub(crate) const UNIT_COUNT_MAX: u32 = IndexEntry::UNIT_COUNT_MAX;

/// How many bits of an index entry hold the place of a record: 2^36 units of 4 KiB are 256 TiB.
pub(crate) const PLACE_BITS: u32 = IndexEntry::PLACE_UNITS_MAX.count_ones();
