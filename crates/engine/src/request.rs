//! What can be asked of an engine, and what it answers.

use std::ops::Range;

use imbrex_format::{DriveId, Key};
use imbrex_zoned::Buffer;

pub use crate::error::EngineError;
pub use crate::status::{Damage, DamageKind, ScrubStatus, State, Stats, Status, ZoneRole, ZoneStatus};

/// On whose behalf a request comes. Each class has its own share of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// A user waits for it.
    #[default]
    Foreground,
    /// It restores redundancy that was lost.
    Repair,
    /// It can wait.
    Background,
}

/// How long a block is expected to live: blocks that will die together are kept together, so that less has to be moved
/// when their room is reclaimed. A wrong hint costs room and writes, never data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It will be deleted soon: within hours.
    Short,
    /// It will stay for years.
    Long,
}

/// A block to be stored, its payload already in place.
#[derive(Debug)]
pub struct PutRequest {
    /// The block's name.
    pub key: Key,
    /// A buffer of [`imbrex_format::record_units`] units in which a [`imbrex_format::PayloadWriter`] has finished.
    pub buffer: Buffer,
    /// The length of the payload in bytes.
    pub payload_bytes: u32,
    /// The class of the request.
    pub class: Class,
    /// How long the block is expected to live.
    pub lifetime: Lifetime,
}

/// What became of a put that succeeded. Either way the block is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The block was written.
    Stored,
    /// The same bytes stood under the same key: nothing was written.
    AlreadyStored,
}

/// Which part of a block is wanted, as RFC 9110 section 14.1.2 words it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeRequest {
    /// All of it.
    #[default]
    Whole,
    /// From byte `first` to byte `last`, both included; to the end where `last` is `None` or beyond it.
    From {
        /// The first byte wanted.
        first: u64,
        /// The last byte wanted.
        last: Option<u64>,
    },
    /// The last `length_bytes` bytes, or all where there are fewer.
    Suffix {
        /// How many bytes are wanted.
        length_bytes: u64,
    },
}

/// A block, or a part of one, as it was read and checked.
#[derive(Debug)]
pub struct Block {
    pub(crate) buffer: Buffer,
    pub(crate) payload: Range<usize>,
    /// The part of the block that this is, in bytes of its payload.
    pub range: Range<u64>,
    /// The length of the whole block in bytes.
    pub payload_bytes: u32,
    /// The sequence number under which it was first stored: another block under the same key has another.
    pub birth: u64,
}

impl AsRef<[u8]> for Block {
    /// The bytes asked for.
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.payload.clone()]
    }
}

/// What is known of a block without reading its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// The length of the block in bytes.
    pub payload_bytes: u32,
    /// See [`Block::birth`].
    pub birth: u64,
}

/// One line of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// The block's name.
    pub key: Key,
    /// Its length in bytes.
    pub payload_bytes: u32,
    /// The zone in which it stands.
    pub zone: u32,
    /// Its first unit within the zone.
    pub unit_offset: u32,
}

/// A place in the drive's own order of blocks. To those outside it is opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The zone in which to go on, by its place in the order in which zones were closed; among open zones, the place of
    /// the last one that was closed when they were begun with.
    pub sequence: u64,
    /// The first unit of that zone that has not been listed.
    pub unit_offset: u32,
    /// Which of the open zones is to go on, once the closed ones have been listed.
    pub open: Option<u8>,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The blocks, in the drive's own order.
    pub entries: Vec<BlockEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Leave to format a drive that holds data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Nothing may be lost: the drive must be empty.
    Nothing,
    /// The data of the Imbrex drive with this id.
    Drive(DriveId),
    /// Data that is not Imbrex's, or that no known label names.
    Foreign,
}

/// An order to format the drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatOrder {
    /// The serial of the drive that is meant, or its id where it has no serial.
    pub serial: String,
    /// What may be lost.
    pub replace: Replace,
    /// The number of blocks that the index is to hold; `None`: one for each MiB, and 65,536 at least.
    pub blocks_max: Option<u64>,
}
