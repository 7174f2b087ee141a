//! Whatever a structure says, reading it gives what was written.

mod common;

use common::{CAPACITY_UNITS, ZONE, block_entry, encode_footer, encode_record, label, scope};
use imbrex_format::{
    Commit, CommitZone, DriveId, Footer, FormatError, Key, KeyError, Label, PayloadError, PayloadWriter,
    RecordHeader, RecordKind, TableEntry, TombstoneEntry, Trailer, UNIT_BYTES, VoidRange, ZoneHeader,
    check_payload, decode_record_header, decode_tombstones, footer_units, payload, payload_offset,
    record_units, seal_record,
};
use proptest::prelude::*;

const CHUNK: usize = 65_536;

fn patterned(length: usize) -> Vec<u8> {
    (0..=252u8).map(|byte| byte.wrapping_mul(31)).cycle().take(length).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_label(
        ids in any::<([u8; 16], [u8; 16])>(),
        numbers in any::<(u64, u64, u64)>(),
        zone_units in 1u64..=u64::from(u32::MAX),
        zone_count in 2u32..,
        payload_bytes_max in 0u32..=16 << 20,
        serial in "[ -~]{0,64}",
    ) {
        let (generation, formatted_at_unix_s, blocks_max) = numbers;
        let label = Label {
            drive_id: DriveId(ids.0),
            secret: ids.1,
            generation,
            formatted_at_unix_s,
            zone_count,
            zone_size_bytes: zone_units * 4096,
            payload_bytes_max,
            blocks_max,
            label_zones: [zone_count - 1, 0],
            device_serial: serial,
            ..label()
        };
        let mut unit = [0; UNIT_BYTES];
        label.encode(&mut unit);
        prop_assert_eq!(Label::decode(&unit), Ok(label));
    }

    #[test]
    fn a_zone_header(numbers in any::<(u32, u16, u64, u64, u64)>()) {
        let (zone, stream, incarnation, first_sequence, opened_at_unix_s) = numbers;
        let header = ZoneHeader { zone, stream, incarnation, first_sequence, opened_at_unix_s };
        let mut unit = [0; UNIT_BYTES];
        header.encode(&label(), &mut unit);
        prop_assert_eq!(ZoneHeader::decode(&unit, &label(), zone), Ok(header));
    }

    #[test]
    fn a_block_in_whatever_pieces_it_comes(
        payload_bytes in 0..200_000usize,
        cuts in proptest::collection::vec(0..200_000usize, 0..6),
        place in (1..1u32 << 30, any::<u64>(), any::<u64>(), any::<[u8; 32]>()),
    ) {
        let (unit_offset, sequence, birth, key) = place;
        let header = RecordHeader {
            birth,
            key: Key(key),
            ..common::header(RecordKind::Block, unit_offset, sequence, payload_bytes)
        };
        let bytes = patterned(payload_bytes);
        let mut buffer = vec![0xff; record_units(payload_bytes) as usize * UNIT_BYTES];
        let mut writer = PayloadWriter::new(payload_bytes);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(payload_bytes)).collect();
        cuts.push(payload_bytes);
        cuts.sort_unstable();
        let mut begin = 0;
        for cut in cuts {
            writer.write(&mut buffer, &bytes[begin..cut]).unwrap();
            begin = cut;
        }
        writer.finish(&mut buffer).unwrap();
        seal_record(&mut buffer, &header, &scope());
        prop_assert_eq!(&buffer, &encode_record(&header, &bytes, &scope()));
        prop_assert_eq!(decode_record_header(&buffer, &scope(), unit_offset), Ok(header.clone()));
        prop_assert_eq!(check_payload(&buffer, &header, 0..payload_bytes), Ok(()));
        prop_assert_eq!(payload(&buffer, &header), bytes);
    }

    #[test]
    fn a_commit(
        numbers in any::<(u64, u64, u32)>(),
        open in proptest::collection::vec(any::<(u32, u32, u64)>(), 0..=8),
    ) {
        let open = open.into_iter().map(|(zone, good_units, incarnation)| CommitZone { zone, good_units, incarnation });
        let (group, first_sequence, record_count) = numbers;
        let commit = Commit { group, first_sequence, record_count, open: open.collect() };
        prop_assert_eq!(Commit::decode(&commit.encode()), Ok(commit));
    }

    #[test]
    fn tombstones(entries in proptest::collection::vec(any::<([u8; 32], u32, u64, u64)>(), 0..100), unit_offset in 1u32..) {
        let tombstone = |(key, zone, incarnation, birth)| {
            TombstoneEntry { key: Key(key), zone, unit_offset, incarnation, birth }
        };
        let entries: Vec<TombstoneEntry> = entries.into_iter().map(tombstone).collect();
        let bytes: Vec<u8> = entries.iter().flat_map(TombstoneEntry::encode).collect();
        prop_assert_eq!(decode_tombstones(&bytes), Ok(entries));
    }

    #[test]
    fn a_void_range(first_unit in 1..1u32 << 31, unit_count in 1..1u32 << 31) {
        let range = VoidRange { first_unit, unit_count };
        prop_assert_eq!(VoidRange::decode(&range.encode()), Ok(range));
    }

    #[test]
    fn keys_and_drive_ids_as_text_of_either_case(key in any::<[u8; 32]>(), id in any::<[u8; 16]>()) {
        let text = Key(key).to_string();
        prop_assert_eq!(text.len(), 64);
        prop_assert_eq!(text.to_uppercase().parse(), Ok(Key(key)));
        prop_assert_eq!(text.parse(), Ok(Key(key)));
        prop_assert_eq!(DriveId(id).to_string().parse(), Ok(DriveId(id)));
    }
}

#[test]
fn a_payload_of_any_length_at_the_edges_of_units_chunks_and_the_limit() {
    let edges = [0, 1, 3904, 3905, 4096 - 192 + 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 16 << 20];
    for payload_bytes in edges {
        let bytes = patterned(payload_bytes);
        let header = common::header(RecordKind::Block, 9, 1000, payload_bytes);
        let record = encode_record(&header, &bytes, &scope());
        assert_eq!(
            decode_record_header(&record[..UNIT_BYTES], &scope(), 9),
            Ok(header.clone()),
            "{payload_bytes}"
        );
        assert_eq!(check_payload(&record, &header, 0..payload_bytes), Ok(()), "{payload_bytes}");
        assert!(payload(&record, &header) == bytes, "{payload_bytes}");
        let tail = &record[payload_offset(payload_bytes) + payload_bytes..];
        assert!(tail.len() < UNIT_BYTES && tail.iter().all(|byte| *byte == 0), "{payload_bytes}");
    }
}

#[test]
fn a_record_has_as_many_units_as_its_header_table_and_payload_need() {
    let table =
        [(0, 1, 128), (1, 1, 192), (3904, 1, 192), (3905, 2, 192), (CHUNK, 17, 192), (16 << 20, 4097, 1152)];
    for (payload_bytes, units, offset) in table {
        assert_eq!(
            (record_units(payload_bytes), payload_offset(payload_bytes)),
            (units, offset),
            "{payload_bytes}"
        );
    }
}

#[test]
fn a_payload_of_another_length_than_announced_is_refused() {
    let mut buffer = vec![0; 2 * UNIT_BYTES];
    let mut writer = PayloadWriter::new(10);
    assert_eq!(writer.write(&mut buffer, &[1; 6]), Ok(()));
    assert_eq!(writer.write(&mut buffer, &[1; 5]), Err(PayloadError::TooLong { announced: 10 }));
    assert_eq!(writer.clone().finish(&mut buffer), Err(PayloadError::TooShort { written: 6, announced: 10 }));
    assert_eq!(writer.write(&mut buffer, &[1; 4]), Ok(()));
    assert_eq!(writer.finish(&mut buffer), Ok(()));
}

#[test]
fn a_footer_with_no_entry_with_one_and_around_the_edge_of_a_unit() {
    for (count, units) in
        [(0usize, 1), (1, 1), (62, 1), (63, 2), (64, 2), (65, 2), (126, 2), (127, 3), (60_000, 938)]
    {
        assert_eq!(footer_units(count), units, "{count} entries");
        let number = |index: usize| u32::try_from(index).unwrap();
        let entry = |index| match index % 3 {
            0 => TableEntry::Tombstone {
                key: Key([3; 32]),
                unit_offset: number(index + 1),
                target_zone: 7,
                target_unit_offset: number(index + 2),
                target_incarnation: 8,
                birth: 9,
            },
            _ => block_entry(number(index + 1), index % 3904, index as u64, Key([4; 32])),
        };
        let entries: Vec<TableEntry> = (0..count).map(entry).collect();
        let bytes = encode_footer(&entries);
        let trailer = Trailer::decode(&bytes[bytes.len() - UNIT_BYTES..], &label(), ZONE).unwrap();
        assert_eq!(trailer.entry_count as usize, count);
        assert_eq!(trailer.table_first_unit, CAPACITY_UNITS - units);
        assert!(Footer::decode_table(&bytes, &trailer, &label()) == Ok(entries), "{count} entries");
    }
}

#[test]
fn a_serial_that_is_too_long_for_the_label_is_still_that_of_its_device() {
    let long = format!("{}é-and-more", "x".repeat(63));
    let written = Label { device_serial: long.clone(), ..label() };
    let mut unit = [0; UNIT_BYTES];
    written.encode(&mut unit);
    let read = Label::decode(&unit).unwrap();
    assert_eq!(read.device_serial, "x".repeat(63));
    assert!(read.is_of_device(&long) && written.is_of_device(&read.device_serial));
    assert!(!read.is_of_device("x") && !read.is_of_device(""));
}

#[test]
fn a_text_that_is_no_key_is_refused_saying_what_is_wrong() {
    let digits = "a".repeat(63);
    assert_eq!(digits.parse::<Key>(), Err(KeyError::Length { found: 63, expected: 64 }));
    assert_eq!(format!("{digits}g").parse::<Key>(), Err(KeyError::Character { position: 64, found: 'g' }));
    assert_eq!("é".repeat(32).parse::<Key>(), Err(KeyError::Length { found: 32, expected: 64 }));
    assert_eq!("é".repeat(64).parse::<Key>(), Err(KeyError::Character { position: 1, found: 'é' }));
    assert_eq!("+1".repeat(16).parse::<DriveId>(), Err(KeyError::Character { position: 1, found: '+' }));
}

#[test]
fn the_secret_is_not_shown_where_a_label_is_printed() {
    let shown = format!("{:?}", Label { secret: [0xcc; 16], ..label() });
    assert!(shown.contains("drive_id") && !shown.contains("204") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_record_that_nobody_could_read_is_never_sealed() {
    let right = common::header(RecordKind::Commit, 9, 1000, 100);
    let wrong = [
        RecordHeader { unit_offset: 0, ..right.clone() },
        RecordHeader { unit_count: 2, ..right.clone() },
        RecordHeader { unit_offset: u32::MAX, ..right.clone() },
        RecordHeader { key: Key([1; 32]), ..right.clone() },
        RecordHeader { payload_bytes: u32::MAX, ..right.clone() },
        RecordHeader { kind: RecordKind::Padding, ..right.clone() },
    ];
    let seals = |header: &RecordHeader| {
        let header = header.clone();
        std::panic::catch_unwind(move || seal_record(&mut [0; UNIT_BYTES], &header, &scope())).is_ok()
    };
    assert!(seals(&right));
    assert_eq!(wrong.iter().filter(|header| seals(header)).count(), 0);
}

#[test]
fn a_checksum_that_is_right_excuses_no_value_that_cannot_be() {
    let header = common::header(RecordKind::Block, 9, 1000, 100);
    let record = encode_record(&header, &[1; 100], &scope());
    let changed = |at: usize, byte: u8| {
        let mut record = record.clone();
        record[at] = byte;
        common::reseal(&mut record, 4, 0..132, common::salt());
        decode_record_header(&record, &scope(), 9)
    };
    let invalid = |field| Err(FormatError::Invalid { field });
    assert_eq!(changed(8, 1), Ok(header.clone()), "the checksum itself is right");
    assert_eq!(changed(8, 6), Err(FormatError::UnknownKind { kind: 6, unit_count: 1 }));
    assert_eq!(changed(10, 1), invalid("flags"));
    assert_eq!(changed(12, 101), Ok(RecordHeader { payload_bytes: 101, ..header }));
    assert_eq!(changed(40, 2), invalid("unit_count"));
    assert_eq!(changed(44, 0), invalid("payload_offset"));
    assert_eq!(changed(72, 2), invalid("chunk_count"));
    assert_eq!(changed(76, 1), invalid("reserved"));
    assert_eq!(changed(95, 1), invalid("reserved"));
    assert_eq!(changed(8, 4), invalid("payload_bytes"), "padding with a payload");
}

#[test]
fn an_unknown_kind_whose_length_leads_nowhere_is_no_record() {
    let (_, header, _) = common::records().swap_remove(4);
    let mut record = encode_record(&header, &[], &scope());
    record[8] = 6;
    record[40..44].fill(0);
    common::reseal(&mut record, 4, 0..128, common::salt());
    let decoded = decode_record_header(&record, &scope(), header.unit_offset);
    assert_eq!(decoded, Err(FormatError::Invalid { field: "unit_count" }));
}
