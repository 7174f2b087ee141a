//! Each structure is broken once, in each way in which it can contradict another; and whatever byte of it changes by
//! accident is found, and is called damage and no lie.

mod drive;

use drive::{Op, TestDrive, busy, key};
use imbrex_format::verify::{FindingKind, Report, Verdict, VerifyOptions};
use imbrex_format::{Commit, Label, RecordKind, TableEntry, UNIT_BYTES, VoidRange, ZoneContent, ZoneHeader};
use imbrex_zoned::Condition;

const WHOLE: VerifyOptions =
    VerifyOptions { payloads: true, zone: None, all: true, memory_bytes_max: 16 << 20 };

#[track_caller]
fn assert_lie(drive: &mut TestDrive, kind: FindingKind) -> Report {
    let report = drive.verify(&WHOLE);
    let first = report.findings.iter().find(|finding| finding.is_lie);
    assert_eq!(first.map(|finding| finding.kind), Some(kind), "{report}");
    assert_eq!(report.verdict, Verdict::Lying);
    let stopped = drive.verify(&VerifyOptions { all: false, ..WHOLE });
    assert_eq!((stopped.lies, stopped.extent.is_complete), (1, false), "{stopped}");
    report
}

#[track_caller]
fn assert_damage(drive: &mut TestDrive, kind: FindingKind) -> Report {
    let report = drive.verify(&WHOLE);
    assert_eq!(report.verdict, Verdict::Damaged, "{report}");
    assert_eq!(report.findings[0].kind, kind, "{report}");
    report
}

fn commit_that(alter: fn(&mut Commit)) -> TestDrive {
    let mut drive = busy();
    drive.alter_commit = Some(alter);
    drive.group(6, &[Op::Put(50, 100), Op::Put(51, 100)]);
    drive
}

#[test]
fn a_commit_that_says_another_thing_than_its_records() {
    let alterations: [fn(&mut Commit); 6] = [
        |commit| commit.record_count += 1,
        |commit| commit.record_count -= 1,
        |commit| commit.first_sequence -= 1,
        |commit| commit.entries.truncate(1),
        |commit| commit.entries.swap(0, 1),
        |commit| {
            let TableEntry::Block { key, .. } = &mut commit.entries[1] else { panic!("no block") };
            *key = drive::key(99);
        },
    ];
    for alter in alterations {
        assert_lie(&mut commit_that(alter), FindingKind::CommitContradictsRecords);
    }
}

#[test]
fn a_commit_that_says_another_thing_of_a_zone() {
    let alterations: [fn(&mut Commit); 5] = [
        |commit| commit.open.iter_mut().for_each(|open| open.good_units += u32::from(open.zone == 6)),
        |commit| commit.open.iter_mut().for_each(|open| open.good_units += u32::from(open.zone == 7)),
        |commit| commit.open.iter_mut().for_each(|open| open.incarnation += u64::from(open.zone == 7)),
        |commit| commit.open.retain(|open| open.zone != 6),
        |commit| commit.open[0].zone = 1,
    ];
    for alter in alterations {
        assert_lie(&mut commit_that(alter), FindingKind::CommitContradictsZone);
    }
}

#[test]
fn a_group_that_has_the_number_or_the_sequences_of_another() {
    assert_lie(&mut commit_that(|commit| commit.group -= 1), FindingKind::GroupsOverlap);
    let mut drive = busy();
    drive.sequence -= 5;
    drive.open_zone(9, ZoneContent::Records, 0);
    drive.group(9, &[Op::Put(60, 10)]);
    assert_lie(&mut drive, FindingKind::GroupsOverlap);
}

#[test]
fn a_record_whose_sequence_falls() {
    let mut drive = busy();
    drive.torn(6, &[Op::Put(50, 10)]);
    drive.sequence -= 3;
    drive.torn(6, &[Op::Put(51, 10)]);
    assert_lie(&mut drive, FindingKind::SequenceFalls);
}

#[test]
fn a_record_that_cannot_be() {
    let mut drive = busy();
    let sequence = drive.next_sequence();
    drive.record_as(6, RecordKind::Block, &[1; 10], sequence, sequence + 1, key(50));
    assert_lie(&mut drive, FindingKind::RecordImpossible);

    let mut drive = busy();
    drive.record(6, RecordKind::CheckpointCells, &[0; 10]);
    assert_lie(&mut drive, FindingKind::RecordImpossible);

    let mut drive = busy();
    drive.record(6, RecordKind::Tombstones, &[1; 63]);
    assert_lie(&mut drive, FindingKind::RecordImpossible);
}

#[test]
fn a_void_record_that_names_what_was_committed_or_what_follows_it() {
    for (first, count) in [(0, 1), (1, 2)] {
        let mut drive = busy();
        let good = drive.zones[6].good_units;
        let range = VoidRange { first_unit: good + first - 1, unit_count: count };
        drive.group(6, &[Op::Void(range), Op::Put(50, 10)]);
        assert_lie(&mut drive, FindingKind::VoidContradicts);
    }
}

#[test]
fn a_torn_group_that_no_void_record_names() {
    let mut drive = busy();
    drive.torn(6, &[Op::Put(50, 10)]);
    drive.group(6, &[Op::Put(51, 10)]);
    assert_lie(&mut drive, FindingKind::CommitContradictsRecords);
}

#[test]
fn a_move_that_leaves_the_old_copy_alive() {
    let mut drive = busy();
    let moved = drive.live[0];
    drive.group(6, &[Op::MoveSilently(moved)]);
    let report = assert_lie(&mut drive, FindingKind::MoveWithoutTombstone);
    assert!(report.findings.iter().any(|finding| finding.kind == FindingKind::KeyTwice), "{report}");
}

#[test]
fn a_key_that_was_stored_twice() {
    let mut drive = busy();
    drive.group(6, &[Op::Put(6, 10)]);
    let report = assert_lie(&mut drive, FindingKind::KeyTwice);
    assert_eq!(report.findings[0].key, Some(key(6).to_string()));
}

#[test]
fn a_tombstone_of_what_cannot_be() {
    let target = |change: fn(&mut drive::Block)| {
        let mut drive = busy();
        let mut block = drive.live[0];
        change(&mut block);
        drive.group(6, &[Op::Delete(block)]);
        drive
    };
    let changes: [fn(&mut drive::Block); 5] = [
        |block| block.incarnation += 1000,
        |block| block.incarnation += 1,
        |block| block.birth += 1,
        |block| block.key = key(98),
        |block| block.zone = 0,
    ];
    for change in changes {
        assert_lie(&mut target(change), FindingKind::TombstoneContradicts);
    }
}

#[test]
fn a_footer_that_says_another_thing_than_its_zone() {
    let mut drive = busy();
    drive
        .seal_with(6, |footer| imbrex_format::Footer { first_sequence: footer.first_sequence + 1, ..footer });
    assert_lie(&mut drive, FindingKind::FooterContradicts);
    let mut drive = busy();
    drive.seal_with(6, |footer| imbrex_format::Footer { last_group: 1, ..footer });
    assert_lie(&mut drive, FindingKind::FooterContradicts);
    let mut drive = busy();
    drive.seal_with(6, |footer| imbrex_format::Footer { last_sequence: footer.last_sequence - 1, ..footer });
    assert_lie(&mut drive, FindingKind::FooterContradicts);
    let mut drive = busy();
    drive.seal_with(6, |footer| imbrex_format::Footer { entries: &footer.entries[1..], ..footer });
    assert_lie(&mut drive, FindingKind::FooterContradicts);
}

#[test]
fn a_sealed_zone_with_a_group_that_no_commit_closes() {
    let mut drive = busy();
    drive.torn(6, &[Op::Put(50, 10)]);
    drive.seal(6);
    assert_lie(&mut drive, FindingKind::FooterContradicts);
}

#[test]
fn a_zone_header_that_does_not_belong_where_it_stands() {
    let mut drive = busy();
    drive.open_zone(3, ZoneContent::Records, 0);
    assert_lie(&mut drive, FindingKind::ZoneHeaderContradicts);
    let mut drive = busy();
    let header = ZoneHeader {
        zone: 9,
        content: ZoneContent::Records,
        stream: 0,
        incarnation: 7,
        first_sequence: 8,
        opened_at_unix_s: 0,
    };
    let mut unit = vec![0; UNIT_BYTES];
    header.encode(&drive.label, &mut unit);
    drive.write(9, 0, &unit);
    assert_lie(&mut drive, FindingKind::ZoneHeaderContradicts);
}

#[test]
fn a_label_that_is_not_the_drives_or_not_the_other_ones() {
    let with = |zone: u32, change: fn(&mut Label)| {
        let mut drive = busy();
        let mut label = drive.label.clone();
        change(&mut label);
        let mut unit = vec![0; UNIT_BYTES];
        label.encode(&mut unit);
        drive.memory.put(zone, 0, &unit);
        drive
    };
    let changes: [fn(&mut Label); 3] = [
        |label| label.blocks_max += 1,
        |label| (label.generation, label.zone_count) = (2, 13),
        |label| (label.generation, label.device_serial) = (2, "OTHER".into()),
    ];
    for change in changes {
        assert_lie(&mut with(1, change), FindingKind::LabelContradicts);
    }
    let report = with(1, |label| label.generation = 2).verify(&WHOLE);
    assert_eq!((report.verdict, report.notes.len()), (Verdict::Sound, 1), "a crash came between two labels");
}

#[test]
fn whatever_byte_of_a_structure_changes_is_found_and_is_called_damage() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.checkpoint(1, 2);
    drive.group(6, &[Op::Put(70, 10)]);
    // Every zone that is not sealed is vouched for by a commit in another one, save the very last group.
    drive.group(7, &[Op::Put(71, 10)]);
    drive.group(2, &[Op::Put(72, 10)]);
    assert_eq!(drive.verify(&WHOLE).verdict, Verdict::Sound);
    let last_commit = (2, drive.zones[2].good_units - 1);
    let last_block = (2, drive.zones[2].good_units - 2);
    let structures = drive.structures.clone();
    let mut seen = 0;
    for (zone, unit) in structures {
        if (zone, unit) == last_commit || (zone, unit) == last_block {
            continue;
        }
        for byte in [0, 5, 13, 20, 33, 45, 59, 70, 81, 97, 127, 130, 195, 250] {
            let is_covered = is_covered(drive.memory.unit(zone, unit), byte);
            if !is_covered {
                continue;
            }
            drive.memory.unit(zone, unit)[byte] ^= 0x40;
            let report = drive.verify(&WHOLE);
            assert_eq!(
                report.verdict,
                Verdict::Damaged,
                "byte {byte} of unit {unit} in zone {zone}: {report}"
            );
            drive.memory.unit(zone, unit)[byte] ^= 0x40;
            seen += 1;
        }
    }
    assert!(seen > 400, "{seen}");
}

/// Whether something in the unit vouches for its byte.
fn is_covered(unit: &[u8], byte: usize) -> bool {
    let is_record = unit[..4] == *b"IBRK";
    let payload_bytes = u32::from_le_bytes([unit[12], unit[13], unit[14], unit[15]]) as usize;
    let end =
        if payload_bytes == 0 { 128 } else { imbrex_format::payload_offset(payload_bytes) + payload_bytes };
    !is_record || byte < end
}

#[test]
fn units_that_cannot_be_read_are_damage_wherever_they_are() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.group(7, &[Op::Put(71, 10)]);
    drive.group(2, &[Op::Put(72, 10)]);
    let good = drive.zones[2].good_units;
    for (zone, unit) in drive.structures.clone() {
        if zone == 2 && unit + 2 >= good {
            continue;
        }
        drive.memory.unreadable.insert((zone, unit));
        let report = drive.verify(&WHOLE);
        assert_eq!(report.verdict, Verdict::Damaged, "unit {unit} in zone {zone}: {report}");
        drive.memory.unreadable.clear();
    }
    for zone in [2, 5, 6, 7] {
        let condition = drive.memory.zones[zone].condition;
        drive.memory.zones[zone].condition = Condition::Offline;
        assert_damage(&mut drive, FindingKind::ZoneLost);
        drive.memory.zones[zone].condition = condition;
    }
}

#[test]
fn a_damaged_commit_before_padding_that_was_written_after_a_mount_is_not_taken_for_a_torn_group() {
    let mut drive = busy();
    let commit = drive.zones[6].good_units - 1;
    drive.sequence += 1 << 20;
    drive.seal(6);
    assert_eq!(drive.verify(&WHOLE).verdict, Verdict::Sound);
    drive.memory.unit(6, commit)[9] ^= 1;
    assert_damage(&mut drive, FindingKind::RecordDamaged);
}

#[test]
fn a_damaged_block_is_named_by_its_key_and_a_drive_without_labels_is_read() {
    let mut drive = busy();
    drive.memory.unit(6, 1)[4] ^= 1;
    let report = assert_damage(&mut drive, FindingKind::RecordDamaged);
    assert!(report.findings.iter().any(|finding| finding.key == Some(key(7).to_string())), "{report}");

    let mut drive = busy();
    (0..2).for_each(|zone| drive.memory.unit(zone, 0).fill(0));
    let report = assert_damage(&mut drive, FindingKind::LabelDamaged);
    assert!(report.drive.unwrap().is_label_recovered && report.counts.blocks == 10);

    // One label is lost, the other is older than what a zone's header tells.
    let mut drive = busy();
    drive.memory.unit(1, 0).fill(0);
    let report = assert_damage(&mut drive, FindingKind::LabelDamaged);
    assert!(!report.drive.unwrap().is_label_recovered);
    let newer = Label { generation: 2, ..drive.label.clone() };
    let header = ZoneHeader::decode(drive.memory.unit(5, 0), &drive.label, 5).unwrap();
    header.encode(&newer, drive.memory.unit(5, 0));
    let report = assert_damage(&mut drive, FindingKind::LabelDamaged);
    assert!(report.drive.unwrap().is_label_recovered && report.counts.blocks == 10);

    let mut drive = busy();
    drive.memory.unit(5, 6)[3000] ^= 1;
    let report = drive.verify(&VerifyOptions { payloads: false, ..WHOLE });
    assert_eq!(report.verdict, Verdict::Sound, "payloads are not read");
    assert_damage(&mut drive, FindingKind::PayloadDamaged);
}
