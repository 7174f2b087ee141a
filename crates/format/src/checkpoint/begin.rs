//! The payload of the first record of a checkpoint.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::is_zero;
use crate::error::FormatError;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CheckpointBeginBytes {
    number: U64,
    bucket_count: U64,
    begun_at_unix_s: U64,
    zone_count: U32,
    reserved: [u8; 36],
}

const _: () = {
    assert!(size_of::<CheckpointBeginBytes>() == CheckpointBegin::BYTES);
    assert!(offset_of!(CheckpointBeginBytes, number) == 0);
    assert!(offset_of!(CheckpointBeginBytes, bucket_count) == 8);
    assert!(offset_of!(CheckpointBeginBytes, begun_at_unix_s) == 16);
    assert!(offset_of!(CheckpointBeginBytes, zone_count) == 24);
    assert!(offset_of!(CheckpointBeginBytes, reserved) == 28);
};

/// The beginning of a checkpoint: how many cells it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointBegin {
    /// The number of the checkpoint, higher than that of every one before it.
    pub number: u64,
    /// How many buckets the index has: the first cells.
    pub bucket_count: u64,
    /// How many zones the drive has: the cells behind the buckets.
    pub zone_count: u32,
    /// When the checkpoint was begun, in seconds since 1970. For people.
    pub begun_at_unix_s: u64,
}

impl CheckpointBegin {
    /// The length of the payload, in bytes.
    pub const BYTES: usize = 64;

    /// How many cells the checkpoint has.
    #[must_use]
    pub fn cell_count(&self) -> u64 {
        self.bucket_count.saturating_add(u64::from(self.zone_count))
    }

    /// The payload of the record.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let bytes = CheckpointBeginBytes {
            number: U64::new(self.number),
            bucket_count: U64::new(self.bucket_count),
            begun_at_unix_s: U64::new(self.begun_at_unix_s),
            zone_count: U32::new(self.zone_count),
            reserved: [0; 36],
        };
        zerocopy::transmute!(bytes)
    }

    /// Reads the payload of the record. Whether the counts are those of this drive is for the reader to ask.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is another, or where a reserved byte is set.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let bytes = CheckpointBeginBytes::ref_from_bytes(payload)
            .map_err(|_| FormatError::Invalid { field: "payload_bytes" })?;
        if !is_zero(&bytes.reserved) {
            return Err(FormatError::Invalid { field: "reserved" });
        }
        Ok(Self {
            number: bytes.number.get(),
            bucket_count: bytes.bucket_count.get(),
            zone_count: bytes.zone_count.get(),
            begun_at_unix_s: bytes.begun_at_unix_s.get(),
        })
    }
}
