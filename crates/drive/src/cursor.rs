//! Cursors of listings: a place in the drive's order, opaque to clients and checked when it comes back.
//!
//! A cursor is 24 bytes as 48 hex digits, numbers little-endian:
//!
//! | byte | what |
//! |---|---|
//! | 0 | version |
//! | 1 | the open zone that is to go on, 255 for none |
//! | 2..4 | zero |
//! | 4..8 | the zone that alone is listed, 4,294,967,295 for all |
//! | 8..16 | sequence |
//! | 16..20 | unit |
//! | 20..24 | CRC-32C of the drive's id and of the bytes before |
//!
//! The checksum covers the drive's id, so that a cursor of another drive, or of this one before it was formatted anew,
//! is refused instead of leading somewhere.

use imbrex_engine::Cursor;

/// The version of the layout above. Version 1 named a zone where there is a sequence now.
const VERSION: u8 = 2;
/// Bytes of a cursor before it is written as hex.
const CURSOR_BYTES: usize = 24;
/// Bytes under the checksum.
const CHECKED_BYTES: usize = 20;
/// Stands for no open zone.
const NO_OPEN: u8 = u8::MAX;
/// Stands for all zones.
const ALL_ZONES: u32 = u32::MAX;

/// Where a listing goes on, and which listing it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The zone whose blocks are listed; `None`: the drive's.
    pub zone: Option<u32>,
    /// Where to go on. In one zone's listing only the unit counts.
    pub cursor: Cursor,
}

/// Writes `place` for the drive with the id `drive_id`.
#[must_use]
pub fn encode_cursor(place: Place, drive_id: &[u8; 16]) -> String {
    let mut bytes = [0_u8; CURSOR_BYTES];
    bytes[0] = VERSION;
    bytes[1] = place.cursor.open.unwrap_or(NO_OPEN);
    bytes[4..8].copy_from_slice(&place.zone.unwrap_or(ALL_ZONES).to_le_bytes());
    bytes[8..16].copy_from_slice(&place.cursor.sequence.to_le_bytes());
    bytes[16..20].copy_from_slice(&place.cursor.unit_offset.to_le_bytes());
    let check = checksum(&bytes[..CHECKED_BYTES], drive_id);
    bytes[CHECKED_BYTES..].copy_from_slice(&check.to_le_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a cursor that [`encode_cursor`] wrote for the same drive; `None` where it is anything else.
#[must_use]
pub fn decode_cursor(text: &str, drive_id: &[u8; 16]) -> Option<Place> {
    let text = text.as_bytes();
    if text.len() != 2 * CURSOR_BYTES || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0_u8; CURSOR_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let known = bytes[0] == VERSION && bytes[2..4] == [0, 0];
    if !known || word(CHECKED_BYTES)? != checksum(&bytes[..CHECKED_BYTES], drive_id) {
        return None;
    }
    let zone = word(4)?;
    Some(Place {
        zone: (zone != ALL_ZONES).then_some(zone),
        cursor: Cursor {
            sequence: u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?),
            unit_offset: word(16)?,
            open: (bytes[1] != NO_OPEN).then_some(bytes[1]),
        },
    })
}

fn checksum(bytes: &[u8], drive_id: &[u8; 16]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(drive_id), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVE: [u8; 16] = [7; 16];

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let far = Cursor { sequence: u64::MAX - 1, unit_offset: 65_535, open: Some(2) };
        for cursor in [Cursor::default(), far] {
            for zone in [None, Some(0), Some(74_000)] {
                let place = Place { zone, cursor };
                assert_eq!(decode_cursor(&encode_cursor(place, &DRIVE), &DRIVE), Some(place));
            }
        }
    }

    #[test]
    fn a_cursor_that_was_changed_or_is_of_another_drive_is_refused() {
        let cursor = Cursor { sequence: 3, unit_offset: 9, open: Some(1) };
        let text = encode_cursor(Place { zone: Some(5), cursor }, &DRIVE);
        assert_eq!(decode_cursor(&text, &[8; 16]), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(decode_cursor(std::str::from_utf8(&changed).unwrap(), &DRIVE), None, "{at}");
        }
        for wrong in ["", "0", "zz", &text[1..], &format!("{text}00"), &"é".repeat(24)] {
            assert_eq!(decode_cursor(wrong, &DRIVE), None, "{wrong}");
        }
    }
}
