//! One entry of a table of contents: of a sealed zone, or of a group.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::FormatError;
use crate::key::Key;
use crate::unit::{PAYLOAD_BYTES_MAX, record_units};

/// The length of an entry on the drive, in bytes.
pub(crate) const TABLE_ENTRY_BYTES: usize = 64;

/// The kinds are those of the records.
const KIND_BLOCK: u16 = 1;
const KIND_TOMBSTONE: u16 = 2;

/// The slots behind `unit_offset` hold one thing for a block and another one for a tombstone.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TableEntryBytes {
    key: [u8; 32],
    kind: U16,
    flags: U16,
    unit_offset: U32,
    unit_count_or_target_zone: U32,
    payload_bytes_or_target_unit_offset: U32,
    sequence_or_target_incarnation: U64,
    birth: U64,
}

const _: () = {
    assert!(size_of::<TableEntryBytes>() == TABLE_ENTRY_BYTES);
    assert!(std::mem::offset_of!(TableEntryBytes, key) == 0);
    assert!(std::mem::offset_of!(TableEntryBytes, kind) == 32);
    assert!(std::mem::offset_of!(TableEntryBytes, flags) == 34);
    assert!(std::mem::offset_of!(TableEntryBytes, unit_offset) == 36);
    assert!(std::mem::offset_of!(TableEntryBytes, unit_count_or_target_zone) == 40);
    assert!(std::mem::offset_of!(TableEntryBytes, payload_bytes_or_target_unit_offset) == 44);
    assert!(std::mem::offset_of!(TableEntryBytes, sequence_or_target_incarnation) == 48);
    assert!(std::mem::offset_of!(TableEntryBytes, birth) == 56);
};

/// What a zone or a group holds, one entry a block and one a tombstone, in the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableEntry {
    /// A block that was stored in the zone.
    Block {
        /// Its key.
        key: Key,
        /// The first unit of its record within the zone.
        unit_offset: u32,
        /// How many units the record has.
        unit_count: u32,
        /// The length of the block, in bytes.
        payload_bytes: u32,
        /// The sequence of the record.
        sequence: u64,
        /// The sequence that the block had when it was first stored.
        birth: u64,
    },
    /// A deletion that was recorded in the zone.
    Tombstone {
        /// The key of the block that is deleted.
        key: Key,
        /// The first unit of the tombstones record, within this zone.
        unit_offset: u32,
        /// The zone of the record that is killed.
        target_zone: u32,
        /// The first unit of that record within its zone.
        target_unit_offset: u32,
        /// The life of that zone.
        target_incarnation: u64,
        /// The birth of the block.
        birth: u64,
    },
}

impl TableEntry {
    /// The length of an entry on the drive, in bytes.
    pub const BYTES: usize = TABLE_ENTRY_BYTES;

    pub(crate) fn to_bytes(self) -> TableEntryBytes {
        match self {
            Self::Block { key, unit_offset, unit_count, payload_bytes, sequence, birth } => TableEntryBytes {
                key: key.0,
                kind: U16::new(KIND_BLOCK),
                flags: U16::ZERO,
                unit_offset: U32::new(unit_offset),
                unit_count_or_target_zone: U32::new(unit_count),
                payload_bytes_or_target_unit_offset: U32::new(payload_bytes),
                sequence_or_target_incarnation: U64::new(sequence),
                birth: U64::new(birth),
            },
            Self::Tombstone {
                key,
                unit_offset,
                target_zone,
                target_unit_offset,
                target_incarnation,
                birth,
            } => TableEntryBytes {
                key: key.0,
                kind: U16::new(KIND_TOMBSTONE),
                flags: U16::ZERO,
                unit_offset: U32::new(unit_offset),
                unit_count_or_target_zone: U32::new(target_zone),
                payload_bytes_or_target_unit_offset: U32::new(target_unit_offset),
                sequence_or_target_incarnation: U64::new(target_incarnation),
                birth: U64::new(birth),
            },
        }
    }

    /// What an entry of a table that begins in unit `table_first_unit` says, whose checksum has been verified.
    pub(crate) fn from_bytes(bytes: &TableEntryBytes, table_first_unit: u32) -> Result<Self, FormatError> {
        let key = Key(bytes.key);
        let unit_offset = bytes.unit_offset.get();
        let birth = bytes.birth.get();
        if bytes.flags != 0 {
            return Err(FormatError::Invalid { field: "flags" });
        }
        let entry = match bytes.kind.get() {
            KIND_BLOCK => Self::Block {
                key,
                unit_offset,
                unit_count: bytes.unit_count_or_target_zone.get(),
                payload_bytes: bytes.payload_bytes_or_target_unit_offset.get(),
                sequence: bytes.sequence_or_target_incarnation.get(),
                birth,
            },
            KIND_TOMBSTONE => Self::Tombstone {
                key,
                unit_offset,
                target_zone: bytes.unit_count_or_target_zone.get(),
                target_unit_offset: bytes.payload_bytes_or_target_unit_offset.get(),
                target_incarnation: bytes.sequence_or_target_incarnation.get(),
                birth,
            },
            _ => return Err(FormatError::Invalid { field: "kind" }),
        };
        entry.check(table_first_unit)?;
        Ok(entry)
    }

    /// Whether what the entry names can stand before a table that begins in unit `table_first_unit`.
    pub(crate) fn check(&self, table_first_unit: u32) -> Result<(), FormatError> {
        let rules = match *self {
            Self::Block { unit_offset, unit_count, payload_bytes, .. } => {
                let payload_bytes = payload_bytes as usize;
                let end = unit_offset.checked_add(unit_count);
                [
                    (payload_bytes <= PAYLOAD_BYTES_MAX, "payload_bytes"),
                    (
                        payload_bytes > PAYLOAD_BYTES_MAX || unit_count == record_units(payload_bytes),
                        "unit_count",
                    ),
                    (unit_offset > 0 && end.is_some_and(|end| end <= table_first_unit), "unit_offset"),
                ]
            }
            Self::Tombstone { unit_offset, target_unit_offset, .. } => [
                (unit_offset > 0, "unit_offset"),
                (unit_offset < table_first_unit, "unit_offset"),
                (target_unit_offset > 0, "target_unit_offset"),
            ],
        };
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, field)) => Err(FormatError::Invalid { field }),
            None => Ok(()),
        }
    }
}
