//! A zone of which a commit tells that it held records, and that is empty now: where tombstones name what stood in it, it was
//! emptied in order; where they may have stood in it and have gone with it, nothing tells, and the verifier says so.

mod drive;

use drive::states::{killed, stopped};
use drive::{Op, TestDrive, busy};
use imbrex_format::ZoneContent;
use imbrex_format::verify::{FindingKind, Report, Verdict, VerifyOptions};

const WHOLE: VerifyOptions =
    VerifyOptions { payloads: true, zone: None, all: true, memory_bytes_max: 16 << 20 };

#[track_caller]
fn assert_unsure(drive: &mut TestDrive, zone: u32) -> Report {
    let report = drive.verify(&WHOLE);
    assert_eq!(report.verdict, Verdict::Unsure, "{report}");
    let told: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.zone)).collect();
    assert!(told.contains(&(FindingKind::MayBeGone, Some(zone))), "{report}");
    assert!(told.iter().all(|(kind, _)| *kind == FindingKind::MayBeGone), "{report}");
    assert_eq!(report.unsure, told.len() as u64);
    report
}

#[track_caller]
fn assert_sound(drive: &mut TestDrive) {
    let report = drive.verify(&WHOLE);
    assert_eq!(report.verdict, Verdict::Sound, "{report}");
}

/// Opens zone 9 and stores blocks there, all of which are dead by its own tombstones.
fn live_and_die(drive: &mut TestDrive) {
    drive.open_zone(9, ZoneContent::Records, 1);
    let stored = drive.group(9, &[Op::Put(30, 300), Op::Put(31, 9_000)]);
    drive.group(9, &stored.iter().map(|block| Op::Delete(*block)).collect::<Vec<_>>());
}

#[test]
fn one_that_was_open_at_the_last_commit_and_was_sealed_and_reset_by_a_mount() {
    for mut drive in [busy(), killed(), stopped()] {
        live_and_die(&mut drive);
        drive.group(7, &[Op::Put(32, 10)]);
        assert_sound(&mut drive);
        drive.seal(9);
        assert_sound(&mut drive);
        drive.reset(9);
        assert_unsure(&mut drive, 9);
    }
}

#[test]
fn one_that_killed_its_own_blocks_and_was_closed_long_ago() {
    for mut drive in [busy(), killed(), stopped()] {
        live_and_die(&mut drive);
        drive.group(7, &[Op::Put(32, 10)]);
        drive.seal(9);
        drive.reset(9);
        drive.group(7, &[Op::Put(33, 10)]);
        drive.group(7, &[Op::Put(34, 10)]);
        assert_unsure(&mut drive, 9);
    }
}

#[test]
fn one_that_was_opened_since_the_checkpoint_and_was_reset_with_live_blocks_in_it() {
    for mut drive in [busy(), killed(), stopped()] {
        drive.open_zone(9, ZoneContent::Records, 1);
        drive.group(9, &[Op::Put(30, 300)]);
        drive.group(7, &[Op::Put(32, 10)]);
        drive.group(9, &[Op::Put(31, 300)]);
        drive.seal(9);
        drive.group(7, &[Op::Put(33, 10)]);
        assert_sound(&mut drive);
        drive.reset(9);
        let report = assert_unsure(&mut drive, 9);
        assert!(
            report.to_string().contains("unsure  zone 9: by a commit it was good up to unit"),
            "{report}"
        );
    }
}

#[test]
fn one_of_which_a_checkpoint_tells_that_all_in_it_was_dead_was_emptied_in_order() {
    for (slot, mut drive) in [(0, busy()), (0, killed()), (1, stopped())] {
        live_and_die(&mut drive);
        drive.group(7, &[Op::Put(32, 10)]);
        drive.seal(9);
        drive.checkpoint(slot, 4);
        drive.reset(9);
        assert_sound(&mut drive);
    }
}

#[test]
fn one_whose_blocks_were_moved_was_emptied_in_order() {
    for mut drive in [busy(), killed(), stopped()] {
        drive.open_zone(9, ZoneContent::Records, 1);
        let stored = drive.group(9, &[Op::Put(30, 300)]);
        drive.group(7, &[Op::Put(32, 10)]);
        drive.seal(9);
        drive.group(7, &[Op::Move(stored[0])]);
        drive.reset(9);
        assert_sound(&mut drive);
    }
}

#[test]
fn what_leaves_no_trace_at_all_is_said_to_be_beyond_what_can_be_told() {
    let report = stopped().verify(&WHOLE);
    assert_eq!((report.verdict, report.cannot_tell.len()), (Verdict::Sound, 1), "{report}");
    assert!(
        report.to_string().contains("\ncannot tell: whether anything was stored after group"),
        "{report}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((json["verdict"].as_str(), json["unsure"].as_u64()), (Some("sound"), Some(0)));
}
