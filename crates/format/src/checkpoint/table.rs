//! The payload of a record of a table: what an open zone of the log lists so far, so that a reader need not go through
//! the zone from its beginning.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checkpoint::CHECKPOINT_HEAD_BYTES;
use crate::checksum::is_zero;
use crate::error::FormatError;
use crate::table_entry::{TABLE_ENTRY_BYTES, TableEntry, TableEntryBytes};
use crate::unit::PAYLOAD_BYTES_MAX;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TableHeadBytes {
    number: U64,
    zone: U32,
    entry_count: U32,
    reserved: [u8; 48],
}

const _: () = {
    assert!(size_of::<TableHeadBytes>() == CHECKPOINT_HEAD_BYTES);
    assert!(offset_of!(TableHeadBytes, number) == 0);
    assert!(offset_of!(TableHeadBytes, zone) == 8);
    assert!(offset_of!(TableHeadBytes, entry_count) == 12);
    assert!(offset_of!(TableHeadBytes, reserved) == 16);
};

/// A part of what an open zone lists, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointTable {
    /// The number of the checkpoint.
    pub number: u64,
    /// The zone, which the end of the checkpoint names as open.
    pub zone: u32,
    /// Its entries; at least one. Those of a zone's second record of this kind follow those of its first.
    pub entries: Vec<TableEntry>,
}

impl CheckpointTable {
    /// How many entries one record can hold.
    pub const COUNT_MAX: usize = (PAYLOAD_BYTES_MAX - CHECKPOINT_HEAD_BYTES) / TABLE_ENTRY_BYTES;

    /// The length of the payload of a record of `entry_count` entries, in bytes.
    #[must_use]
    pub const fn payload_bytes(entry_count: usize) -> usize {
        CHECKPOINT_HEAD_BYTES + entry_count * TABLE_ENTRY_BYTES
    }

    /// What stands before the entries, each of which [`Self::entry`] gives.
    #[must_use]
    pub fn head(number: u64, zone: u32, entry_count: u32) -> [u8; CHECKPOINT_HEAD_BYTES] {
        let head = TableHeadBytes {
            number: U64::new(number),
            zone: U32::new(zone),
            entry_count: U32::new(entry_count),
            reserved: [0; 48],
        };
        zerocopy::transmute!(head)
    }

    /// One entry of the payload.
    #[must_use]
    pub fn entry(entry: TableEntry) -> [u8; TABLE_ENTRY_BYTES] {
        zerocopy::transmute!(entry.to_bytes())
    }

    /// Reads the payload of the record. Whether the zone was open is for the reader to ask.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is not that of its entries, where there are none, where one of them cannot
    /// be, or where a reserved byte is set.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let invalid_length = FormatError::Invalid { field: "payload_bytes" };
        let (head, list) = TableHeadBytes::ref_from_prefix(payload).map_err(|_| invalid_length)?;
        let entries = <[TableEntryBytes]>::ref_from_bytes(list).map_err(|_| invalid_length)?;
        let rules = [
            (!entries.is_empty() && head.entry_count.get() as usize == entries.len(), "entry_count"),
            (is_zero(&head.reserved), "reserved"),
        ];
        if let Some((_, field)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(FormatError::Invalid { field });
        }
        let entries: Result<_, _> =
            entries.iter().map(|entry| TableEntry::from_bytes(entry, u32::MAX)).collect();
        Ok(Self { number: head.number.get(), zone: head.zone.get(), entries: entries? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    #[test]
    fn a_table_is_read_back_and_one_with_a_wrong_count_is_none() {
        let entry = TableEntry::Block {
            key: Key([7; 32]),
            unit_offset: 9,
            unit_count: 2,
            payload_bytes: 5000,
            sequence: 77,
            birth: 70,
        };
        let mut payload = CheckpointTable::head(3, 12, 2).to_vec();
        payload.extend(CheckpointTable::entry(entry));
        payload.extend(CheckpointTable::entry(entry));
        assert_eq!(payload.len(), CheckpointTable::payload_bytes(2));
        let table = CheckpointTable { number: 3, zone: 12, entries: vec![entry; 2] };
        assert_eq!(CheckpointTable::decode(&payload), Ok(table));
        payload.truncate(payload.len() - TABLE_ENTRY_BYTES);
        assert_eq!(CheckpointTable::decode(&payload), Err(FormatError::Invalid { field: "entry_count" }));
        assert!(CheckpointTable::decode(&payload[..70]).is_err());
    }
}
