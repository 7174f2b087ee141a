//! The header of a record, the table behind it and the payload.

use imbrex_format::{
    CHUNK_BYTES, Key, PAYLOAD_BYTES_MAX, RecordHeader, RecordKind, UNIT_BYTES, check_payload, chunk_count,
    claimed_incarnation, decode_record_header, payload, payload_offset, seal_record,
};

use crate::samples::{INCARNATION, reseal, salt, scope};
use crate::unit::{choices, u32_at, units_beginning_with};
use crate::{checkpoint, payloads};

/// Room for a payload of a little more than one chunk.
const UNIT_COUNT: usize = 18;

/// The choices: the header's checksum, the seal of its place, and the checksums of its chunks are right; the fourth: the
/// record has more than one unit.
pub fn run(input: &[u8]) {
    check(input, 1);
    let (choices, bytes) = choices(input);
    let mut record = units_beginning_with(bytes, if choices.made(3) { UNIT_COUNT } else { 1 });
    let unit_offset = u32_at(&record, 36);
    if choices.made(1) && unit_offset > 0 && unit_offset < u32::MAX {
        record[80..88].copy_from_slice(&place_seal(unit_offset));
    }
    let payload_bytes = u32_at(&record, 12) as usize;
    if payload_bytes <= PAYLOAD_BYTES_MAX {
        if choices.made(2) {
            fill_table(&mut record, payload_bytes);
        }
        if choices.made(0) {
            let covered = 128 + 4 * chunk_count(payload_bytes);
            reseal(&mut record, 4, 0..covered, salt());
        }
    }
    check(&record, unit_offset);
}

/// The seal of a place, as a record that is written there carries it.
fn place_seal(unit_offset: u32) -> [u8; 8] {
    let header = RecordHeader {
        kind: RecordKind::Padding,
        payload_bytes: 0,
        unit_offset,
        unit_count: 1,
        sequence: 0,
        birth: 0,
        key: Key([0; 32]),
    };
    let mut unit = [0; UNIT_BYTES];
    seal_record(&mut unit, &header, &scope());
    unit[80..88].try_into().expect("eight bytes")
}

/// Puts the right checksum of each chunk that is there into the table.
fn fill_table(record: &mut [u8], payload_bytes: usize) {
    let begin = payload_offset(payload_bytes);
    for chunk in 0..chunk_count(payload_bytes) {
        let from = begin + chunk * CHUNK_BYTES;
        let to = (from + CHUNK_BYTES).min(begin + payload_bytes);
        let Some(bytes) = record.get(from..to) else { return };
        let checksum = crc32c::crc32c(bytes);
        record[128 + 4 * chunk..][..4].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn check(bytes: &[u8], unit_offset: u32) {
    let claimed = claimed_incarnation(bytes);
    let Ok(header) = decode_record_header(bytes, &scope(), unit_offset) else { return };
    assert_eq!(claimed, Some(INCARNATION));
    assert_eq!(header.unit_offset, unit_offset);
    let payload_bytes = header.payload_bytes as usize;
    assert!(
        payload_bytes <= PAYLOAD_BYTES_MAX && header.unit_offset.checked_add(header.unit_count).is_some()
    );
    let head = &bytes[..payload_offset(payload_bytes)];
    let mut again = head.to_vec();
    again[..128].fill(0xff);
    again[128 + 4 * chunk_count(payload_bytes)..].fill(0);
    seal_record(&mut again, &header, &scope());
    assert_eq!(head, again);

    let whole = 0..payload_bytes;
    assert!(check_payload(bytes, &header, 0..payload_bytes + 1).is_err());
    let first_byte = check_payload(bytes, &header, 0..payload_bytes.min(1));
    if check_payload(bytes, &header, whole).is_ok() && bytes.len() >= head.len() + payload_bytes {
        assert!(first_byte.is_ok());
        let held = payload(bytes, &header);
        assert_eq!(held.len(), payload_bytes);
        payloads::run(held);
        checkpoint::run(held);
    }
}
