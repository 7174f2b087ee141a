//! Whatever stands on a drive, a decoder returns: random bytes, samples with bytes changed, and the same with checksums
//! that are right again, so that what lies behind the checksum is reached.

mod common;

use common::{ZONE, label, reseal, salt, scope};
use imbrex_format::{
    CELL_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatches, CheckpointTable, Commit,
    Footer, IndexEntry, Label, Trailer, UNIT_BYTES, VoidRange, ZoneCell, ZoneHeader, check_payload,
    decode_record_header, decode_tombstones, payload,
};
use proptest::prelude::*;

/// Gives `bytes` to every decoder. The result does not matter, only that there is one.
fn decode_as_everything(bytes: &[u8], unit_offset: u32) {
    let _ = Label::decode(bytes);
    let _ = Label::is_blank(bytes);
    let _ = ZoneHeader::decode(bytes, &label(), ZONE);
    let _ = ZoneHeader::recover_label(bytes, ZONE);
    decode_as_payload(bytes);
    if let Ok(header) = decode_record_header(bytes, &scope(), unit_offset) {
        let whole = 0..header.payload_bytes as usize;
        let _ = check_payload(bytes, &header, std::ops::Range { start: 5, end: 3 });
        let _ = check_payload(bytes, &header, 0..usize::MAX);
        if check_payload(bytes, &header, whole).is_ok() && header.payload_bytes > 0 {
            let held = payload(bytes, &header);
            decode_as_payload(held);
        }
    }
    for trailer in [Trailer::decode(bytes, &label(), ZONE), decode_last_unit(bytes)].into_iter().flatten() {
        let _ = Footer::decode_table(bytes, &trailer, &label());
        let _ = Footer::decode_table(&[], &trailer, &label());
    }
}

fn decode_as_payload(bytes: &[u8]) {
    let _ = (Commit::decode(bytes), VoidRange::decode(bytes), decode_tombstones(bytes));
    let _ = CheckpointBegin::decode(bytes).map(|begin| begin.cell_count());
    let _ = CheckpointEnd::decode(bytes);
    let _ = CheckpointTable::decode(bytes);
    for cell in CheckpointCells::decode(bytes).iter().flat_map(|cells| cells.cells) {
        decode_cell(cell);
    }
    for patch in CheckpointPatches::decode(bytes).iter().flat_map(CheckpointPatches::iter) {
        decode_cell(&patch.bytes);
    }
}

fn decode_cell(cell: &[u8; CELL_BYTES]) {
    let _ = ZoneCell::decode(cell);
    for slot in 0..6 {
        let entry = IndexEntry::of_slot(cell, slot);
        assert_eq!(IndexEntry::decode(&entry.encode()), entry);
    }
}

fn decode_last_unit(bytes: &[u8]) -> Result<Trailer, imbrex_format::FormatError> {
    Trailer::decode(&bytes[bytes.len().saturating_sub(UNIT_BYTES)..], &label(), ZONE)
}

/// A structure, and how its checksum is put right.
struct Sample {
    bytes: Vec<u8>,
    unit_offset: u32,
    checksum_at: usize,
    covered: std::ops::Range<usize>,
    seed: u32,
}

fn sample(
    bytes: Vec<u8>,
    unit_offset: u32,
    checksum_at: usize,
    covered: std::ops::Range<usize>,
    seed: u32,
) -> Sample {
    Sample { bytes, unit_offset, checksum_at, covered, seed }
}

fn samples() -> Vec<Sample> {
    let footer = common::encode_footer(&common::entries());
    let mut samples = vec![
        sample(common::encoded_label(), 1, 12, 0..UNIT_BYTES, 0),
        sample(common::encoded_zone_header(), 1, 12, 0..UNIT_BYTES, salt()),
        sample(footer, 1, UNIT_BYTES - 128 + 12, UNIT_BYTES - 128..UNIT_BYTES, salt()),
    ];
    for (_, header, payload) in common::records() {
        let record = common::encode_record(&header, &payload, &scope());
        let covered = 128 + 4 * imbrex_format::chunk_count(payload.len());
        samples.push(sample(record, header.unit_offset, 4, 0..covered, salt()));
    }
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn random_bytes(
        magic in prop::sample::select(vec![&b""[..], b"IMBREXLB", b"IMBREXZN", b"IBRK", b"IMBREXFT"]),
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        length in 0..3 * UNIT_BYTES,
    ) {
        bytes.resize(length, 0);
        let at = magic.len().min(length);
        bytes[..at].copy_from_slice(&magic[..at]);
        decode_as_everything(&bytes, 1);
    }

    #[test]
    fn samples_with_bytes_changed(
        sample in 0..samples().len(),
        changes in prop::collection::vec((0..256usize, any::<u8>()), 1..8),
        from_the_end in any::<bool>(),
        checksum_is_right in any::<bool>(),
        cut in prop::option::of(0..UNIT_BYTES),
    ) {
        let Sample { mut bytes, unit_offset, checksum_at, covered, seed } = samples().swap_remove(sample);
        let length = bytes.len();
        for (place, byte) in changes {
            let place = if from_the_end { length - 1 - place % 128 } else { place };
            bytes[place] = byte;
        }
        if checksum_is_right {
            reseal(&mut bytes, checksum_at, covered, seed);
        }
        let end = cut.map_or(length, |cut| length - cut);
        decode_as_everything(&bytes[..end], unit_offset);
    }

    #[test]
    fn footers_whose_trailer_says_anything_with_a_right_checksum(
        fields in any::<(u64, u64, u64, u32, u32, u32)>(),
        small_count in prop::option::of(0..70u32),
    ) {
        let (first, last, group, count, table_first_unit, table_checksum) = fields;
        let mut bytes = common::encode_footer(&common::entries());
        let begin = UNIT_BYTES - 128;
        bytes[begin + 48..begin + 56].copy_from_slice(&first.to_le_bytes());
        bytes[begin + 56..begin + 64].copy_from_slice(&last.to_le_bytes());
        bytes[begin + 64..begin + 72].copy_from_slice(&group.to_le_bytes());
        bytes[begin + 72..begin + 76].copy_from_slice(&small_count.unwrap_or(count).to_le_bytes());
        bytes[begin + 76..begin + 80].copy_from_slice(&table_first_unit.to_le_bytes());
        bytes[begin + 80..begin + 84].copy_from_slice(&table_checksum.to_le_bytes());
        reseal(&mut bytes, begin + 12, begin..UNIT_BYTES, salt());
        decode_as_everything(&bytes, 1);
    }

    #[test]
    fn payloads_of_the_right_length_that_say_anything(
        bytes in prop::collection::vec(any::<u8>(), 512),
        count in 0..12u32,
        length in prop::sample::select(vec![
            0, VoidRange::BYTES, 64, 128, Commit::HEAD_BYTES, CheckpointEnd::BYTES, 64 + 72, 64 + 2 * 72,
            Commit::payload_bytes(1), Commit::payload_bytes(2), 512,
        ]),
        count_at in prop::sample::select(vec![8, 16, 20, 72]),
        reserved_is_zero in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if reserved_is_zero {
            bytes[24..152].fill(0);
        }
        bytes[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
        decode_as_everything(&bytes[..length], 1);
    }

    #[test]
    fn tables_whose_entries_say_anything_with_right_checksums(entries in prop::collection::vec(any::<[u8; 24]>(), 1..4)) {
        let mut bytes = common::encode_footer(&common::entries());
        for (index, fields) in entries.iter().enumerate() {
            bytes[index * 64 + 36..index * 64 + 60].copy_from_slice(fields);
        }
        let begin = UNIT_BYTES - 128;
        reseal_table(&mut bytes);
        reseal(&mut bytes, begin + 12, begin..UNIT_BYTES, salt());
        let trailer = decode_last_unit(&bytes).unwrap();
        prop_assert_ne!(Footer::decode_table(&bytes, &trailer, &label()), Err(imbrex_format::FormatError::Checksum));
    }
}

fn reseal_table(bytes: &mut [u8]) {
    let checksum = crc32c::crc32c_append(salt(), &bytes[..3 * 64]);
    let at = UNIT_BYTES - 128 + 80;
    bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
}
