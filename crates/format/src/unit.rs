//! The measures of the format: how long a unit, a chunk and a record are.

/// What a drive is written in, in bytes. Every structure begins at a multiple of it within its zone. A drive with a
/// smaller physical block is written in units of this length all the same.
pub const UNIT_BYTES: usize = 4096;

/// How many bytes of payload have one checksum: what a read of a small range has to fetch at least.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The largest payload of one record, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The version of the format that this crate writes, and the only one that it reads.
pub const VERSION: u32 = 2;

/// The length of a record's header, in bytes. The table of chunk checksums follows it.
pub(crate) const RECORD_HEADER_BYTES: usize = 128;

/// The length of one chunk's checksum in the table, in bytes.
pub(crate) const CHUNK_CHECKSUM_BYTES: usize = 4;

/// To what a payload is aligned within its record, in bytes: a line of the processor's cache.
const PAYLOAD_ALIGNMENT_BYTES: usize = 64;

// Header, table and the gap behind it lie in the record's first unit, so that reading one unit is enough to check
// them, and no length that stands in a record can overflow.
const _: () = assert!(payload_offset(PAYLOAD_BYTES_MAX) <= UNIT_BYTES);
const _: () = assert!((payload_offset(PAYLOAD_BYTES_MAX) + PAYLOAD_BYTES_MAX) < u32::MAX as usize);
const _: () =
    assert!(CHUNK_BYTES.is_multiple_of(UNIT_BYTES) && PAYLOAD_BYTES_MAX.is_multiple_of(CHUNK_BYTES));

/// How many chunks a payload of `payload_bytes` bytes has; the last one may be shorter. No payload, no chunk.
#[must_use]
pub const fn chunk_count(payload_bytes: usize) -> usize {
    payload_bytes.div_ceil(CHUNK_BYTES)
}

/// Where in its record a payload of `payload_bytes` bytes begins, in bytes.
#[must_use]
pub const fn payload_offset(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + CHUNK_CHECKSUM_BYTES * chunk_count(payload_bytes))
        .next_multiple_of(PAYLOAD_ALIGNMENT_BYTES)
}

/// How many units a record with a payload of `payload_bytes` bytes has, its header included.
///
/// # Panics
///
/// Where `payload_bytes` is more than [`PAYLOAD_BYTES_MAX`].
#[must_use]
pub const fn record_units(payload_bytes: usize) -> u32 {
    assert!(payload_bytes <= PAYLOAD_BYTES_MAX, "a payload has at most 16 MiB");
    to_u32((payload_offset(payload_bytes) + payload_bytes).div_ceil(UNIT_BYTES))
}

/// A length that is known to fit. `u32::try_from` is no const function.
#[expect(clippy::cast_possible_truncation, reason = "asserted on the line before")]
pub(crate) const fn to_u32(length: usize) -> u32 {
    assert!(length <= u32::MAX as usize);
    length as u32
}
