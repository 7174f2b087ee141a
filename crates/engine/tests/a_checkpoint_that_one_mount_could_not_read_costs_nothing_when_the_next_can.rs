//! The newest checkpoint cannot be read at one mount, the drive serves with the older one, the power fails, and then the
//! newest can be read again. It knows nothing of what was stored between: that is there all the same.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, State, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const ZONES: u32 = 32;
const ZONE_BYTES: u64 = 1 << 20;
const LENGTH: usize = 200_000;
/// In so many turns after the first mount the power fails.
const TURNS_MAX: u32 = 24;

fn bench() -> Bench {
    // As much as four zones hold between two checkpoints, and no rest before a reset.
    let options =
        Options { trash_rest: Duration::ZERO, checkpoint_bytes: 4 * ZONE_BYTES, ..Options::default() };
    Bench::formatted(small_drive(ZONES, ZONE_BYTES), options)
}

/// The lives of the two slots' zones: a checkpoint's life is a place in the log.
fn checkpoint_lives(bench: &mut Bench) -> (u64, u64) {
    let lives = bench.zones_in(ZoneRole::Checkpoint).into_iter().map(|zone| zone.incarnation);
    let mut lives: Vec<u64> = lives.collect();
    lives.sort_unstable();
    (lives[0], lives[1])
}

/// Hides the zone of the newest checkpoint: of the two slots the one that was opened last.
fn conceal_newest(bench: &mut Bench) {
    let zones = bench.zones_in(ZoneRole::Checkpoint);
    let newest = zones.iter().max_by_key(|zone| zone.incarnation).unwrap().zone;
    bench.drive.conceal(u64::from(newest) * ZONE_BYTES, 4096);
}

/// A drive of which some zones were opened and sealed between its two checkpoints, and are empty now; with the numbers of the
/// blocks that were deleted.
fn drive_with_zones_that_only_the_newest_knows() -> (Bench, std::ops::Range<u32>) {
    let mut bench = bench();
    bench.put(1, LENGTH).unwrap();
    let (mut number, mut first) = (100, 0);
    while bench.engine.stats().checkpoints < 3 {
        if bench.engine.stats().checkpoints < 2 {
            first = number;
        }
        bench.put(number, LENGTH).unwrap();
        number += 1;
    }
    let (older, newer) = checkpoint_lives(&mut bench);
    let known_to_newest = |bench: &mut Bench| -> Vec<(u32, Condition)> {
        let zones = bench.zones().into_iter().filter(|zone| (older..newer).contains(&zone.incarnation));
        let zones = zones.filter(|zone| zone.role != ZoneRole::Checkpoint && zone.role != ZoneRole::Open);
        zones.map(|zone| (zone.zone, zone.condition)).collect()
    };
    assert!(known_to_newest(&mut bench).len() > 2);
    for dead in first..number {
        bench.delete(dead).unwrap();
    }
    let is_empty = |(_, condition): &(u32, Condition)| *condition == Condition::Empty;
    bench.until(|bench| known_to_newest(bench).iter().all(is_empty));
    assert_eq!(checkpoint_lives(&mut bench), (older, newer), "another checkpoint came between");
    (bench, first..number)
}

#[test]
fn a_checkpoint_that_one_mount_could_not_read_costs_nothing_when_the_next_can() {
    let mut stored_between = 0;
    for turns in 0..TURNS_MAX {
        let (mut bench, deleted) = drive_with_zones_that_only_the_newest_knows();
        conceal_newest(&mut bench);
        bench.crash(u64::from(turns));
        assert_eq!(bench.engine.state(), State::Serving);
        bench.drive.reveal();

        let mut tickets: Vec<_> =
            (1000..1012).map(|number| (number, bench.begin_put(number, LENGTH))).collect();
        let mut stored = vec![1];
        stored.extend(bench.stored_in(turns, &mut tickets));
        stored_between += stored.len() - 1;
        bench.crash(u64::from(turns) + 1000);
        assert_eq!(bench.engine.state(), State::Serving);
        for number in stored {
            assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, after a crash in turn {turns}");
        }
        for dead in deleted {
            assert!(bench.get(dead).is_err(), "block {dead} is back, after a crash in turn {turns}");
        }
    }
    assert!(stored_between > 0, "nothing was stored between the mounts");
}
