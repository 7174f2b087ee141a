//! The payload of a record of patches: cells that have changed since their record of cells was written.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checkpoint::{CELL_BYTES, CHECKPOINT_HEAD_BYTES};
use crate::checksum::is_zero;
use crate::error::FormatError;
use crate::unit::PAYLOAD_BYTES_MAX;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PatchesHeadBytes {
    number: U64,
    patch_count: U32,
    reserved: [u8; 52],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PatchBytes {
    cell: U64,
    bytes: [u8; CELL_BYTES],
}

const _: () = {
    assert!(size_of::<PatchesHeadBytes>() == CHECKPOINT_HEAD_BYTES);
    assert!(offset_of!(PatchesHeadBytes, number) == 0);
    assert!(offset_of!(PatchesHeadBytes, patch_count) == 8);
    assert!(offset_of!(PatchesHeadBytes, reserved) == 12);
    assert!(size_of::<PatchBytes>() == CheckpointPatch::BYTES);
    assert!(offset_of!(PatchBytes, cell) == 0);
    assert!(offset_of!(PatchBytes, bytes) == 8);
};

/// The new value of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPatch {
    /// The number of the cell.
    pub cell: u64,
    /// What it holds now.
    pub bytes: [u8; CELL_BYTES],
}

impl CheckpointPatch {
    /// The length of a patch, in bytes.
    pub const BYTES: usize = 72;

    /// One patch of the payload of a record of patches.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let bytes = PatchBytes { cell: U64::new(self.cell), bytes: self.bytes };
        zerocopy::transmute!(bytes)
    }
}

/// Patches of a checkpoint, in the order in which they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPatches<'a> {
    /// The number of the checkpoint.
    pub number: u64,
    patches: &'a [[u8; CheckpointPatch::BYTES]],
}

impl<'a> CheckpointPatches<'a> {
    /// How many patches one record can hold.
    pub const COUNT_MAX: usize = (PAYLOAD_BYTES_MAX - CHECKPOINT_HEAD_BYTES) / CheckpointPatch::BYTES;

    /// The length of the payload of a record of `patch_count` patches, in bytes.
    #[must_use]
    pub const fn payload_bytes(patch_count: usize) -> usize {
        CHECKPOINT_HEAD_BYTES + patch_count * CheckpointPatch::BYTES
    }

    /// What stands before the patches, each of which [`CheckpointPatch::encode`] gives.
    #[must_use]
    pub fn head(number: u64, patch_count: u32) -> [u8; CHECKPOINT_HEAD_BYTES] {
        let head = PatchesHeadBytes {
            number: U64::new(number),
            patch_count: U32::new(patch_count),
            reserved: [0; 52],
        };
        zerocopy::transmute!(head)
    }

    /// Reads the payload of the record. Whether the checkpoint has the cells that are named is for the reader to ask.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is not that of its patches, where there are none, or where a reserved
    /// byte is set.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FormatError> {
        let invalid_length = FormatError::Invalid { field: "payload_bytes" };
        let (head, rest) = PatchesHeadBytes::ref_from_prefix(payload).map_err(|_| invalid_length)?;
        let (patches, remainder) = rest.as_chunks();
        if !remainder.is_empty() {
            return Err(invalid_length);
        }
        let rules = [
            (!patches.is_empty() && head.patch_count.get() as usize == patches.len(), "patch_count"),
            (is_zero(&head.reserved), "reserved"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, field)) => Err(FormatError::Invalid { field }),
            None => Ok(Self { number: head.number.get(), patches }),
        }
    }

    /// How many patches there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.patches.len()
    }

    /// The patches, in the order in which they count.
    pub fn iter(&self) -> impl Iterator<Item = CheckpointPatch> + use<'a> {
        self.patches.iter().map(|bytes| {
            let PatchBytes { cell, bytes } = zerocopy::transmute!(*bytes);
            CheckpointPatch { cell: cell.get(), bytes }
        })
    }
}
