//! Cursors of listings: a place in the drive's order, opaque to clients and checked when it comes back.
//!
//! A cursor is 16 bytes as 32 hex digits: version, three zero bytes, zone, unit and a checksum, numbers
//! little-endian. The checksum also covers the drive's id, so that a cursor of another drive, or of this one
//! before it was formatted anew, is refused instead of leading somewhere.

use imbrex_engine::Cursor;

/// The version of the layout above.
const VERSION: u8 = 1;
/// Bytes of a cursor before it is written as hex.
const CURSOR_BYTES: usize = 16;

/// Writes `cursor` for the drive with the id `drive_id`.
#[must_use]
pub fn encode_cursor(cursor: Cursor, drive_id: &[u8; 16]) -> String {
    let mut bytes = [0_u8; CURSOR_BYTES];
    bytes[0] = VERSION;
    bytes[4..8].copy_from_slice(&cursor.zone.to_le_bytes());
    bytes[8..12].copy_from_slice(&cursor.unit_offset.to_le_bytes());
    let check = checksum(&bytes[..12], drive_id);
    bytes[12..].copy_from_slice(&check.to_le_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a cursor that [`encode_cursor`] wrote for the same drive; `None` where it is anything else.
#[must_use]
pub fn decode_cursor(text: &str, drive_id: &[u8; 16]) -> Option<Cursor> {
    let text = text.as_bytes();
    if text.len() != 2 * CURSOR_BYTES || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0_u8; CURSOR_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let genuine = word(12)? == checksum(&bytes[..12], drive_id) && word(0)? == u32::from(VERSION);
    genuine.then_some(Cursor { zone: word(4)?, unit_offset: word(8)? })
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
        for cursor in [Cursor::default(), Cursor { zone: 74_000, unit_offset: 65_535 }] {
            assert_eq!(decode_cursor(&encode_cursor(cursor, &DRIVE), &DRIVE), Some(cursor));
        }
    }

    #[test]
    fn a_cursor_that_was_changed_or_is_of_another_drive_is_refused() {
        let text = encode_cursor(Cursor { zone: 3, unit_offset: 9 }, &DRIVE);
        assert_eq!(decode_cursor(&text, &[8; 16]), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(decode_cursor(std::str::from_utf8(&changed).unwrap(), &DRIVE), None, "{at}");
        }
        for wrong in ["", "0", "zz", &text[1..], &format!("{text}00"), "é234567890123456789012345678901"] {
            assert_eq!(decode_cursor(wrong, &DRIVE), None, "{wrong}");
        }
    }
}
