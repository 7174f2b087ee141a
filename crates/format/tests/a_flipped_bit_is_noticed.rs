//! Whichever single bit of a structure changes, its reader refuses it.

mod common;

use imbrex_format::{
    Footer, FormatError, Key, Label, RecordHeader, RecordKind, Trailer, UNIT_BYTES, ZoneHeader,
    check_payload, decode_record_header, payload_offset,
};

/// The bits of `bytes` whose change `accepts` does not notice.
fn unnoticed(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    assert!(accepts(bytes), "the bytes have to be right at first");
    let mut flipped = bytes.to_vec();
    let mut unnoticed = Vec::new();
    for bit in 0..8 * bytes.len() {
        flipped[bit / 8] ^= 1 << (bit % 8);
        if accepts(&flipped) {
            unnoticed.push(bit);
        }
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    unnoticed
}

#[test]
fn in_a_label() {
    assert_eq!(unnoticed(&common::encoded_label(), |bytes| Label::decode(bytes).is_ok()), []);
}

#[test]
fn in_a_zone_header() {
    let label = common::label();
    let accepts = |bytes: &[u8]| ZoneHeader::decode(bytes, &label, common::ZONE).is_ok();
    assert_eq!(unnoticed(&common::encoded_zone_header(), accepts), []);
}

#[test]
fn in_the_header_the_table_and_the_payload_of_a_record_of_each_kind() {
    let block = RecordHeader { key: Key([7; 32]), ..common::header(RecordKind::Block, 9, 1000, 3000) };
    let mut records = common::records();
    records.retain(|(_, _, payload)| payload.len() < UNIT_BYTES);
    records.push(("block of 3000 bytes", block, (0..3000u32).map(|index| (index % 251) as u8).collect()));
    let scope = common::scope();
    for (name, header, payload) in records {
        // What follows the payload in its last unit is read by nobody.
        let end = payload_offset(payload.len()) + payload.len();
        let record = common::encode_record(&header, &payload, &scope);
        let accepts = |bytes: &[u8]| {
            decode_record_header(bytes, &scope, header.unit_offset)
                .and_then(|header| check_payload(bytes, &header, 0..payload.len()))
                .is_ok()
        };
        assert_eq!(unnoticed(&record[..end], accepts), [], "{name}");
    }
}

#[test]
fn in_a_table_of_chunk_checksums_by_the_header_alone() {
    let scope = common::scope();
    let header = common::header(RecordKind::Block, 9, 1000, 3 * 65_536);
    let record = common::encode_record(&header, &[1; 3 * 65_536], &scope);
    let accepts = |bytes: &[u8]| decode_record_header(bytes, &scope, 9).is_ok();
    assert_eq!(unnoticed(&record[..payload_offset(3 * 65_536)], accepts), []);
}

#[test]
fn in_a_chunk_which_is_named_and_the_others_stay_readable() {
    let scope = common::scope();
    let payload_bytes = 3 * 65_536 + 5;
    let header = common::header(RecordKind::Block, 9, 1000, payload_bytes);
    let mut record = common::encode_record(&header, &vec![1; payload_bytes], &scope);
    for (chunk, byte) in [(0, 0), (0, 65_535), (1, 65_536), (2, 150_000), (3, payload_bytes - 1)] {
        let at = payload_offset(payload_bytes) + byte;
        record[at] ^= 0x10;
        assert_eq!(check_payload(&record, &header, 0..payload_bytes), Err(FormatError::Payload { chunk }));
        assert_eq!(check_payload(&record, &header, byte..byte + 1), Err(FormatError::Payload { chunk }));
        let other = (chunk + 1) % 4 * 65_536;
        assert_eq!(check_payload(&record, &header, other..other + 1), Ok(()));
        record[at] ^= 0x10;
    }
    assert_eq!(check_payload(&record, &header, 0..payload_bytes), Ok(()));
}

#[test]
fn in_a_footer_be_it_in_its_table_its_gap_or_its_trailer() {
    let label = common::label();
    let accepts = |bytes: &[u8]| {
        Trailer::decode(&bytes[bytes.len() - UNIT_BYTES..], &label, common::ZONE)
            .and_then(|trailer| Footer::decode_table(bytes, &trailer, &label))
            .is_ok()
    };
    assert_eq!(unnoticed(&common::encode_footer(&common::entries()), accepts), []);
}
