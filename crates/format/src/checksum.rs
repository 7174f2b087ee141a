//! CRC-32C (Castagnoli), as RFC 3720 gives it in appendix B.4, of bytes that hold the checksum themselves.

use crate::unit::UNIT_BYTES;

/// The length of a checksum, in bytes.
const CHECKSUM_BYTES: usize = 4;

/// The checksum of `bytes`, begun with `seed`, as if the four bytes at `field_offset`, where the checksum itself
/// stands, were zero.
pub(crate) fn checksum_without_field(seed: u32, bytes: &[u8], field_offset: usize) -> u32 {
    let (before, rest) = bytes.split_at(field_offset);
    let begun = crc32c::crc32c_append(seed, before);
    let stepped_over = crc32c::crc32c_append(begun, &[0; CHECKSUM_BYTES]);
    crc32c::crc32c_append(stepped_over, &rest[CHECKSUM_BYTES..])
}

/// How much of a payload is checksummed at once where it has just been read, in bytes. `crc32c` 0.6 goes over 24 KiB or
/// more as three streams 8 KiB apart, and over less as three 256 bytes apart, 768 bytes at a time. The first is faster for
/// what is in the processor's cache; the second goes through memory in order, which the processor fetches ahead.
const IN_ORDER_BYTES: usize = 24 * 768;

/// Goes on with a checksum over `bytes`, which are expected not to be in the processor's cache.
pub(crate) fn checksum_from_memory(begun: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(IN_ORDER_BYTES).fold(begun, crc32c::crc32c_append)
}

/// Whether there are only zeros: what reserved bytes have to be.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The first unit of `out`, which has to be there.
///
/// # Panics
///
/// Where `out` is shorter.
pub(crate) fn first_unit(out: &mut [u8]) -> &mut [u8] {
    assert!(out.len() >= UNIT_BYTES, "a structure of one unit was to be written into {} bytes", out.len());
    &mut out[..UNIT_BYTES]
}
