//! The payload of a record of cells: a part of the array, in order.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checkpoint::{CELL_BYTES, CHECKPOINT_HEAD_BYTES};
use crate::checksum::is_zero;
use crate::error::FormatError;
use crate::unit::PAYLOAD_BYTES_MAX;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CellsHeadBytes {
    number: U64,
    first_cell: U64,
    cell_count: U32,
    reserved: [u8; 44],
}

const _: () = {
    assert!(size_of::<CellsHeadBytes>() == CHECKPOINT_HEAD_BYTES);
    assert!(offset_of!(CellsHeadBytes, number) == 0);
    assert!(offset_of!(CellsHeadBytes, first_cell) == 8);
    assert!(offset_of!(CellsHeadBytes, cell_count) == 16);
    assert!(offset_of!(CellsHeadBytes, reserved) == 20);
};

/// Cells of a checkpoint, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointCells<'a> {
    /// The number of the checkpoint.
    pub number: u64,
    /// The number of the first of these cells.
    pub first_cell: u64,
    /// The cells; at least one, at most [`CheckpointCells::COUNT_MAX`].
    pub cells: &'a [[u8; CELL_BYTES]],
}

impl<'a> CheckpointCells<'a> {
    /// How many cells one record can hold.
    pub const COUNT_MAX: usize = (PAYLOAD_BYTES_MAX - CHECKPOINT_HEAD_BYTES) / CELL_BYTES;

    /// The length of the payload of a record of `cell_count` cells, in bytes.
    #[must_use]
    pub const fn payload_bytes(cell_count: usize) -> usize {
        CHECKPOINT_HEAD_BYTES + cell_count * CELL_BYTES
    }

    /// What stands before the cells. The cells follow it as they are, so that a writer can stream them from its index.
    #[must_use]
    pub fn head(number: u64, first_cell: u64, cell_count: u32) -> [u8; CHECKPOINT_HEAD_BYTES] {
        let head = CellsHeadBytes {
            number: U64::new(number),
            first_cell: U64::new(first_cell),
            cell_count: U32::new(cell_count),
            reserved: [0; 44],
        };
        zerocopy::transmute!(head)
    }

    /// Reads the payload of the record. Whether the checkpoint has these cells is for the reader to ask.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is not that of its cells, where there are none, where their numbers go
    /// beyond 64 bits, or where a reserved byte is set.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FormatError> {
        let invalid_length = FormatError::Invalid { field: "payload_bytes" };
        let (head, rest) = CellsHeadBytes::ref_from_prefix(payload).map_err(|_| invalid_length)?;
        let (cells, remainder) = rest.as_chunks();
        if !remainder.is_empty() {
            return Err(invalid_length);
        }
        let first_cell = head.first_cell.get();
        let rules = [
            (!cells.is_empty() && head.cell_count.get() as usize == cells.len(), "cell_count"),
            (first_cell.checked_add(cells.len() as u64).is_some(), "first_cell"),
            (is_zero(&head.reserved), "reserved"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, field)) => Err(FormatError::Invalid { field }),
            None => Ok(Self { number: head.number.get(), first_cell, cells }),
        }
    }
}
