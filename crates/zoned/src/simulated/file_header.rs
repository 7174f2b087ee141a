//! The first unit of a drive file: what it is, and the drive's shape.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic `IMBREXSD` |
//! | 8..12 | version of the file's layout, 1 |
//! | 12..16 | CRC-32C of the whole header with this field zero |
//! | 16..20, 20..24 | logical block, write unit in bytes |
//! | 24..28, 28..32 | number of zones, of conventional zones |
//! | 32..40, 40..48 | zone size, zone capacity in bytes |
//! | 48..52, 52..56 | limit of open zones, of active zones; 0 is none |
//! | 56 | 1 where the medium rotates |
//! | 64..128 | serial, padded with zeros |
//!
//! The rest is zero; integers are little-endian. The zone table follows at byte 4,096, and the data at the next
//! multiple of 1 MiB. Magic and version stay where they are in every version.

use crate::simulated::geometry::{SERIAL_BYTES_MAX, SimulatedGeometry};
use crate::simulated::zone_entry::ENTRY_BYTES;

/// The size of the header, and the place of the zone table.
pub(crate) const HEADER_BYTES: usize = 4096;
/// What the data's place in the file is a multiple of, so that units stay whole pages.
const DATA_ALIGNMENT_BYTES: u64 = 1 << 20;
const MAGIC: [u8; 8] = *b"IMBREXSD";
const VERSION: u32 = 1;

/// Where the data begins in the file of a drive with `zone_count` zones.
pub(crate) fn data_offset_bytes(zone_count: u32) -> u64 {
    let table_end = HEADER_BYTES as u64 + u64::from(zone_count) * ENTRY_BYTES as u64;
    table_end.next_multiple_of(DATA_ALIGNMENT_BYTES)
}

/// Where the entry of `zone` stands in the file.
pub(crate) fn entry_offset_bytes(zone: u32) -> u64 {
    HEADER_BYTES as u64 + u64::from(zone) * ENTRY_BYTES as u64
}

/// The length of the whole file.
pub(crate) fn file_bytes(geometry: &SimulatedGeometry) -> u64 {
    data_offset_bytes(geometry.zone_count) + geometry.device_bytes()
}

/// The header of a drive of this shape, which [`SimulatedGeometry::check`] has passed.
pub(crate) fn encode(geometry: &SimulatedGeometry) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let words = [
        (16, geometry.logical_block_bytes),
        (20, geometry.write_unit_bytes),
        (24, geometry.zone_count),
        (28, geometry.conventional_zones),
        (48, geometry.zone_open_max.unwrap_or(0)),
        (52, geometry.zone_active_max.unwrap_or(0)),
    ];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes[32..40].copy_from_slice(&geometry.zone_size_bytes.to_le_bytes());
    bytes[40..48].copy_from_slice(&geometry.zone_capacity_bytes.to_le_bytes());
    bytes[56] = u8::from(geometry.rotational);
    let serial = geometry.serial.as_deref().unwrap_or_default().as_bytes();
    bytes[64..64 + serial.len()].copy_from_slice(serial);
    let checksum = crc32c::crc32c(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The shape of the drive whose file begins with `bytes`; otherwise one sentence that says what is wrong.
pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<SimulatedGeometry, String> {
    if bytes[..8] != MAGIC {
        return Err("it does not begin as one".to_owned());
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    if word(8) != VERSION {
        return Err(format!("its layout has version {}, and this program knows version {VERSION}", word(8)));
    }
    let mut unsigned = *bytes;
    unsigned[12..16].fill(0);
    if crc32c::crc32c(&unsigned) != word(12) {
        return Err("the checksum of its header is wrong: the file is damaged".to_owned());
    }
    let limit = |at: usize| Some(word(at)).filter(|&limit| limit > 0);
    let serial = bytes[64..64 + SERIAL_BYTES_MAX].split(|&byte| byte == 0).next().unwrap_or_default();
    let geometry = SimulatedGeometry {
        zone_count: word(24),
        zone_size_bytes: long(32),
        zone_capacity_bytes: long(40),
        conventional_zones: word(28),
        logical_block_bytes: word(16),
        write_unit_bytes: word(20),
        zone_open_max: limit(48),
        zone_active_max: limit(52),
        rotational: bytes[56] == 1,
        serial: Some(String::from_utf8_lossy(serial).into_owned()),
    };
    geometry.check().map_err(|sentence| format!("its header makes no sense: {sentence}"))?;
    if encode(&geometry) != *bytes {
        return Err("its header says something that no header of this version says".to_owned());
    }
    Ok(geometry)
}
