//! Whatever a writer may leave behind, and whatever a crash may, is no damage and no lie.

mod drive;

use drive::{Op, TestDrive, busy, key, tombstone};
use imbrex_format::verify::{FindingKind, Report, Verdict, VerifyError, VerifyOptions, verify};
use imbrex_format::{RecordKind, UNIT_BYTES, VoidRange, ZoneContent};
use imbrex_zoned::Condition;

const WHOLE: VerifyOptions =
    VerifyOptions { payloads: true, zone: None, all: true, memory_bytes_max: 16 << 20 };

fn assert_sound(drive: &mut TestDrive) -> Report {
    let report = drive.verify(&WHOLE);
    assert_eq!(report.verdict, Verdict::Sound, "{report}");
    report
}

#[test]
fn one_that_was_just_formatted() {
    let report = assert_sound(&mut TestDrive::new());
    assert_eq!((report.counts.blocks, report.checkpoint), (0, None));
}

#[test]
fn one_with_every_kind_of_record_in_several_streams() {
    let report = assert_sound(&mut busy());
    let counts = report.counts;
    assert_eq!((counts.zones_with_records, counts.zones_sealed, counts.groups), (4, 1, 6));
    assert_eq!((counts.blocks, counts.live_blocks, counts.tombstones), (10, 6, 4));
    assert_eq!(counts.payload_bytes, 100 + 70_000 + 5000 + 1 + 3000 + 100 + 100 + 100 + 9000);
}

#[test]
fn one_with_two_checkpoints_and_what_was_written_and_reset_since() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.group(6, &[Op::Put(9, 10)]);
    drive.checkpoint(1, 2);
    let moved = drive.live.iter().filter(|block| block.zone == 5).map(|block| Op::Move(*block));
    // The zone has a tombstone whose target is still there.
    let carried = drive.dead.iter().filter(|block| block.zone == 2).map(|block| Op::Delete(*block));
    let gone: Vec<Op> = moved.chain(carried).collect();
    drive.group(7, &gone);
    drive.reset(5);
    drive.open_zone(8, ZoneContent::Records, 0);
    drive.group(8, &[Op::Put(10, 10), Op::Put(11, 20)]);
    let last = drive.live.iter().find(|block| block.key == key(7)).copied().unwrap();
    drive.group(8, &[Op::Delete(last)]);
    drive.seal(6);
    let checkpoint = assert_sound(&mut drive).checkpoint.unwrap();
    assert_eq!((checkpoint.number, checkpoint.slot, checkpoint.is_compared), (2, 1, true));
    assert_eq!((checkpoint.blocks, checkpoint.blocks_since, checkpoint.tombstones_since), (7, 4, 5));
}

#[test]
fn one_whose_newest_checkpoint_was_torn_by_a_crash() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    let mut draft = drive.draft(2);
    draft.is_ended = false;
    drive.write_checkpoint(1, &draft);
    let report = assert_sound(&mut drive);
    assert_eq!(report.checkpoint.unwrap().number, 1);
    assert!(report.notes.iter().any(|note| note.contains("not completed")), "{report}");
}

#[test]
fn one_that_goes_on_after_a_torn_group_with_a_void_record() {
    let mut drive = busy();
    let good = drive.zones[6].good_units;
    drive.torn(6, &[Op::Put(20, 100), Op::Put(21, 9000)]);
    // The second record was cut after its first unit.
    let cut = drive.zones[6].next_unit - 2;
    (cut..cut + 2).for_each(|unit| drive.memory.unit(6, unit).fill(0));
    drive.zones[6].next_unit = cut;
    drive.sequence += 1 << 20;
    let report = drive.verify(&WHOLE);
    assert_eq!(report.verdict, Verdict::Sound, "before anything followed: {report}");
    let torn = VoidRange { first_unit: good, unit_count: cut - good };
    drive.group(6, &[Op::Void(torn), Op::Put(22, 10)]);
    assert_sound(&mut drive);
    drive.seal(6);
    let report = assert_sound(&mut drive);
    assert_eq!(report.counts.live_blocks, 7);
}

#[test]
fn one_whose_conventional_zone_goes_on_over_a_torn_group() {
    let mut drive = busy();
    let good = drive.zones[2].good_units;
    drive.torn(2, &[Op::Put(20, 100), Op::Put(21, 20_000), Op::Put(22, 100)]);
    assert_sound(&mut drive);
    drive.zones[2].next_unit = good;
    drive.sequence += 1 << 20;
    drive.group(2, &[Op::Put(23, 10)]);
    assert_sound(&mut drive);
    drive.group(2, &[Op::Put(24, 30_000)]);
    drive.seal(2);
    assert_sound(&mut drive);
}

#[test]
fn one_with_a_fenced_zone_whose_failed_group_stands_whole() {
    let mut drive = busy();
    let good = drive.zones[6].good_units;
    let failed = drive.group(6, &[Op::Put(20, 100), Op::Put(21, 100)]);
    drive.zones[6].is_open = false;
    drive.zones[6].good_units = good;
    let rewritten = drive.group(7, &[Op::Move(failed[0]), Op::Move(failed[1])]);
    assert_eq!(rewritten[0].birth, failed[0].birth);
    let report = assert_sound(&mut drive);
    assert_eq!(report.counts.live_blocks, 8);
    drive.checkpoint(0, 1);
    assert_sound(&mut drive);
}

#[test]
fn one_with_tombstones_for_places_where_nothing_came_to_stand_and_for_lives_that_have_ended() {
    let mut drive = busy();
    drive.open_zone(9, ZoneContent::Records, 0);
    let old = drive.group(9, &[Op::Put(30, 10)]);
    drive.group(7, &[Op::Move(old[0])]);
    drive.reset(9);
    let mut nothing = old[0];
    (nothing.zone, nothing.unit) = (6, 40);
    nothing.incarnation = drive.zones[6].incarnation;
    drive.group(7, &[Op::Delete(nothing)]);
    let report = assert_sound(&mut drive);
    assert_eq!((report.counts.tombstones_ended, report.counts.tombstones_of_nothing), (1, 1));
    assert_eq!(tombstone(&nothing).unit_offset, 40);
}

#[test]
fn one_whose_zone_was_begun_and_torn_in_its_header() {
    let mut drive = busy();
    drive.write(10, 0, &[7; UNIT_BYTES]);
    let report = assert_sound(&mut drive);
    assert_eq!(report.notes.len(), 1, "{report}");
}

#[test]
fn one_whose_begun_zone_was_finished_and_one_that_was_sealed_behind_a_torn_group() {
    let mut drive = busy();
    drive.memory.zones[10].condition = Condition::Full;
    drive.memory.zones[10].write_pointer_bytes = None;
    drive.torn(6, &[Op::Put(20, 100), Op::Put(21, 100)]);
    let cut = drive.zones[6].next_unit - 1;
    drive.memory.unit(6, cut).fill(0xee);
    drive.sequence += 1 << 20;
    drive.seal(6);
    let report = assert_sound(&mut drive);
    assert_eq!((report.counts.live_blocks, report.counts.zones_sealed), (6, 2));
}

#[test]
fn one_that_goes_on_inside_padding_that_a_crash_has_torn() {
    let mut drive = busy();
    let good = drive.zones[6].good_units;
    let before = drive.zones[6].clone();
    drive.seal(6);
    // Of the padding three units were written, and it claims all that the next footer will leave to it.
    (good + 3..64).for_each(|unit| drive.memory.unit(6, unit).fill(0));
    drive.zones[6] = before;
    drive.zones[6].next_unit = good + 3;
    drive.sequence += 1 << 20;
    let torn = VoidRange { first_unit: good, unit_count: 3 };
    drive.group(6, &[Op::Void(torn), Op::Put(22, 10)]);
    drive.seal(6);
    let report = assert_sound(&mut drive);
    assert_eq!(report.counts.live_blocks, 7);
    // The same, the footer of the second time torn in its last unit.
    drive.memory.unit(6, 63)[1024..].fill(0);
    assert_sound(&mut drive);
}

#[test]
fn one_whose_client_stored_what_looks_like_records() {
    let mut drive = busy();
    let image = drive.memory.unit(5, 1).to_vec();
    let sequence = drive.next_sequence();
    let unit = drive.record_as(6, RecordKind::Block, &image.repeat(3), sequence, sequence, key(40));
    // It is torn, so that its inside is searched.
    drive.memory.unit(6, unit)[5] ^= 1;
    let void = VoidRange { first_unit: unit, unit_count: drive.zones[6].next_unit - unit };
    drive.group(6, &[Op::Void(void), Op::Put(41, 10)]);
    assert_sound(&mut drive);
}

#[test]
fn a_drive_that_cannot_be_verified_is_refused_and_says_why() {
    let mut drive = TestDrive::new();
    let options = VerifyOptions { zone: Some(12), ..WHOLE };
    let expected = VerifyError::NoSuchZone { zone: 12, zone_count: 12 };
    assert_eq!(verify(&mut drive.memory, &options).unwrap_err(), expected);

    let mut full = busy();
    let options = VerifyOptions { memory_bytes_max: 1000, ..WHOLE };
    let expected = VerifyError::Memory { memory_bytes_max: 1000 };
    assert_eq!(verify(&mut full.memory, &options).unwrap_err(), expected);

    drive.memory.unit(0, 0)[8] = 3;
    drive.memory.unit(1, 0)[8] = 3;
    let error = verify(&mut drive.memory, &WHOLE).unwrap_err();
    assert!(error.to_string().contains("format version 3"), "{error}");
    (0..2).for_each(|zone| drive.memory.unit(zone, 0).fill(0));
    assert_eq!(verify(&mut drive.memory, &WHOLE).unwrap_err(), VerifyError::NotFormatted);
}

#[test]
fn a_report_says_what_was_left_out() {
    let mut drive = busy();
    let text = drive.verify(&VerifyOptions::default()).to_string();
    assert!(text.contains("no payload of a block") && text.contains("SOUND"), "{text}");
    let options = VerifyOptions { zone: Some(6), ..WHOLE };
    let report = drive.verify(&options);
    assert!(report.to_string().contains("zone 6 alone"), "{report}");
    assert_eq!((report.counts.zones_with_records, report.extent.is_replayed), (1, false));
    assert!(!FindingKind::ZoneLost.is_lie() && FindingKind::KeyTwice.is_lie());
}
