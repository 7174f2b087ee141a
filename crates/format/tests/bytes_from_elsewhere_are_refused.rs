//! What was written for another drive, zone, life, place or version is not taken for what belongs here, and neither is
//! what a client stored to look like it.

mod common;

use common::{INCARNATION, ZONE, label, scope};
use imbrex_format::{
    DriveId, Footer, FormatError, Key, Label, LabelError, RecordHeader, RecordKind, Trailer, UNIT_BYTES,
    VERSION, ZoneHeader, ZoneScope, check_payload, decode_record_header, payload_offset,
};

fn other_drive() -> Label {
    Label { drive_id: DriveId([9; 16]), secret: [9; 16], ..label() }
}

fn block() -> (RecordHeader, Vec<u8>) {
    let (_, header, payload) = common::records().swap_remove(0);
    let record = common::encode_record(&header, &payload, &scope());
    (header, record)
}

#[test]
fn a_record_of_another_drive_zone_life_or_place_is_told_apart() {
    let (header, record) = block();
    let unit = header.unit_offset;
    let decode = |scope: ZoneScope, unit| decode_record_header(&record, &scope, unit).unwrap_err();
    assert_eq!(decode(ZoneScope::new(&other_drive(), ZONE, INCARNATION), unit), FormatError::WrongDrive);
    assert_eq!(
        decode(ZoneScope::new(&label(), ZONE + 1, INCARNATION), unit),
        FormatError::WrongZone { found: ZONE, expected: ZONE + 1 }
    );
    assert_eq!(
        decode(ZoneScope::new(&label(), ZONE, INCARNATION + 1), unit),
        FormatError::WrongIncarnation { found: INCARNATION, expected: INCARNATION + 1 }
    );
    assert_eq!(decode(scope(), unit + 1), FormatError::WrongPlace { found: unit, expected: unit + 1 });
}

#[test]
fn a_zone_header_of_another_drive_or_zone_is_told_apart() {
    let unit = common::encoded_zone_header();
    assert_eq!(ZoneHeader::decode(&unit, &other_drive(), ZONE), Err(FormatError::WrongDrive));
    let expected = FormatError::WrongZone { found: ZONE, expected: 6 };
    assert_eq!(ZoneHeader::decode(&unit, &label(), 6), Err(expected));
}

#[test]
fn a_footer_of_another_drive_or_zone_is_told_apart() {
    let footer = common::encode_footer(&[]);
    assert_eq!(Trailer::decode(&footer, &other_drive(), ZONE), Err(FormatError::WrongDrive));
    let expected = FormatError::WrongZone { found: ZONE, expected: 6 };
    assert_eq!(Trailer::decode(&footer, &label(), 6), Err(expected));
}

#[test]
fn a_table_that_does_not_end_with_its_zone_is_refused() {
    let footer = common::encode_footer(&common::entries());
    let trailer = Trailer::decode(&footer, &label(), ZONE).unwrap();
    let longer = [footer.clone(), vec![0; UNIT_BYTES]].concat();
    let expected = FormatError::Invalid { field: "table_first_unit" };
    assert_eq!(Footer::decode_table(&longer, &trailer, &label()), Err(expected));
    let expected = FormatError::Short { needed: UNIT_BYTES };
    assert_eq!(Footer::decode_table(&footer[1..], &trailer, &label()), Err(expected));
}

#[test]
fn another_version_is_refused_by_a_sentence_that_names_both() {
    let mut unit = common::encoded_label();
    unit[8] = 9;
    let error = Label::decode(&unit).unwrap_err();
    assert_eq!(error, LabelError::Version { found: 9, supported: VERSION });
    assert!(
        error.to_string().contains("format version 9") && error.to_string().contains("version 2"),
        "{error}"
    );

    let mut unit = common::encoded_zone_header();
    unit[8] = 9;
    let expected = FormatError::Version { found: 9, supported: VERSION };
    assert_eq!(ZoneHeader::decode(&unit, &label(), ZONE), Err(expected));

    let mut footer = common::encode_footer(&[]);
    footer[UNIT_BYTES - 128 + 8] = 9;
    assert_eq!(Trailer::decode(&footer, &label(), ZONE), Err(expected));
}

#[test]
fn a_version_is_named_although_the_rest_of_the_label_is_laid_out_otherwise() {
    let mut unit = vec![0x5a; UNIT_BYTES];
    unit[..8].copy_from_slice(b"IMBREXLB");
    unit[8..12].copy_from_slice(&3u32.to_le_bytes());
    assert_eq!(Label::decode(&unit), Err(LabelError::Version { found: 3, supported: VERSION }));
}

#[test]
fn a_drive_of_the_version_that_was_never_released_is_refused_by_name() {
    let mut unit = common::encoded_label();
    unit[8] = 1;
    let text = Label::decode(&unit).unwrap_err().to_string();
    assert!(text.contains("format version 1, and this build reads only version 2"), "{text}");
}

#[test]
fn a_record_at_another_place_is_refused_although_its_checksum_was_put_right() {
    let (header, mut record) = block();
    let unit = header.unit_offset + 1;
    record[36..40].copy_from_slice(&unit.to_le_bytes());
    common::reseal(&mut record, 4, 0..132, common::salt());
    let expected = FormatError::Invalid { field: "place_seal" };
    assert_eq!(decode_record_header(&record, &scope(), unit), Err(expected));
}

#[test]
fn a_label_is_recovered_from_a_zone_header_that_proves_it_and_from_no_other_bytes() {
    let unit = common::encoded_zone_header();
    assert_eq!(ZoneHeader::recover_label(&unit, ZONE), Some(label()));
    assert_eq!(ZoneHeader::recover_label(&unit, ZONE + 1), None, "another zone's");
    assert_eq!(ZoneHeader::recover_label(&unit[..511], ZONE), None, "cut off");
    let mut of_another_drive = unit.clone();
    let mut foreign = [0; UNIT_BYTES];
    other_drive().encode(&mut foreign);
    of_another_drive[256..512].copy_from_slice(&foreign[..256]);
    assert_eq!(ZoneHeader::recover_label(&of_another_drive, ZONE), None, "a copy of another drive's label");
    common::reseal(&mut of_another_drive, 12, 0..UNIT_BYTES, common::salt());
    assert_eq!(ZoneHeader::recover_label(&of_another_drive, ZONE), None, "the same, the checksum put right");
    let expected = FormatError::Invalid { field: "label_copy" };
    assert_eq!(ZoneHeader::decode(&of_another_drive, &label(), ZONE), Err(expected));
    let mut small = label();
    small.zone_count = ZONE;
    let mut unit = [0; UNIT_BYTES];
    common::zone_header().encode(&small, &mut unit);
    assert_eq!(ZoneHeader::recover_label(&unit, ZONE), None, "a zone that the label's drive does not have");
}

#[test]
fn a_payload_that_imitates_a_record_of_its_own_place_is_not_taken_for_one() {
    // The client knows everything but the secret, and stores a record of the very unit in which it will come to stand.
    let place = RecordHeader { key: Key([6; 32]), ..common::header(RecordKind::Block, 11, 5000, 100) };
    let guessed = ZoneScope::new(&Label { secret: [0; 16], ..label() }, ZONE, INCARNATION);
    let store = |imitation: Vec<u8>| {
        let begin = UNIT_BYTES - payload_offset(2 * UNIT_BYTES);
        let mut payload = vec![0; 2 * UNIT_BYTES];
        payload[begin..begin + UNIT_BYTES].copy_from_slice(&imitation);
        let carrier =
            RecordHeader { key: Key([5; 32]), ..common::header(RecordKind::Block, 10, 4999, payload.len()) };
        let record = common::encode_record(&carrier, &payload, &scope());
        assert_eq!(check_payload(&record, &carrier, 0..payload.len()), Ok(()));
        decode_record_header(&record[UNIT_BYTES..], &scope(), 11)
    };
    assert_eq!(store(common::encode_record(&place, &[1; 100], &guessed)), Err(FormatError::Checksum));
    // With the secret it would be one: nothing but the secret keeps it from being taken for a record.
    assert_eq!(store(common::encode_record(&place, &[1; 100], &scope())), Ok(place));
}

#[test]
fn a_salt_is_another_one_for_another_secret_zone_or_life() {
    let salts = [
        imbrex_format::zone_salt(&[1; 16], 2, 3),
        imbrex_format::zone_salt(&[0; 16], 2, 3),
        imbrex_format::zone_salt(&[1; 16], 3, 3),
        imbrex_format::zone_salt(&[1; 16], 2, 4),
        imbrex_format::zone_salt(&[1; 16], 3, 2),
    ];
    let distinct: std::collections::HashSet<u32> = salts.into_iter().collect();
    assert_eq!(distinct.len(), salts.len());
}

#[test]
fn nothing_and_blanks_are_no_structure() {
    let blank = [0; UNIT_BYTES];
    assert!(Label::is_blank(&blank) && !Label::is_blank(&blank[1..]) && !Label::is_blank(&[1; UNIT_BYTES]));
    assert_eq!(Label::decode(&blank), Err(LabelError::NotALabel));
    assert_eq!(Label::decode(&[]), Err(LabelError::NotALabel));
    assert_eq!(ZoneHeader::decode(&blank, &label(), ZONE), Err(FormatError::Magic));
    assert_eq!(decode_record_header(&blank, &scope(), 1), Err(FormatError::Magic));
    assert_eq!(Trailer::decode(&blank, &label(), ZONE), Err(FormatError::Magic));
}

#[test]
fn a_structure_that_is_cut_off_anywhere_is_refused() {
    let label = label();
    let (unit, zone_unit) = (common::encoded_label(), common::encoded_zone_header());
    let footer = common::encode_footer(&[]);
    for end in 0..UNIT_BYTES {
        assert!(Label::decode(&unit[..end]).is_err(), "a label of {end} bytes");
        assert!(ZoneHeader::decode(&zone_unit[..end], &label, ZONE).is_err(), "a zone header of {end} bytes");
        assert!(Trailer::decode(&footer[..end], &label, ZONE).is_err(), "a footer of {end} bytes");
    }
    assert_eq!(Label::decode(&unit[..100]), Err(LabelError::Short { needed: UNIT_BYTES }));
}

#[test]
fn a_record_that_is_cut_off_says_how_many_bytes_are_needed() {
    let payload_bytes = 65_537;
    let header = common::header(RecordKind::Block, 9, 1000, payload_bytes);
    let record = common::encode_record(&header, &vec![3; payload_bytes], &scope());
    let decode = |end: usize| decode_record_header(&record[..end], &scope(), 9);
    assert_eq!(decode(127), Err(FormatError::Short { needed: 128 }));
    assert_eq!(decode(191), Err(FormatError::Short { needed: 192 }));
    assert_eq!(decode(192), Ok(header.clone()));
    let check = |end: usize, range| check_payload(&record[..end], &header, range);
    assert_eq!(check(192 + 65_536, 5..65_536), Ok(()));
    assert_eq!(check(192 + 65_535, 5..6), Err(FormatError::Short { needed: 192 + 65_536 }));
    assert_eq!(check(192 + 65_536, 5..65_537), Err(FormatError::Short { needed: 192 + 65_537 }));
    assert_eq!(check(record.len(), 0..65_538), Err(FormatError::Invalid { field: "range" }));
}
