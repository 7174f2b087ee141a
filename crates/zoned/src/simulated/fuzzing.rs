//! With the feature `fuzzing`: the decoders of a drive's file, each with what its encoder makes of what it read.

use crate::simulated::{SimulatedGeometry, file_header, zone_entry};

/// The length of the header, in bytes.
pub const HEADER_BYTES: usize = file_header::HEADER_BYTES;

/// The length of a zone's entry, in bytes.
pub const ENTRY_BYTES: usize = zone_entry::ENTRY_BYTES;

/// Reads the header of a drive's file, and writes it again.
///
/// # Errors
///
/// One sentence that says what is wrong with it.
pub fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<(SimulatedGeometry, [u8; HEADER_BYTES]), String> {
    let geometry = file_header::decode(bytes)?;
    let again = file_header::encode(&geometry);
    Ok((geometry, again))
}

/// Reads the entry of `zone` in the table of a drive's file, and writes it again; `None` where it is none.
#[must_use]
pub fn decode_entry(
    bytes: &[u8; ENTRY_BYTES],
    zone: u32,
    geometry: &SimulatedGeometry,
) -> Option<[u8; ENTRY_BYTES]> {
    zone_entry::decode(bytes, zone, geometry).map(|state| zone_entry::encode(zone, state))
}

/// The header of a drive's file.
#[must_use]
pub fn encode_header(geometry: &SimulatedGeometry) -> [u8; HEADER_BYTES] {
    file_header::encode(geometry)
}

/// The entry of `zone` in the file of a new drive.
#[must_use]
pub fn encode_entry(zone: u32, geometry: &SimulatedGeometry) -> [u8; ENTRY_BYTES] {
    zone_entry::encode(zone, zone_entry::first_state(geometry, zone))
}
