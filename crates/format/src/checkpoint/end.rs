//! The payload of the last record of a checkpoint, without which it does not count.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::is_zero;
use crate::commit::{CommitZone, CommitZoneBytes, OPEN_ZONES_MAX};
use crate::error::FormatError;
use crate::unit::to_u32;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CheckpointEndBytes {
    number: U64,
    next_sequence: U64,
    next_group: U64,
    blocks: U64,
    live_units: U64,
    dead_units: U64,
    record_count: U64,
    patch_count: U64,
    taken_at_unix_s: U64,
    open_count: U32,
    reserved: [u8; 4],
    open: [CommitZoneBytes; OPEN_ZONES_MAX],
}

const _: () = {
    assert!(size_of::<CheckpointEndBytes>() == CheckpointEnd::BYTES);
    assert!(offset_of!(CheckpointEndBytes, number) == 0);
    assert!(offset_of!(CheckpointEndBytes, next_sequence) == 8);
    assert!(offset_of!(CheckpointEndBytes, next_group) == 16);
    assert!(offset_of!(CheckpointEndBytes, blocks) == 24);
    assert!(offset_of!(CheckpointEndBytes, live_units) == 32);
    assert!(offset_of!(CheckpointEndBytes, dead_units) == 40);
    assert!(offset_of!(CheckpointEndBytes, record_count) == 48);
    assert!(offset_of!(CheckpointEndBytes, patch_count) == 56);
    assert!(offset_of!(CheckpointEndBytes, taken_at_unix_s) == 64);
    assert!(offset_of!(CheckpointEndBytes, open_count) == 72);
    assert!(offset_of!(CheckpointEndBytes, reserved) == 76);
    assert!(offset_of!(CheckpointEndBytes, open) == 80);
};

/// The end of a checkpoint: of which moment of the log its cells are, patches included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointEnd {
    /// The number of the checkpoint.
    pub number: u64,
    /// The sequence that the log's next record was to have.
    pub next_sequence: u64,
    /// The number that the log's next group was to have.
    pub next_group: u64,
    /// How many blocks the index holds: its entries.
    pub blocks: u64,
    /// The units of the records that the index names.
    pub live_units: u64,
    /// The units of records that count no more.
    pub dead_units: u64,
    /// How many records the checkpoint has before this one.
    pub record_count: u64,
    /// How many patches the checkpoint has.
    pub patch_count: u64,
    /// When this was so, in seconds since 1970. For people.
    pub taken_at_unix_s: u64,
    /// The zones of the log that were open, at most [`OPEN_ZONES_MAX`], and how far each was good.
    pub open: Vec<CommitZone>,
}

impl CheckpointEnd {
    /// The length of the payload, in bytes.
    pub const BYTES: usize = 208;

    /// The payload of the record.
    ///
    /// # Panics
    ///
    /// Where more than [`OPEN_ZONES_MAX`] zones are open.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let bytes = CheckpointEndBytes {
            number: U64::new(self.number),
            next_sequence: U64::new(self.next_sequence),
            next_group: U64::new(self.next_group),
            blocks: U64::new(self.blocks),
            live_units: U64::new(self.live_units),
            dead_units: U64::new(self.dead_units),
            record_count: U64::new(self.record_count),
            patch_count: U64::new(self.patch_count),
            taken_at_unix_s: U64::new(self.taken_at_unix_s),
            open: CommitZoneBytes::slots(&self.open),
            open_count: U32::new(to_u32(self.open.len())),
            reserved: [0; 4],
        };
        zerocopy::transmute!(bytes)
    }

    /// Reads the payload of the record.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is another, where it names too many zones, or where something stands
    /// in a place that it does not use.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let bytes = CheckpointEndBytes::ref_from_bytes(payload)
            .map_err(|_| FormatError::Invalid { field: "payload_bytes" })?;
        if !is_zero(&bytes.reserved) {
            return Err(FormatError::Invalid { field: "reserved" });
        }
        Ok(Self {
            number: bytes.number.get(),
            next_sequence: bytes.next_sequence.get(),
            next_group: bytes.next_group.get(),
            blocks: bytes.blocks.get(),
            live_units: bytes.live_units.get(),
            dead_units: bytes.dead_units.get(),
            record_count: bytes.record_count.get(),
            patch_count: bytes.patch_count.get(),
            taken_at_unix_s: bytes.taken_at_unix_s.get(),
            open: CommitZoneBytes::zones(&bytes.open, bytes.open_count.get())?,
        })
    }
}
