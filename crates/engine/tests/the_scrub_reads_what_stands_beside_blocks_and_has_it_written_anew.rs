//! A zone's header, its footer, its commits and its tombstones are read by the scrub like its blocks. Where one is damaged
//! nothing is lost yet, and the zone is emptied, so that what stands in it is told twice again elsewhere. So are labels and
//! the newest checkpoint: a damaged checkpoint is written anew.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Cursor, Options, PutOutcome, ZoneRole};
use imbrex_format::{UNIT_BYTES, record_units};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const COUNT: u32 = 150;
const ZONE_BYTES: u64 = 2 << 20;
const UNIT: u64 = UNIT_BYTES as u64;

/// A drive with some sealed zones, in each of which some blocks have been deleted.
fn drive() -> Bench {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES), options);
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        if number % 10 == 9 {
            assert_eq!(bench.delete(number - 5), Ok(()));
        }
    }
    bench
}

/// The units of a zone that are no live block's.
fn units_beside_blocks(bench: &mut Bench, zone: u32) -> Vec<u64> {
    let ticket = bench.engine.list(Cursor::default(), Some(zone), 1000);
    let entries = bench.answer(ticket).unwrap().entries;
    let mut units = Vec::new();
    let mut end = None;
    for entry in entries {
        let first = u64::from(entry.unit_offset);
        // A longer hole is that of a block that was deleted.
        units.extend(end.filter(|end| first - end <= 2).into_iter().flat_map(|end| end..first));
        end = Some(first + u64::from(record_units(entry.payload_bytes as usize)));
    }
    units
}

fn check_blocks(bench: &mut Bench) {
    for number in 0..COUNT {
        let is_deleted = number % 10 == 4;
        assert_eq!(bench.get(number).is_ok(), !is_deleted, "block {number}");
    }
}

/// Damages one unit of a sealed zone; the scrub finds it, the zone is emptied, and nothing is lost.
fn is_found_and_mended(unit_of: impl Fn(&mut Bench, u32) -> u64, is_unreadable: bool) {
    let mut bench = drive();
    let zone = bench.zones_in(ZoneRole::Sealed)[1].zone;
    is_found_in(&mut bench, zone, unit_of, is_unreadable);
}

fn is_found_in(bench: &mut Bench, zone: u32, unit_of: impl Fn(&mut Bench, u32) -> u64, is_unreadable: bool) {
    let offset_bytes = u64::from(zone) * ZONE_BYTES + unit_of(bench, zone) * UNIT;
    if is_unreadable {
        bench.drive.make_unreadable(offset_bytes, UNIT).unwrap();
    } else {
        bench.drive.flip_bit(offset_bytes + 40, 3).unwrap();
    }
    let status = bench.scrub_all();
    assert_eq!((status.errors, bench.engine.stats().scrub_structure_errors), (1, 1));
    bench.until(|bench| bench.zones()[zone as usize].live_bytes == 0);
    check_blocks(bench);
    bench.crash(1);
    check_blocks(bench);
    assert_eq!(bench.engine.status().damaged_blocks, 0);
}

#[test]
fn a_commit_or_tombstones() {
    let nth = |nth: usize| move |bench: &mut Bench, zone: u32| units_beside_blocks(bench, zone)[nth];
    for place in 0..10 {
        is_found_and_mended(nth(place), place % 2 == 0);
    }
}

#[test]
fn one_in_a_zone_that_is_open() {
    let mut bench = drive();
    let zone = bench.zones_in(ZoneRole::Open)[0].zone;
    is_found_in(&mut bench, zone, |bench, zone| units_beside_blocks(bench, zone)[2], true);
}

#[test]
fn a_header() {
    is_found_and_mended(|_, _| 0, true);
    is_found_and_mended(|_, _| 0, false);
}

#[test]
fn a_footer() {
    is_found_and_mended(|_, _| ZONE_BYTES / UNIT - 1, true);
    is_found_and_mended(|_, _| ZONE_BYTES / UNIT - 1, false);
}

#[test]
fn a_checkpoint() {
    for unit in [0, 1, 5] {
        let options = Options { checkpoint_bytes: 1 << 20, ..Options::default() };
        let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES), options);
        for number in 0..COUNT {
            assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        }
        bench.turns(200);
        // Whichever slot is the newest.
        for zone in bench.zones_in(ZoneRole::Checkpoint) {
            let offset_bytes = u64::from(zone.zone) * ZONE_BYTES + unit * UNIT;
            let _ = bench.drive.flip_bit(offset_bytes + 100, 5);
        }
        let before = bench.engine.stats().checkpoints;
        bench.scrub_all();
        bench.until(|bench| bench.engine.stats().checkpoints > before);
        assert_eq!(bench.engine.stats().scrub_structure_errors, 1);
        bench.turns(200);
        // The new one is right, and is the one by which a mount goes.
        bench.scrub_all();
        assert_eq!(bench.engine.stats().scrub_structure_errors, 1);
        bench.crash(1);
        for number in 0..COUNT {
            assert_eq!(bench.get(number), Ok(LENGTH));
        }
    }
}

#[test]
fn a_label() {
    let mut bench = drive();
    let label = bench.zones_in(ZoneRole::Label)[1].zone;
    bench.drive.flip_bit(u64::from(label) * ZONE_BYTES + 70, 1).unwrap();
    bench.scrub_all();
    bench.until(|bench| bench.engine.stats().scrub_structure_errors == 1);
}

#[test]
fn what_a_crash_has_torn_is_no_damage() {
    for seed in 0..12 {
        let mut bench = drive();
        let tickets: Vec<_> = (COUNT..COUNT + 6).map(|number| bench.begin_put(number, LENGTH)).collect();
        bench.turns(1);
        drop(tickets);
        bench.crash(seed);
        for number in COUNT + 10..COUNT + 60 {
            assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        }
        let status = bench.scrub_all();
        assert_eq!(status.errors, 0, "seed {seed}");
        assert!(status.records > 100, "seed {seed}");
    }
}
