//! The header of a record: what it is, where it stands, and the checksum of itself and of the table behind it.
//!
//! Invariants: header, table and the gap behind the table lie in the record's first unit. Nothing but the length of
//! the table is taken from a header before its checksum has been verified, and that length is bounded first.

use std::mem::offset_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::{checksum_without_field, is_zero};
use crate::error::FormatError;
use crate::key::Key;
use crate::scope::ZoneScope;
use crate::unit::{
    CHUNK_CHECKSUM_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, chunk_count, payload_offset, record_units,
    to_u32,
};
use crate::zone_header::ZoneContent;

const MAGIC: [u8; 4] = *b"IBRK";

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RecordHeaderBytes {
    magic: [u8; 4],
    header_checksum: U32,
    kind: U16,
    flags: U16,
    payload_bytes: U32,
    drive_id: [u8; 16],
    zone: U32,
    unit_offset: U32,
    unit_count: U32,
    payload_offset: U32,
    incarnation: U64,
    sequence: U64,
    birth: U64,
    chunk_count: U32,
    reserved_after_chunk_count: [u8; 4],
    place_seal: U64,
    reserved: [u8; 8],
    key: [u8; 32],
}

const _: () = {
    assert!(size_of::<RecordHeaderBytes>() == RECORD_HEADER_BYTES);
    assert!(offset_of!(RecordHeaderBytes, magic) == 0);
    assert!(offset_of!(RecordHeaderBytes, header_checksum) == 4);
    assert!(offset_of!(RecordHeaderBytes, kind) == 8);
    assert!(offset_of!(RecordHeaderBytes, flags) == 10);
    assert!(offset_of!(RecordHeaderBytes, payload_bytes) == 12);
    assert!(offset_of!(RecordHeaderBytes, drive_id) == 16);
    assert!(offset_of!(RecordHeaderBytes, zone) == 32);
    assert!(offset_of!(RecordHeaderBytes, unit_offset) == 36);
    assert!(offset_of!(RecordHeaderBytes, unit_count) == 40);
    assert!(offset_of!(RecordHeaderBytes, payload_offset) == 44);
    assert!(offset_of!(RecordHeaderBytes, incarnation) == 48);
    assert!(offset_of!(RecordHeaderBytes, sequence) == 56);
    assert!(offset_of!(RecordHeaderBytes, birth) == 64);
    assert!(offset_of!(RecordHeaderBytes, chunk_count) == 72);
    assert!(offset_of!(RecordHeaderBytes, reserved_after_chunk_count) == 76);
    assert!(offset_of!(RecordHeaderBytes, place_seal) == 80);
    assert!(offset_of!(RecordHeaderBytes, reserved) == 88);
    assert!(offset_of!(RecordHeaderBytes, key) == 96);
};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A block: the payload is its bytes.
    Block,
    /// Deletions: the payload is an array of [`crate::TombstoneEntry`].
    Tombstones,
    /// The end of a group that has been flushed: the payload is a [`crate::Commit`].
    Commit,
    /// Nothing: only the first of its units means anything.
    Padding,
    /// Units before it that hold nothing, since a crash tore their group: the payload is a [`crate::VoidRange`].
    Void,
    /// The beginning of a checkpoint: the payload is a [`crate::CheckpointBegin`].
    CheckpointBegin,
    /// Cells of a checkpoint: the payload is a [`crate::CheckpointCells`].
    CheckpointCells,
    /// Cells that changed while the checkpoint was being written: the payload is a [`crate::CheckpointPatches`].
    CheckpointPatches,
    /// The end of a checkpoint, which makes it count: the payload is a [`crate::CheckpointEnd`].
    CheckpointEnd,
    /// What an open zone lists: the payload is a [`crate::CheckpointTable`].
    CheckpointTable,
}

impl RecordKind {
    const ALL: [Self; 10] = [
        Self::Block,
        Self::Tombstones,
        Self::Commit,
        Self::Padding,
        Self::Void,
        Self::CheckpointBegin,
        Self::CheckpointCells,
        Self::CheckpointPatches,
        Self::CheckpointEnd,
        Self::CheckpointTable,
    ];

    /// Whether records of this kind stand in a zone that holds `content`; padding stands in either.
    #[must_use]
    pub fn may_stand_in(self, content: ZoneContent) -> bool {
        match self {
            Self::Block | Self::Tombstones | Self::Commit | Self::Void => content == ZoneContent::Records,
            Self::Padding => true,
            Self::CheckpointBegin
            | Self::CheckpointCells
            | Self::CheckpointPatches
            | Self::CheckpointEnd
            | Self::CheckpointTable => content == ZoneContent::Checkpoint,
        }
    }

    /// Its number on the drive. 6 is kept for names.
    const fn number(self) -> u16 {
        match self {
            Self::Block => 1,
            Self::Tombstones => 2,
            Self::Commit => 3,
            Self::Padding => 4,
            Self::Void => 5,
            Self::CheckpointBegin => 7,
            Self::CheckpointCells => 8,
            Self::CheckpointPatches => 9,
            Self::CheckpointEnd => 10,
            Self::CheckpointTable => 11,
        }
    }

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// The header of a record, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record is.
    pub kind: RecordKind,
    /// The length of its payload, in bytes; 0 in padding.
    pub payload_bytes: u32,
    /// Its first unit within the zone; never 0, where the zone's header stands.
    pub unit_offset: u32,
    /// How many units it has: [`record_units`] of its payload, and any number from 1 in padding.
    pub unit_count: u32,
    /// Its number in the drive's log; in a checkpoint's record, its number in the checkpoint, from 1 on.
    pub sequence: u64,
    /// The sequence that the block had when it was first stored. In any other record: its own sequence.
    pub birth: u64,
    /// The block's key; zeros in any other record.
    pub key: Key,
}

impl RecordHeader {
    fn check(&self) -> Result<(), FormatError> {
        let payload_bytes = self.payload_bytes as usize;
        let is_padding = self.kind == RecordKind::Padding;
        let fits =
            if is_padding { self.unit_count > 0 } else { self.unit_count == record_units(payload_bytes) };
        let rules = [
            (!is_padding || payload_bytes == 0, "payload_bytes"),
            (fits, "unit_count"),
            (self.unit_offset > 0 && self.unit_offset.checked_add(self.unit_count).is_some(), "unit_offset"),
            (self.kind == RecordKind::Block || self.key == Key::NONE, "key"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, field)) => Err(FormatError::Invalid { field }),
            None => Ok(()),
        }
    }
}

/// Writes `header` into the first bytes of `buffer`, in which a [`crate::PayloadWriter`] has finished, and the checksum
/// of the header and of the table behind it. This comes last: only now the record's place has to be known.
///
/// # Panics
///
/// Where `buffer` ends before the payload begins, where the payload has more than [`PAYLOAD_BYTES_MAX`] bytes, or
/// where the header says what [`decode_record_header`] refuses: see the fields of [`RecordHeader`].
pub fn seal_record(buffer: &mut [u8], header: &RecordHeader, scope: &ZoneScope) {
    let payload_bytes = header.payload_bytes as usize;
    assert!(
        payload_bytes <= PAYLOAD_BYTES_MAX,
        "a payload has at most 16 MiB, and this one {payload_bytes} bytes"
    );
    if let Err(error) = header.check() {
        panic!("a record was to be written that nobody could read: {error}");
    }
    let mut bytes = RecordHeaderBytes::new_zeroed();
    bytes.magic = MAGIC;
    bytes.kind = U16::new(header.kind.number());
    bytes.payload_bytes = U32::new(header.payload_bytes);
    bytes.drive_id = scope.drive_id.0;
    bytes.zone = U32::new(scope.zone);
    bytes.unit_offset = U32::new(header.unit_offset);
    bytes.unit_count = U32::new(header.unit_count);
    bytes.payload_offset = U32::new(to_u32(payload_offset(payload_bytes)));
    bytes.incarnation = U64::new(scope.incarnation);
    bytes.sequence = U64::new(header.sequence);
    bytes.birth = U64::new(header.birth);
    bytes.chunk_count = U32::new(to_u32(chunk_count(payload_bytes)));
    bytes.place_seal = U64::new(scope.place_seal(header.unit_offset));
    bytes.key = header.key.0;

    let head = &mut buffer[..payload_offset(payload_bytes)];
    head[..RECORD_HEADER_BYTES].copy_from_slice(bytes.as_bytes());
    bytes.header_checksum = U32::new(computed_checksum(scope, head, payload_bytes));
    head[..RECORD_HEADER_BYTES].copy_from_slice(bytes.as_bytes());
}

/// Reads the header of the record that begins with `bytes`, in unit `unit_offset` of the zone. One unit of bytes is
/// always enough.
///
/// # Errors
///
/// [`FormatError::UnknownKind`] for a sound record of a kind that this version lacks; else every [`FormatError`] but
/// `Version` and `Payload`. Which one it is tells a person what happened; none of them is a record.
pub fn decode_record_header(
    bytes: &[u8],
    scope: &ZoneScope,
    unit_offset: u32,
) -> Result<RecordHeader, FormatError> {
    let (header, _) = RecordHeaderBytes::ref_from_prefix(bytes)
        .map_err(|_| FormatError::Short { needed: RECORD_HEADER_BYTES })?;
    header.check_identity(scope, unit_offset)?;

    let payload_bytes = header.payload_bytes.get() as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(FormatError::Invalid { field: "payload_bytes" });
    }
    let needed = payload_offset(payload_bytes);
    let head = bytes.get(..needed).ok_or(FormatError::Short { needed })?;
    if header.header_checksum != computed_checksum(scope, head, payload_bytes) {
        return Err(FormatError::Checksum);
    }
    if header.place_seal != scope.place_seal(unit_offset) {
        return Err(FormatError::Invalid { field: "place_seal" });
    }
    let decoded = header.fields()?;
    decoded.check()?;
    match is_zero(&head[table_end(payload_bytes)..]) {
        true => Ok(decoded),
        false => Err(FormatError::Invalid { field: "gap" }),
    }
}

/// The life of the zone that the record beginning with `bytes` claims, where one begins there at all. Nothing is verified:
/// it is for a reader whose zone has lost its header, and [`decode_record_header`] with that life then verifies it.
#[must_use]
pub fn claimed_incarnation(bytes: &[u8]) -> Option<u64> {
    let (header, _) = RecordHeaderBytes::ref_from_prefix(bytes).ok()?;
    (header.magic == MAGIC).then(|| header.incarnation.get())
}

/// Where the table of chunk checksums ends, in bytes from the record's first.
fn table_end(payload_bytes: usize) -> usize {
    RECORD_HEADER_BYTES + CHUNK_CHECKSUM_BYTES * chunk_count(payload_bytes)
}

/// The checksum of the header and of the table, both at the beginning of `head`.
fn computed_checksum(scope: &ZoneScope, head: &[u8], payload_bytes: usize) -> u32 {
    let covered = &head[..table_end(payload_bytes)];
    checksum_without_field(scope.salt(), covered, offset_of!(RecordHeaderBytes, header_checksum))
}

impl RecordHeaderBytes {
    /// Whether it claims to be a record of this place. Its checksum is still to be verified.
    fn check_identity(&self, scope: &ZoneScope, unit_offset: u32) -> Result<(), FormatError> {
        if self.magic != MAGIC {
            return Err(FormatError::Magic);
        }
        if self.drive_id != scope.drive_id.0 {
            return Err(FormatError::WrongDrive);
        }
        if self.zone != scope.zone {
            return Err(FormatError::WrongZone { found: self.zone.get(), expected: scope.zone });
        }
        if self.incarnation != scope.incarnation {
            return Err(FormatError::WrongIncarnation {
                found: self.incarnation.get(),
                expected: scope.incarnation,
            });
        }
        if self.unit_offset != unit_offset {
            return Err(FormatError::WrongPlace { found: self.unit_offset.get(), expected: unit_offset });
        }
        Ok(())
    }

    /// What a verified header says. A kind that is not known is looked at first: what else the header of such a record
    /// says is not known either, save where the next one begins.
    fn fields(&self) -> Result<RecordHeader, FormatError> {
        let payload_bytes = self.payload_bytes.get() as usize;
        let unit_count = self.unit_count.get();
        let Some(kind) = RecordKind::from_number(self.kind.get()) else {
            return match unit_count > 0 && self.unit_offset.get().checked_add(unit_count).is_some() {
                true => Err(FormatError::UnknownKind { kind: self.kind.get(), unit_count }),
                false => Err(FormatError::Invalid { field: "unit_count" }),
            };
        };
        let rules = [
            (self.flags == 0, "flags"),
            (self.payload_offset == to_u32(payload_offset(payload_bytes)), "payload_offset"),
            (self.chunk_count == to_u32(chunk_count(payload_bytes)), "chunk_count"),
            (is_zero(&self.reserved_after_chunk_count) && is_zero(&self.reserved), "reserved"),
        ];
        if let Some((_, field)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(FormatError::Invalid { field });
        }
        Ok(RecordHeader {
            kind,
            payload_bytes: self.payload_bytes.get(),
            unit_offset: self.unit_offset.get(),
            unit_count,
            sequence: self.sequence.get(),
            birth: self.birth.get(),
            key: Key(self.key),
        })
    }
}
