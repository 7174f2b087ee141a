//! The payload of a tombstones record: the records that are deleted.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::is_zero;
use crate::error::FormatError;
use crate::key::Key;
use crate::unit::PAYLOAD_BYTES_MAX;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TombstoneEntryBytes {
    key: [u8; 32],
    zone: U32,
    unit_offset: U32,
    incarnation: U64,
    birth: U64,
    reserved: [u8; 8],
}

const _: () = {
    assert!(size_of::<TombstoneEntryBytes>() == TombstoneEntry::BYTES);
    assert!(std::mem::offset_of!(TombstoneEntryBytes, key) == 0);
    assert!(std::mem::offset_of!(TombstoneEntryBytes, zone) == 32);
    assert!(std::mem::offset_of!(TombstoneEntryBytes, unit_offset) == 36);
    assert!(std::mem::offset_of!(TombstoneEntryBytes, incarnation) == 40);
    assert!(std::mem::offset_of!(TombstoneEntryBytes, birth) == 48);
    assert!(std::mem::offset_of!(TombstoneEntryBytes, reserved) == 56);
};

/// One deletion. It kills exactly the record that it names, and no other one of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TombstoneEntry {
    /// The key of the block that is deleted.
    pub key: Key,
    /// The zone of the record.
    pub zone: u32,
    /// The record's first unit within the zone.
    pub unit_offset: u32,
    /// The life of the zone in which the record was written. When it has gone, the tombstone means nothing any more.
    pub incarnation: u64,
    /// The birth of the block.
    pub birth: u64,
}

impl TombstoneEntry {
    /// The length of an entry, in bytes.
    pub const BYTES: usize = 64;

    /// How many entries one record can hold.
    pub const COUNT_MAX: usize = PAYLOAD_BYTES_MAX / Self::BYTES;

    /// One entry of the payload of a tombstones record.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let bytes = TombstoneEntryBytes {
            key: self.key.0,
            zone: U32::new(self.zone),
            unit_offset: U32::new(self.unit_offset),
            incarnation: U64::new(self.incarnation),
            birth: U64::new(self.birth),
            reserved: [0; 8],
        };
        zerocopy::transmute!(bytes)
    }
}

impl TombstoneEntryBytes {
    fn fields(&self) -> Result<TombstoneEntry, FormatError> {
        if !is_zero(&self.reserved) {
            return Err(FormatError::Invalid { field: "reserved" });
        }
        if self.unit_offset == 0 {
            return Err(FormatError::Invalid { field: "unit_offset" });
        }
        Ok(TombstoneEntry {
            key: Key(self.key),
            zone: self.zone.get(),
            unit_offset: self.unit_offset.get(),
            incarnation: self.incarnation.get(),
            birth: self.birth.get(),
        })
    }
}

/// Reads the payload of a tombstones record.
///
/// # Errors
///
/// [`FormatError::Invalid`] where it is no whole number of entries, or where one of them cannot be.
pub fn decode_tombstones(payload: &[u8]) -> Result<Vec<TombstoneEntry>, FormatError> {
    let entries = <[TombstoneEntryBytes]>::ref_from_bytes(payload)
        .map_err(|_| FormatError::Invalid { field: "payload_bytes" })?;
    entries.iter().map(TombstoneEntryBytes::fields).collect()
}
