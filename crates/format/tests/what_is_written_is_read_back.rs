//! Whatever a structure says, reading it gives what was written.

mod common;

use common::{
    CAPACITY_UNITS, ZONE, block_entry, encode_footer, encode_record, label, scope, tombstone_entry,
};
use imbrex_format::{
    CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatch, CheckpointPatches, Commit, CommitZone,
    DriveId, Footer, IndexEntry, Key, Label, PayloadWriter, RecordHeader, RecordKind, TableEntry,
    TombstoneEntry, Trailer, UNIT_BYTES, VoidRange, ZoneCell, ZoneContent, ZoneHeader, check_payload,
    decode_record_header, decode_tombstones, footer_units, index_bucket_count, index_hash, other_bucket,
    payload, payload_offset, record_units, seal_record,
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
        (zone_count, slot_zones) in (4u32.., 0u32..1000),
        payload_bytes_max in 0u32..=16 << 20,
        serial in "[ -~]{0,64}",
    ) {
        let (generation, formatted_at_unix_s, blocks_max) = numbers;
        let slot_zones = slot_zones.min((zone_count - 2) / 2);
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
            checkpoint_first_zone: slot_zones.min(1),
            checkpoint_slot_zones: slot_zones,
            ..label()
        };
        let mut unit = [0; UNIT_BYTES];
        label.encode(&mut unit);
        prop_assert_eq!(Label::decode(&unit), Ok(label));
    }

    #[test]
    fn a_zone_header(numbers in any::<(u32, u64, u64, u64)>(), stream in 0..=2u16, holds_records in any::<bool>()) {
        let (zone, incarnation, first_sequence, opened_at_unix_s) = numbers;
        let (content, stream) =
            if holds_records { (ZoneContent::Records, stream) } else { (ZoneContent::Checkpoint, 0) };
        let header = ZoneHeader { zone, content, stream, incarnation, first_sequence, opened_at_unix_s };
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
        entries in proptest::collection::vec(any::<(bool, u16, u64, [u8; 32])>(), 0..40),
    ) {
        let open = open.into_iter().map(|(zone, good_units, incarnation)| CommitZone { zone, good_units, incarnation });
        let (group, first_sequence, record_count) = numbers;
        let entry = |(is_block, number, sequence, key)| match is_block {
            true => block_entry(1 + u32::from(number), usize::from(number), sequence, Key(key)),
            false => tombstone_entry(1 + u32::from(number), sequence, Key(key)),
        };
        let entries: Vec<TableEntry> = entries.into_iter().map(entry).collect();
        let commit = Commit { group, first_sequence, record_count, open: open.collect(), entries };
        let mut payload = vec![1, 2, 3];
        commit.encode(&mut payload);
        prop_assert_eq!(payload.len(), 3 + Commit::payload_bytes(commit.entries.len()));
        prop_assert_eq!(Commit::decode(&payload[3..]), Ok(commit));
    }

    #[test]
    fn the_beginning_and_the_end_of_a_checkpoint(
        numbers in any::<[u64; 9]>(),
        zone_count in any::<u32>(),
        open in proptest::collection::vec(any::<(u32, u32, u64)>(), 0..=8),
    ) {
        let [number, next_sequence, next_group, blocks, live_units, dead_units, record_count, patch_count, time] =
            numbers;
        let begin = CheckpointBegin { number, bucket_count: blocks, zone_count, begun_at_unix_s: time };
        prop_assert_eq!(CheckpointBegin::decode(&begin.encode()), Ok(begin));
        let open = open.into_iter().map(|(zone, good_units, incarnation)| CommitZone { zone, good_units, incarnation });
        let end = CheckpointEnd {
            number,
            next_sequence,
            next_group,
            blocks,
            live_units,
            dead_units,
            record_count,
            patch_count,
            taken_at_unix_s: time,
            open: open.collect(),
        };
        prop_assert_eq!(CheckpointEnd::decode(&end.encode()), Ok(end));
    }

    #[test]
    fn cells_and_patches_of_a_checkpoint(
        number in any::<u64>(),
        first_cell in 0..u64::MAX - 100,
        cells in proptest::collection::vec((any::<u64>(), any::<[u8; 32]>()), 1..40),
    ) {
        let cell = |half: [u8; 32]| std::array::from_fn(|index| half[index % 32]);
        let patches: Vec<CheckpointPatch> =
            cells.iter().map(|(number, half)| CheckpointPatch { cell: *number, bytes: cell(*half) }).collect();
        let cells: Vec<[u8; 64]> = patches.iter().map(|patch| patch.bytes).collect();
        let count = u32::try_from(cells.len()).unwrap();

        let bytes = [CheckpointCells::head(number, first_cell, count).as_slice(), cells.as_flattened()].concat();
        prop_assert_eq!(bytes.len(), CheckpointCells::payload_bytes(cells.len()));
        let decoded = CheckpointCells::decode(&bytes);
        prop_assert_eq!(decoded, Ok(CheckpointCells { number, first_cell, cells: &cells }));

        let mut bytes = CheckpointPatches::head(number, count).to_vec();
        patches.iter().for_each(|patch| bytes.extend(patch.encode()));
        prop_assert_eq!(bytes.len(), CheckpointPatches::payload_bytes(cells.len()));
        let decoded = CheckpointPatches::decode(&bytes).unwrap();
        prop_assert_eq!((decoded.number, decoded.count()), (number, cells.len()));
        prop_assert_eq!(decoded.iter().collect::<Vec<_>>(), patches);
    }

    #[test]
    fn a_zone_cell(role in 1..=8u8, evacuate in any::<bool>(), units in any::<[u32; 6]>(), numbers in any::<[u64; 4]>()) {
        let mut bytes = common::zone_cell().encode();
        bytes[0] = role;
        let mut cell = ZoneCell::decode(&bytes).unwrap();
        cell.evacuate = evacuate;
        [cell.capacity_units, cell.written_units, cell.good_units, cell.live_units, cell.table_entries, cell.tombstones] =
            units;
        [cell.incarnation, cell.closed_sequence, cell.scrubbed_at_unix_s, cell.sealed_at_unix_s] = numbers;
        prop_assert_eq!(ZoneCell::decode(&cell.encode()), Ok(cell));
    }

    #[test]
    fn an_index_entry_and_its_neighbours(
        place_units in 0..=IndexEntry::PLACE_UNITS_MAX,
        unit_count in 0..=IndexEntry::UNIT_COUNT_MAX,
        tag in 0..=IndexEntry::TAG_MAX,
        slot in 0..6usize,
        others in any::<[u8; 32]>(),
    ) {
        let entry = IndexEntry { place_units, unit_count, tag };
        prop_assert_eq!(IndexEntry::decode(&entry.encode()), entry);
        let mut bucket: [u8; 64] = std::array::from_fn(|index| others[index % 32]);
        let before = bucket;
        entry.put_into_slot(&mut bucket, slot);
        for other in 0..6 {
            let expected = if other == slot { entry } else { IndexEntry::of_slot(&before, other) };
            prop_assert_eq!(IndexEntry::of_slot(&bucket, other), expected);
        }
        prop_assert_eq!(&bucket[60..], &before[60..]);
    }

    #[test]
    fn the_other_bucket_of_the_other_bucket_is_the_first(key in any::<[u8; 32]>(), bucket_count in 1u64..) {
        let (bucket, tag) = index_hash(&label().secret, &Key(key), bucket_count);
        prop_assert!(bucket < bucket_count && tag <= IndexEntry::TAG_MAX);
        let other = other_bucket(bucket, tag, bucket_count);
        prop_assert!(other < bucket_count);
        prop_assert_eq!(other_bucket(other, tag, bucket_count), bucket);
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
fn an_empty_slot_is_ten_zeros_and_a_bucket_has_six() {
    assert!(IndexEntry::EMPTY.is_empty() && !common::index_entry().is_empty());
    assert_eq!(IndexEntry::EMPTY.encode(), [0; 10]);
    assert_eq!(IndexEntry::of_slot(&[0; 64], 5), IndexEntry::EMPTY);
}

#[test]
fn an_index_has_room_for_its_blocks_at_92_of_100_slots() {
    for (blocks_max, buckets) in
        [(0, 2), (1, 3), (5, 3), (6, 4), (138, 27), (65_536, 11_875), (20_000_000, 3_623_191)]
    {
        assert_eq!(index_bucket_count(blocks_max), buckets, "{blocks_max} blocks");
    }
    assert!(index_bucket_count(u64::MAX) > u64::MAX / 6);
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
fn the_secret_is_not_shown_where_a_label_is_printed() {
    let shown = format!("{:?}", Label { secret: [0xcc; 16], ..label() });
    assert!(shown.contains("drive_id") && !shown.contains("204") && !shown.contains("secret"), "{shown}");
    let scope = imbrex_format::ZoneScope::new(&Label { secret: [0xcc; 16], ..label() }, 1, 2);
    let shown = format!("{scope:?}");
    assert!(shown.contains("incarnation") && !shown.contains("204") && !shown.contains("secret"), "{shown}");
}
