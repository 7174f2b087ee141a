//! Names and numbers as texts: keys, drive ids, cursors, sizes, and the query of a listing. Each input is given to each of
//! their decoders.

use imbrex_drive::cursor::{Place, decode_cursor, encode_cursor};
use imbrex_drive::fuzzing::{list_query, parse_key};
use imbrex_drive::size::parse_size_bytes;
use imbrex_engine::Cursor;
use imbrex_format::{DriveId, Key};

use crate::unit::{u32_at, u64_at};

/// The id of the drive whose cursors are read.
pub(crate) const DRIVE: [u8; 16] = [7; 16];

/// The input is a text.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let key = text.parse::<Key>();
    assert_eq!(parse_key(text).ok(), key.ok());
    if let Ok(key) = key {
        assert_eq!(key.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(id) = text.parse::<DriveId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Some(place) = decode_cursor(text, &DRIVE) {
        assert_eq!(encode_cursor(place, &DRIVE), text.to_ascii_lowercase());
    }
    if let Some(bytes) = input.first_chunk::<16>() {
        // Half of the places are in a listing of one zone, and half go on in an open zone.
        let open = (bytes[0] & 1 == 1).then_some(bytes[0] >> 5);
        let zone = (bytes[0] & 2 == 2).then(|| u32_at(bytes, 4) >> 1);
        let cursor = Cursor { sequence: u64_at(bytes, 8), unit_offset: u32_at(bytes, 1), open };
        let place = Place { zone, cursor };
        assert_eq!(decode_cursor(&encode_cursor(place, &DRIVE), &DRIVE), Some(place));
    }
    if let Ok(bytes) = parse_size_bytes(text) {
        assert_eq!(parse_size_bytes(&bytes.to_string()), Ok(bytes));
    }
    if let Some((_, limit)) = list_query(text) {
        assert!((1..=10_000).contains(&limit));
    }
}
