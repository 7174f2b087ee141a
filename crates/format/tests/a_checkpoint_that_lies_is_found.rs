//! A checkpoint is held against itself, against the log, and against what was written and reset since.

#![expect(clippy::unwrap_used, reason = "what cannot be fails its test")]

mod drive;

use drive::checkpoint::Draft;
use drive::{Op, SLOTS, TestDrive, busy};
use imbrex_format::verify::{FindingKind, Report, Verdict, VerifyOptions};
use imbrex_format::{CheckpointCells, IndexEntry, ZoneCellRole, ZoneContent};
use imbrex_zoned::{Condition, ZoneKind};

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

fn checkpoint_that(alter: impl Fn(&mut Draft)) -> TestDrive {
    let mut drive = busy();
    let mut draft = drive.draft(1);
    alter(&mut draft);
    drive.write_checkpoint(0, &draft);
    drive.group(6, &[Op::Put(70, 10)]);
    drive
}

#[test]
fn a_checkpoint_that_contradicts_itself() {
    let alterations: [fn(&mut Draft); 7] = [
        |draft| draft.end.number += 1,
        |draft| draft.end.record_count += 1,
        |draft| draft.end.patch_count -= 1,
        |draft| draft.begin.bucket_count += 1,
        |draft| {
            draft.cells.truncate(draft.cells.len() - 1);
            draft.patched.truncate(1);
            draft.end.patch_count = 1;
        },
        |draft| draft.patched[0] = 0,
        |draft| draft.change_zone(9, |cell| cell.role = ZoneCellRole::Free),
    ];
    for (number, alter) in alterations.iter().enumerate().take(5) {
        let mut drive = checkpoint_that(alter);
        let report = assert_lie(&mut drive, FindingKind::CheckpointContradicts);
        assert!(report.checkpoint.is_none(), "{number}: {report}");
    }
    assert_eq!(checkpoint_that(alterations[5]).verify(&WHOLE).verdict, Verdict::Sound);
    assert_eq!(checkpoint_that(alterations[6]).verify(&WHOLE).verdict, Verdict::Sound);

    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.checkpoint(1, 1);
    assert_lie(&mut drive, FindingKind::CheckpointContradicts);

    let mut drive = busy();
    let mut draft = drive.draft(1);
    let last = draft.cells.len() - 1;
    draft.cells[last] = [9; 64];
    drive.write_checkpoint(0, &draft);
    assert_lie(&mut drive, FindingKind::CheckpointContradicts);
    assert!(CheckpointCells::COUNT_MAX > last);
}

#[test]
fn a_checkpoint_that_says_another_thing_than_the_log() {
    let alterations: [fn(&mut Draft); 14] = [
        |draft| assert!(!draft.take_entry().is_empty()),
        |draft| {
            let entry = draft.take_entry();
            let moved = IndexEntry { place_units: entry.place_units + 1, ..entry };
            put(draft, moved);
        },
        |draft| {
            let entry = draft.take_entry();
            put(draft, IndexEntry { tag: entry.tag ^ 1, ..entry });
        },
        |draft| {
            let entry = draft.take_entry();
            put(draft, IndexEntry { unit_count: entry.unit_count + 1, ..entry });
        },
        |draft| put(draft, IndexEntry { place_units: 9 * 64 + 1, unit_count: 1, tag: 1 }),
        |draft| draft.end.blocks += 1,
        |draft| draft.end.live_units += 1,
        |draft| draft.end.open[0].good_units -= 1,
        |draft| draft.change_zone(5, |cell| cell.live_units += 1),
        |draft| draft.change_zone(5, |cell| cell.table_entries += 1),
        |draft| draft.change_zone(5, |cell| cell.tombstones += 1),
        |draft| draft.change_zone(5, |cell| cell.incarnation -= 1),
        |draft| draft.change_zone(0, |cell| cell.role = ZoneCellRole::Free),
        |draft| draft.tables[0].1.truncate(1),
    ];
    for (number, alter) in alterations.iter().enumerate() {
        let mut drive = checkpoint_that(alter);
        let report = drive.verify(&WHOLE);
        let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(report.verdict, Verdict::Lying, "{number}: {report}");
        assert!(
            kinds.iter().all(|kind| *kind == FindingKind::CheckpointContradictsLog),
            "{number}: {report}"
        );
    }
}

fn put(draft: &mut Draft, entry: IndexEntry) {
    let buckets = usize::try_from(draft.begin.bucket_count).unwrap();
    let free = (0..buckets).flat_map(|bucket| (0..6).map(move |slot| (bucket, slot)));
    let mut free = free.filter(|(bucket, slot)| IndexEntry::of_slot(&draft.cells[*bucket], *slot).is_empty());
    let (bucket, slot) = free.next_back().unwrap();
    entry.put_into_slot(&mut draft.cells[bucket], slot);
}

#[test]
fn a_zone_that_was_reset_while_something_in_it_was_live() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.reset(7);
    let report = drive.verify(&WHOLE);
    // Without the zone the blocks that were moved to it are gone, and the tombstones of their old places with it: what was
    // moved seems to live again where it was. Whoever has reset the zone, that follows from it.
    assert_eq!((report.verdict, report.lies), (Verdict::Damaged, 0), "{report}");
    let is_told = |kind| report.findings.iter().any(|finding| finding.kind == kind);
    assert!(is_told(FindingKind::MayBeGone) && is_told(FindingKind::FollowsFromDamage), "{report}");
}

#[test]
fn a_tombstone_that_was_dropped_while_its_target_still_stands() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    let moved: Vec<Op> =
        drive.live.iter().filter(|block| block.zone == 5).map(|block| Op::Move(*block)).collect();
    drive.group(7, &moved);
    drive.reset(5);
    assert_lie(&mut drive, FindingKind::CheckpointContradictsLog);
}

#[test]
fn a_zone_that_was_opened_again_before_its_time() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    let gone: Vec<Op> =
        drive.live.iter().filter(|block| block.zone == 6).map(|block| Op::Move(*block)).collect();
    let carried = drive.dead.iter().filter(|block| block.zone != 6).map(|block| Op::Delete(*block));
    let gone: Vec<Op> = gone.into_iter().chain(carried).collect();
    drive.group(7, &gone);
    drive.reset(6);
    assert_eq!(drive.verify(&WHOLE).verdict, Verdict::Sound);
    drive.open_zone(6, ZoneContent::Records, 0);
    drive.group(6, &[Op::Put(80, 10)]);
    assert_lie(&mut drive, FindingKind::CheckpointContradictsLog);
}

#[test]
fn one_that_is_older_than_the_one_before_the_newest_is_none() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.group(6, &[Op::Put(70, 10)]);
    let mut torn = drive.draft(3);
    torn.is_ended = false;
    drive.write_checkpoint(1, &torn);
    let report = drive.verify(&WHOLE);
    assert_eq!(report.verdict, Verdict::Sound, "{report}");
    assert!(
        !report.checkpoint.unwrap().is_compared && report.notes.iter().any(|note| note.contains("stale"))
    );
}

#[test]
fn one_of_which_a_crash_has_left_parts_between_those_of_another_attempt_is_none_and_no_lie() {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    let old = drive.memory.unit(SLOTS, 2).to_vec();
    // Nothing was logged between the two attempts: the slot's zone has the same life again.
    drive.sequence -= 1;
    drive.checkpoint(0, 2);
    drive.memory.unit(SLOTS, 2).copy_from_slice(&old);
    assert_lie(&mut drive, FindingKind::CheckpointContradicts);
    // In a conventional zone, where a crash keeps any part of what was written, that is no lie.
    let zone = &mut drive.memory.zones[SLOTS as usize];
    (zone.kind, zone.condition) = (ZoneKind::Conventional, Condition::NotWritePointer);
    zone.write_pointer_bytes = None;
    let report = drive.verify(&WHOLE);
    assert_eq!((report.verdict, report.checkpoint), (Verdict::Sound, None), "{:?}", report.findings);
    assert!(report.notes.iter().any(|note| note.contains("a crash has torn it")), "{:?}", report.notes);
}
