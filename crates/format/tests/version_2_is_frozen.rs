//! Every drive that version 2 ever formatted can be read: its structures are these bytes and no others.
//!
//! The fixtures were made by a writer in another language, from FORMAT.md. They never change: another format is
//! another version, with fixtures of its own beside these.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails its test")]

mod common;

use imbrex_format::{
    CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatches, CheckpointTable, Commit, Footer,
    IndexEntry, Label, RecordHeader, Trailer, UNIT_BYTES, VoidRange, ZoneCell, ZoneHeader, check_payload,
    decode_record_header, decode_tombstones, index_bucket_count, index_hash, other_bucket, payload,
};

/// The bytes of a fixture: lines of an offset and 32 bytes, all other bytes zero.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/version_2_{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (length, lines) = text.split_once('\n').unwrap();
    let mut bytes = vec![0; length.split(' ').nth(1).unwrap().parse().unwrap()];
    for line in lines.lines() {
        let (offset, digits) = line.split_once(": ").unwrap();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        for (index, pair) in digits.as_bytes().chunks_exact(2).enumerate() {
            let pair = std::str::from_utf8(pair).unwrap();
            bytes[offset + index] = u8::from_str_radix(pair, 16).unwrap();
        }
    }
    bytes
}

/// As `assert_eq`, but it names the first byte that differs rather than print them all.
fn assert_same_bytes(name: &str, written: &[u8], frozen: &[u8]) {
    assert_eq!(written.len(), frozen.len(), "length of {name}");
    let differing = written.iter().zip(frozen).position(|(one, other)| one != other);
    assert_eq!(differing, None, "first byte of {name} that is written otherwise");
}

#[test]
fn a_label_is_read_and_written_as_it_was() {
    let frozen = fixture("label");
    assert_eq!(Label::decode(&frozen), Ok(common::label()));
    assert_same_bytes("the label", &common::encoded_label(), &frozen);
}

#[test]
fn a_zone_header_is_read_and_written_as_it_was() {
    let frozen = fixture("zone_header");
    assert_eq!(ZoneHeader::decode(&frozen, &common::label(), common::ZONE), Ok(common::zone_header()));
    assert_same_bytes("the zone header", &common::encoded_zone_header(), &frozen);
    assert_eq!(ZoneHeader::recover_label(&frozen, common::ZONE), Some(common::label()));
}

#[test]
fn a_record_of_each_kind_is_read_and_written_as_it_was() {
    for (name, header, bytes) in common::records() {
        let frozen = fixture(name);
        assert_eq!(
            decode_record_header(&frozen, &common::scope(), header.unit_offset),
            Ok(header.clone()),
            "{name}"
        );
        assert_eq!(check_payload(&frozen, &header, 0..bytes.len()), Ok(()), "{name}");
        assert_eq!(payload(&frozen, &header), bytes, "{name}");
        assert_same_bytes(name, &common::encode_record(&header, &bytes, &common::scope()), &frozen);
    }
}

#[test]
fn what_a_record_holds_is_read_as_it_was() {
    let frozen = |name: &str, header: &RecordHeader| payload(&fixture(name), header).to_vec();
    for (name, header, _) in common::records() {
        match name {
            "tombstones" => assert_eq!(decode_tombstones(&frozen(name, &header)), Ok(common::tombstones())),
            "commit" => assert_eq!(Commit::decode(&frozen(name, &header)), Ok(common::commit())),
            "void" => assert_eq!(VoidRange::decode(&frozen(name, &header)), Ok(common::void())),
            _ => {}
        }
    }
}

#[test]
fn a_checkpoint_is_read_as_it_was() {
    let frozen = |name: &str| {
        let (_, header, _) = common::records().into_iter().find(|(other, ..)| *other == name).unwrap();
        payload(&fixture(name), &header).to_vec()
    };
    assert_eq!(CheckpointBegin::decode(&frozen("checkpoint_begin")), Ok(common::checkpoint_begin()));
    assert_eq!(CheckpointEnd::decode(&frozen("checkpoint_end")), Ok(common::checkpoint_end()));
    assert_eq!(CheckpointTable::decode(&frozen("checkpoint_table")), Ok(common::checkpoint_table()));
    let bytes = frozen("checkpoint_cells");
    let cells = CheckpointCells::decode(&bytes).unwrap();
    assert_eq!((cells.number, cells.first_cell, cells.cells), (4, common::FIRST_CELL, &common::cells()[..]));
    assert_eq!(IndexEntry::of_slot(&cells.cells[0], 1), common::index_entry());
    assert_eq!(ZoneCell::decode(&cells.cells[1]), Ok(common::zone_cell()));
    let bytes = frozen("checkpoint_patches");
    let patches = CheckpointPatches::decode(&bytes).unwrap();
    assert_eq!((patches.number, patches.iter().collect::<Vec<_>>()), (4, common::patches()));
}

#[test]
fn a_key_belongs_where_it_did() {
    let buckets = index_bucket_count(common::label().blocks_max);
    assert_eq!(buckets, 181_162);
    let (bucket, tag) = index_hash(&common::label().secret, &common::key(), buckets);
    assert_eq!((bucket, tag, other_bucket(bucket, tag, buckets)), (112_982, 0x1d8e_4338, 6829));
}

#[test]
fn a_footer_is_read_and_written_as_it_was() {
    let frozen = fixture("footer");
    let last_unit = &frozen[frozen.len() - UNIT_BYTES..];
    let trailer = Trailer::decode(last_unit, &common::label(), common::ZONE).unwrap();
    assert_eq!((trailer.incarnation, trailer.first_sequence), (42, 42));
    assert_eq!((trailer.last_sequence, trailer.last_group), (1010, 77));
    assert_eq!((trailer.entry_count, trailer.table_first_unit), (3, 65_535));
    assert_eq!(Footer::decode_table(&frozen, &trailer, &common::label()), Ok(common::entries()));
    assert_same_bytes("the footer", &common::encode_footer(&common::entries()), &frozen);
}
