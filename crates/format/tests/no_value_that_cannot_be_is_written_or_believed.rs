//! A value that cannot be is refused, whoever wrote it and however right its checksum.

mod common;

use common::{encode_record, label, scope, tombstone_entry};
use imbrex_format::{
    COMMIT_ENTRIES_MAX, CheckpointCells, CheckpointPatches, Commit, DriveId, FormatError, Key, KeyError,
    Label, LabelError, PayloadError, PayloadWriter, RecordHeader, RecordKind, UNIT_BYTES, ZoneCell,
    ZoneContent, commit_units, decode_record_header, seal_record,
};

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
fn a_commit_of_a_thousand_entries_has_sixteen_units_and_of_more_is_refused() {
    let listing = |count: usize| Commit {
        entries: vec![tombstone_entry(9, 1, Key([1; 32])); count],
        ..common::commit()
    };
    let encoded = |count: usize| {
        let mut payload = Vec::new();
        listing(count).encode(&mut payload);
        payload
    };
    assert_eq!((commit_units(0), commit_units(58), commit_units(59)), (1, 1, 2));
    assert_eq!(commit_units(COMMIT_ENTRIES_MAX), 16);
    assert_eq!(Commit::decode(&encoded(COMMIT_ENTRIES_MAX)), Ok(listing(COMMIT_ENTRIES_MAX)));
    let mut longer = encoded(COMMIT_ENTRIES_MAX);
    longer.extend_from_within(longer.len() - 64..);
    assert_eq!(Commit::decode(&longer), Err(FormatError::Invalid { field: "payload_bytes" }));
    assert!(std::panic::catch_unwind(|| encoded(COMMIT_ENTRIES_MAX + 1)).is_err());
    for cut in [1, 63, 65, 151] {
        let payload = encoded(2);
        assert!(Commit::decode(&payload[..payload.len() - cut]).is_err(), "{cut} bytes are missing");
    }
}

#[test]
fn a_label_names_checkpoint_zones_that_the_drive_has_and_that_hold_no_label() {
    let naming = |checkpoint_first_zone, checkpoint_slot_zones| Label {
        checkpoint_first_zone,
        checkpoint_slot_zones,
        label_zones: [0, 7],
        zone_count: 10,
        ..label()
    };
    let check = |first: u32, zones: u32| {
        let mut unit = [0; UNIT_BYTES];
        naming(0, 0).encode(&mut unit);
        unit[168..172].copy_from_slice(&first.to_le_bytes());
        unit[172..176].copy_from_slice(&zones.to_le_bytes());
        common::reseal(&mut unit, 12, 0..UNIT_BYTES, 0);
        Label::decode(&unit).map(|_| ())
    };
    let invalid = |field| Err(LabelError::Invalid { field });
    assert_eq!(check(0, 0), Ok(()));
    assert_eq!(check(1, 3), Ok(()));
    assert_eq!(check(8, 1), Ok(()));
    assert_eq!(check(1, 0), invalid("checkpoint_first_zone"));
    assert_eq!(check(9, 1), invalid("checkpoint_slot_zones"));
    assert_eq!(check(2, u32::MAX), invalid("checkpoint_slot_zones"));
    assert_eq!(check(u32::MAX, 1), invalid("checkpoint_slot_zones"));
    assert_eq!(check(0, 1), invalid("label_zones"));
    assert_eq!(check(6, 1), invalid("label_zones"));
    let label = naming(1, 3);
    assert_eq!((label.checkpoint_slot(0), label.checkpoint_slot(1)), (1..4, 4..7));
    let kept: Vec<u32> = (0..10).filter(|zone| label.is_checkpoint_zone(*zone)).collect();
    assert_eq!(kept, [1, 2, 3, 4, 5, 6]);
    assert!((0..10).all(|zone| !naming(0, 0).is_checkpoint_zone(zone)));
}

#[test]
fn a_checkpoint_record_that_counts_wrongly_is_refused() {
    let cell = common::zone_cell().encode();
    let invalid = |field| Err(FormatError::Invalid { field });
    let cells = |first: u64, count: u32, held: usize| {
        let payload = [CheckpointCells::head(1, first, count).to_vec(), cell.repeat(held)].concat();
        CheckpointCells::decode(&payload).map(|_| ())
    };
    assert_eq!(cells(0, 2, 2), Ok(()));
    assert_eq!(cells(0, 1, 2), invalid("cell_count"));
    assert_eq!(cells(0, 3, 2), invalid("cell_count"));
    assert_eq!(cells(0, 0, 0), invalid("cell_count"));
    assert_eq!(cells(u64::MAX - 1, 2, 2), invalid("first_cell"));
    let payload = [CheckpointCells::head(1, 0, 1).as_slice(), &cell[1..]].concat();
    assert_eq!(CheckpointCells::decode(&payload).map(|_| ()), invalid("payload_bytes"));
    let patches = |count: u32, held: usize| {
        let payload = [CheckpointPatches::head(1, count).to_vec(), [7; 72].repeat(held)].concat();
        CheckpointPatches::decode(&payload).map(|_| ())
    };
    assert_eq!(patches(2, 2), Ok(()));
    assert_eq!(patches(1, 2), invalid("patch_count"));
    assert_eq!(patches(0, 0), invalid("patch_count"));
}

#[test]
fn a_zone_cell_of_no_known_role_or_with_a_reserved_bit_is_refused() {
    let changed = |at: usize, byte: u8| {
        let mut cell = common::zone_cell().encode();
        cell[at] = byte;
        ZoneCell::decode(&cell).map(|_| ())
    };
    let invalid = |field| Err(FormatError::Invalid { field });
    assert_eq!((changed(0, 0), changed(0, 9)), (invalid("role"), invalid("role")));
    assert_eq!((changed(0, 1), changed(0, 8)), (Ok(()), Ok(())));
    assert_eq!((changed(2, 2), changed(2, 0)), (invalid("flags"), Ok(())));
    assert_eq!(
        (changed(3, 1), changed(28, 1), changed(31, 1)),
        (invalid("reserved"), invalid("reserved"), invalid("reserved"))
    );
}

#[test]
fn a_record_stands_only_in_zones_of_its_content() {
    for (name, header, _) in common::records() {
        let in_records = header.kind.may_stand_in(ZoneContent::Records);
        let in_checkpoints = header.kind.may_stand_in(ZoneContent::Checkpoint);
        assert_eq!(in_checkpoints, name.starts_with("checkpoint") || name == "padding", "{name}");
        assert_eq!(in_records, !name.starts_with("checkpoint"), "{name}");
    }
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
    assert_eq!(changed(79, 1), invalid("reserved"));
    assert_eq!(changed(80, record[80] ^ 1), invalid("place_seal"));
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
