//! Labels name the zones of checkpoints. Where those zones change and one of the two labels cannot be written anew, the older
//! one names zones that count no more: whatever can be read of the two later, what was stored is there. A mount renews what
//! it finds stale or unreadable, and where both are lost it finds the newest copy, wherever that stands.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, State, ZoneRole};
use imbrex_zoned::Condition;
use imbrex_zoned::simulated::{FaultKind, FaultRates, SimulatedGeometry};
use support::by_hand::{Bench, small_drive};

const ZONE_BYTES: u64 = 1 << 20;
const LENGTH: usize = 200_000;
const UNIT_BYTES: u64 = 4096;

fn options() -> Options {
    Options { trash_rest: Duration::ZERO, checkpoint_bytes: 2 << 20, ..Options::default() }
}

/// A drive whose labels stand in conventional zones, or in sequential ones.
fn bench(zone_count: u32, conventional_zones: u32) -> Bench {
    let geometry = SimulatedGeometry { conventional_zones, ..small_drive(zone_count, ZONE_BYTES) };
    Bench::formatted(geometry, options())
}

fn label_zones(bench: &mut Bench) -> Vec<u32> {
    bench.zones_in(ZoneRole::Label).iter().map(|zone| zone.zone).collect()
}

fn slots(bench: &mut Bench) -> Vec<u32> {
    bench.zones_in(ZoneRole::Checkpoint).iter().map(|zone| zone.zone).collect()
}

fn conceal(bench: &Bench, zone: u32) {
    bench.drive.conceal(u64::from(zone) * ZONE_BYTES, UNIT_BYTES);
}

/// Lets a zone of a slot wear out, and stores until other zones have taken their place and hold a checkpoint.
fn move_slots(bench: &mut Bench, first_number: u32) -> Vec<u32> {
    let before = slots(bench);
    bench.drive.wear_out(before[0], Condition::ReadOnly).unwrap();
    let mut stored = Vec::new();
    let (mut moved_at, mut is_done) = (None, false);
    for number in first_number..first_number + 400 {
        bench.put(number, LENGTH).unwrap();
        // Half of it dies.
        if number % 2 == 0 {
            bench.delete(number).unwrap();
        } else {
            stored.push(number);
        }
        let stats = bench.engine.stats();
        if moved_at.is_none() && stats.slots_moved > 0 {
            moved_at = Some(stats.checkpoints);
        }
        is_done = moved_at.is_some_and(|checkpoints| stats.checkpoints > checkpoints + 1);
        if is_done {
            break;
        }
    }
    assert!(is_done && !slots(bench).contains(&before[0]), "not moved: {:?}", bench.engine.stats());
    stored
}

fn check(bench: &mut Bench, stored: &[u32], when: &str) {
    assert_eq!(bench.engine.state(), State::Serving, "{when}");
    for number in stored {
        assert_eq!(bench.get(*number), Ok(LENGTH), "block {number}, {when}");
    }
}

/// Stores in every zone that is free, so that whatever a wrong label calls a slot holds blocks.
fn fill(bench: &mut Bench, first_number: u32, stored: &mut Vec<u32>) {
    let (last, _) = bench.fill(first_number, LENGTH);
    stored.extend(first_number..last);
}

#[test]
fn an_older_label_that_cannot_be_overwritten_is_not_believed_when_the_newer_one_cannot_be_read() {
    for conventional_zones in [4, 0] {
        let mut bench = bench(32, conventional_zones);
        let labels = label_zones(&mut bench);
        // What the older checkpoints know dies later, and its zones get other lives.
        for number in 0..40 {
            bench.put(number, LENGTH).unwrap();
        }
        bench.drive.wear_out(labels[1], Condition::ReadOnly).unwrap();
        let mut stored = move_slots(&mut bench, 1000);
        for number in 0..40 {
            bench.delete(number).unwrap();
        }
        fill(&mut bench, 5000, &mut stored);
        conceal(&bench, labels[0]);
        bench.crash(7);
        check(&mut bench, &stored, "by the older label, and the copies");
        assert!(bench.engine.stats().labels_renewed > 0);
        bench.drive.reveal();
        bench.crash(8);
        check(&mut bench, &stored, "by the label that was renewed");
    }
}

#[test]
fn a_label_that_cannot_be_read_is_written_anew_by_the_next_mount() {
    for conventional_zones in [4, 0] {
        let mut bench = bench(32, conventional_zones);
        bench.put(1, LENGTH).unwrap();
        for (round, lost) in [0, 1, 0, 1].into_iter().enumerate() {
            let zone = label_zones(&mut bench)[lost];
            bench.drive.make_unreadable(u64::from(zone) * ZONE_BYTES, UNIT_BYTES).unwrap();
            bench.crash(round as u64);
            check(&mut bench, &[1], "by the other label");
            assert_eq!(bench.engine.stats().labels_renewed, 1);
            bench.crash(round as u64);
            assert_eq!(bench.engine.stats().labels_renewed, 0);
        }
    }
}

#[test]
fn with_both_labels_lost_the_newest_copy_is_found_behind_many_older_ones() {
    let mut bench = bench(128, 0);
    let labels = label_zones(&mut bench);
    let mut stored = Vec::new();
    // More zones than hold copies of the first label, before the slots move.
    for number in 0..400 {
        bench.put(number, LENGTH).unwrap();
        stored.push(number);
    }
    stored.extend(move_slots(&mut bench, 1000));
    let now = slots(&mut bench);
    assert!(now.iter().all(|zone| *zone > 66), "the copies of the newer label stand behind 64 older ones");
    labels.iter().for_each(|zone| conceal(&bench, *zone));
    bench.crash(7);
    check(&mut bench, &stored, "by the newest copy");
    assert_eq!((slots(&mut bench), bench.engine.stats().labels_renewed), (now, 2));
    bench.drive.reveal();
    bench.crash(8);
    check(&mut bench, &stored, "by the labels that were renewed");
}

#[test]
fn a_label_that_could_be_written_nowhere_is_not_taken_for_newer_than_those_that_came_after() {
    let mut bench = bench(32, 0);
    let labels = label_zones(&mut bench);
    let before = slots(&mut bench);
    let mut stored: Vec<u32> = (0..40).collect();
    for number in 0..20 {
        bench.put(number, LENGTH).unwrap();
    }
    // Found by the copies; neither place can be written anew, and zones are opened.
    labels.iter().for_each(|zone| conceal(&bench, *zone));
    bench.drive.set_faults(1, FaultRates::none().with(FaultKind::ResetError, 1));
    bench.crash(7);
    assert_eq!(bench.engine.stats().labels_renewed, 0);
    bench.drive.set_faults(1, FaultRates::none());
    for number in 20..40 {
        bench.put(number, LENGTH).unwrap();
    }
    // Both can be read again, and the slots move, so that the old ones go to the log.
    bench.drive.reveal();
    bench.crash(8);
    stored.extend(move_slots(&mut bench, 1000));
    fill(&mut bench, 5000, &mut stored);
    let now = slots(&mut bench);
    assert!(!now.contains(&before[0]) && !now.contains(&before[1]), "{before:?}, {now:?}");
    labels.iter().for_each(|zone| conceal(&bench, *zone));
    bench.crash(9);
    check(&mut bench, &stored, "by the newest copy");
}

#[test]
fn zones_of_old_slots_go_to_the_log_once_a_mount_has_renewed_the_label_that_names_them() {
    let mut bench = bench(32, 0);
    let labels = label_zones(&mut bench);
    let before = slots(&mut bench);
    let mut stored: Vec<u32> = (0..40).collect();
    for number in &stored {
        bench.put(*number, LENGTH).unwrap();
    }
    assert!(bench.engine.stats().checkpoints > 2, "both slots hold one");
    bench.drive.wear_out(before[0], Condition::ReadOnly).unwrap();
    let mut tickets = Vec::new();
    for number in 0..2000 {
        if bench.engine.stats().slots_moved > 0 {
            break;
        }
        // However often the label is written to this place, it fails.
        bench.drive.fail_next_write(labels[1]);
        if number % 20 == 0 {
            tickets.push(bench.begin_put(1000 + number, LENGTH));
        }
        bench.turn();
    }
    assert_eq!(bench.engine.stats().slots_moved, 1);
    bench.until(|bench| bench.engine.is_idle());
    let role = |bench: &mut Bench, zone: u32| bench.zones()[zone as usize].role;
    assert_eq!(role(&mut bench, before[1]), ZoneRole::Lost, "the older label names it");

    bench.crash(7);
    check(&mut bench, &stored, "by the newer label");
    assert_eq!(bench.engine.stats().labels_renewed, 1);
    fill(&mut bench, 5000, &mut stored);
    let now = role(&mut bench, before[1]);
    assert!(matches!(now, ZoneRole::Free | ZoneRole::Open | ZoneRole::Sealed), "it is {now:?}");
    bench.crash(8);
    check(&mut bench, &stored, "after another crash");
}
