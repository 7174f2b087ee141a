//! What a checkpoint says of one zone.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checkpoint::CELL_BYTES;
use crate::checksum::is_zero;
use crate::error::FormatError;

/// Bit 0 of the flags; the others are zero.
const FLAG_EVACUATE: u8 = 1;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ZoneCellBytes {
    role: u8,
    stream: u8,
    flags: u8,
    reserved_after_flags: u8,
    capacity_units: U32,
    written_units: U32,
    good_units: U32,
    live_units: U32,
    table_entries: U32,
    tombstones: U32,
    reserved: [u8; 4],
    incarnation: U64,
    closed_sequence: U64,
    scrubbed_at_unix_s: U64,
    sealed_at_unix_s: U64,
}

const _: () = {
    assert!(size_of::<ZoneCellBytes>() == CELL_BYTES);
    assert!(offset_of!(ZoneCellBytes, role) == 0);
    assert!(offset_of!(ZoneCellBytes, stream) == 1);
    assert!(offset_of!(ZoneCellBytes, flags) == 2);
    assert!(offset_of!(ZoneCellBytes, reserved_after_flags) == 3);
    assert!(offset_of!(ZoneCellBytes, capacity_units) == 4);
    assert!(offset_of!(ZoneCellBytes, written_units) == 8);
    assert!(offset_of!(ZoneCellBytes, good_units) == 12);
    assert!(offset_of!(ZoneCellBytes, live_units) == 16);
    assert!(offset_of!(ZoneCellBytes, table_entries) == 20);
    assert!(offset_of!(ZoneCellBytes, tombstones) == 24);
    assert!(offset_of!(ZoneCellBytes, reserved) == 28);
    assert!(offset_of!(ZoneCellBytes, incarnation) == 32);
    assert!(offset_of!(ZoneCellBytes, closed_sequence) == 40);
    assert!(offset_of!(ZoneCellBytes, scrubbed_at_unix_s) == 48);
    assert!(offset_of!(ZoneCellBytes, sealed_at_unix_s) == 56);
};

/// What a zone was used for when the checkpoint was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneCellRole {
    /// A label stands in it.
    Label,
    /// Nothing is written in it, or nothing that counts.
    Free,
    /// The log is being written to it.
    Open,
    /// It ends with a footer.
    Sealed,
    /// Nothing more is written to it after an error; what is good of it is read.
    Fenced,
    /// Nothing of it can be read, or nothing explains what stands in it.
    Lost,
    /// Nothing in it is live; it rests before it is reset.
    Trash,
    /// It is kept for checkpoints.
    Checkpoint,
}

impl ZoneCellRole {
    const ALL: [Self; 8] = [
        Self::Label,
        Self::Free,
        Self::Open,
        Self::Sealed,
        Self::Fenced,
        Self::Lost,
        Self::Trash,
        Self::Checkpoint,
    ];

    const fn number(self) -> u8 {
        match self {
            Self::Label => 1,
            Self::Free => 2,
            Self::Open => 3,
            Self::Sealed => 4,
            Self::Fenced => 5,
            Self::Lost => 6,
            Self::Trash => 7,
            Self::Checkpoint => 8,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
    }
}

/// What a checkpoint says of one zone. What a role has no use for is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneCell {
    /// What the zone was used for.
    pub role: ZoneCellRole,
    /// As in the zone's header.
    pub stream: u8,
    /// Whether what is live in the zone is to be moved elsewhere soon, since an error was met in it.
    pub evacuate: bool,
    /// How much of the zone can be written, in units.
    pub capacity_units: u32,
    /// How far the zone was written, in units.
    pub written_units: u32,
    /// How far the zone is good: up to and including its last commit, or its capacity once it is sealed; in units.
    pub good_units: u32,
    /// The units of the records in the zone that the index names.
    pub live_units: u32,
    /// How many blocks and tombstones the zone holds, dead ones included.
    pub table_entries: u32,
    /// How many of them are tombstones.
    pub tombstones: u32,
    /// Which life of the zone is meant.
    pub incarnation: u64,
    /// The log's next sequence when the zone was sealed or fenced; 2^64 - 1 while it is open. For a zone that is free:
    /// the number of the checkpoint once which counts it may be opened again.
    pub closed_sequence: u64,
    /// When every record of the zone was last read and found right, in seconds since 1970; 0 for never.
    pub scrubbed_at_unix_s: u64,
    /// When the zone was sealed, or became trash, in seconds since 1970.
    pub sealed_at_unix_s: u64,
}

impl ZoneCell {
    /// The cell.
    #[must_use]
    pub fn encode(&self) -> [u8; CELL_BYTES] {
        let bytes = ZoneCellBytes {
            role: self.role.number(),
            stream: self.stream,
            flags: if self.evacuate { FLAG_EVACUATE } else { 0 },
            reserved_after_flags: 0,
            capacity_units: U32::new(self.capacity_units),
            written_units: U32::new(self.written_units),
            good_units: U32::new(self.good_units),
            live_units: U32::new(self.live_units),
            table_entries: U32::new(self.table_entries),
            tombstones: U32::new(self.tombstones),
            reserved: [0; 4],
            incarnation: U64::new(self.incarnation),
            closed_sequence: U64::new(self.closed_sequence),
            scrubbed_at_unix_s: U64::new(self.scrubbed_at_unix_s),
            sealed_at_unix_s: U64::new(self.sealed_at_unix_s),
        };
        zerocopy::transmute!(bytes)
    }

    /// Reads a cell.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where the role is unknown, or where a reserved byte or flag is set.
    pub fn decode(cell: &[u8; CELL_BYTES]) -> Result<Self, FormatError> {
        let bytes: ZoneCellBytes = zerocopy::transmute!(*cell);
        let role = ZoneCellRole::from_number(bytes.role).ok_or(FormatError::Invalid { field: "role" })?;
        let rules = [
            (bytes.flags & !FLAG_EVACUATE == 0, "flags"),
            (bytes.reserved_after_flags == 0 && is_zero(&bytes.reserved), "reserved"),
        ];
        if let Some((_, field)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(FormatError::Invalid { field });
        }
        Ok(Self {
            role,
            stream: bytes.stream,
            evacuate: bytes.flags & FLAG_EVACUATE != 0,
            capacity_units: bytes.capacity_units.get(),
            written_units: bytes.written_units.get(),
            good_units: bytes.good_units.get(),
            live_units: bytes.live_units.get(),
            table_entries: bytes.table_entries.get(),
            tombstones: bytes.tombstones.get(),
            incarnation: bytes.incarnation.get(),
            closed_sequence: bytes.closed_sequence.get(),
            scrubbed_at_unix_s: bytes.scrubbed_at_unix_s.get(),
            sealed_at_unix_s: bytes.sealed_at_unix_s.get(),
        })
    }
}
