//! Where a zone that is kept for checkpoints can no longer be written, new labels name others while the drive serves. The
//! power may fail at any moment of it, and once more later.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, State, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;
const ZONES: u32 = 32;
/// In so many turns after the zone has failed the slots have been moved: the test says so if not.
const TURNS_MAX: u32 = 120;

fn bench() -> Bench {
    let options =
        Options { trash_rest: Duration::from_millis(5), checkpoint_bytes: 512 << 10, ..Options::default() };
    Bench::formatted(small_drive(ZONES, 1 << 20), options)
}

/// Stores blocks, then lets a zone of a slot fail, and goes on storing for `turns` turns; gives the blocks that were
/// acknowledged, the deleted ones, and the zones that were kept for checkpoints before.
fn move_for(bench: &mut Bench, turns: u32) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let mut stored: Vec<u32> = (0..60).collect();
    for number in &stored {
        bench.put(*number, LENGTH).unwrap();
    }
    let deleted: Vec<u32> = stored.extract_if(.., |number| *number % 3 == 0).collect();
    for number in &deleted {
        bench.delete(*number).unwrap();
    }
    assert!(bench.engine.stats().checkpoints > 1);
    let kept: Vec<u32> = bench.zones_in(ZoneRole::Checkpoint).iter().map(|zone| zone.zone).collect();
    for zone in &kept {
        bench.drive.wear_out(*zone, Condition::ReadOnly).unwrap();
    }
    let mut tickets: Vec<_> = (100..140).map(|number| (number, bench.begin_put(number, LENGTH))).collect();
    stored.extend(bench.stored_in(turns, &mut tickets));
    (stored, deleted, kept)
}

fn check(bench: &mut Bench, stored: &[u32], deleted: &[u32], when: &str) {
    assert_eq!(bench.engine.state(), State::Serving, "{when}");
    for number in stored {
        assert_eq!(bench.get(*number), Ok(LENGTH), "block {number}, {when}");
    }
    for number in deleted {
        assert!(bench.get(*number).is_err(), "block {number} is back, {when}");
    }
}

#[test]
fn checkpoints_move_to_other_zones_and_a_crash_at_any_turn_loses_nothing() {
    let mut moved = 0;
    for turns in 0..TURNS_MAX {
        let mut bench = bench();
        let (mut stored, deleted, kept) = move_for(&mut bench, turns);
        let now: Vec<u32> = bench.zones_in(ZoneRole::Checkpoint).iter().map(|zone| zone.zone).collect();
        moved += u32::from(now.iter().all(|zone| !kept.contains(zone)));
        bench.crash(u64::from(turns));
        check(&mut bench, &stored, &deleted, &format!("after a crash in turn {turns}"));
        // Zones go on being freed: the drive is written over.
        for number in 200..260 {
            bench.put(number, LENGTH).unwrap();
            bench.delete(number).unwrap();
        }
        bench.put(300, LENGTH).unwrap();
        stored.push(300);
        bench.until(|bench| {
            bench.zones_in(ZoneRole::Checkpoint).iter().all(|zone| !kept.contains(&zone.zone))
                && bench.engine.stats().checkpoints > 0
        });
        bench.crash(u64::from(turns) + 1000);
        check(&mut bench, &stored, &deleted, &format!("after a second crash, the first in turn {turns}"));
    }
    assert!(moved > 0 && moved < TURNS_MAX, "the slots had been moved in {moved} of {TURNS_MAX} runs");
}
