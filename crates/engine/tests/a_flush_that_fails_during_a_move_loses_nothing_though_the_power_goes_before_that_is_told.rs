//! A drive can lose at a flush what it had taken long before, and keep what is written next. Where that meets a block that is
//! being moved, and the power goes before the engine has learned of it, one copy is there all the same.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, ZoneRole};
use imbrex_zoned::Condition;
use imbrex_zoned::simulated::{FaultKind, FaultRates};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const COUNT: u32 = 40;

/// A drive with a zone out of which everything is about to be moved, since it has turned read-only, while clients go on
/// writing.
fn drive(seed: u64) -> Bench {
    let options = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), options);
    // Each wait of the engine ends a part of what is in flight: it learns of a failed flush some time after it.
    bench.drive.set_scheduling(Some(seed));
    bench.drive.set_faults(seed, FaultRates::none());
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let open = bench.zones_in(ZoneRole::Open)[0].zone;
    bench.drive.wear_out(open, Condition::ReadOnly).unwrap();
    assert_eq!(bench.put(COUNT, LENGTH), Ok(PutOutcome::Stored));
    bench
}

#[test]
fn and_one_copy_is_there() {
    let (mut failed, mut moved) = (0, 0);
    for seed in 0..60 {
        for turns in 0..40 {
            let mut bench = drive(seed);
            let mut tickets = Vec::new();
            for number in 0..turns {
                tickets.push(bench.begin_put(1000 + number, 5_000));
                bench.turn();
            }
            bench.drive.fail_next_flush();
            bench.turns(1 + turns % 3);
            moved += u32::from(bench.engine.stats().moved_blocks > 0);
            failed += bench.drive.fault_counts().of(FaultKind::LateFlushError);
            bench.crash(seed);
            for number in 0..=COUNT {
                assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, {seed}, {turns} turns");
            }
        }
    }
    println!("{failed} {moved}");
    assert!(failed > 100 && moved > 100, "{failed} flushes have failed, {moved} times blocks had moved");
}
