//! A deletion meets a move of the same block at every step of it. The block is gone then, wherever its copies stand, and
//! stays gone over a power cut.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, PutOutcome};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const COUNT: u32 = 60;

/// A drive with a zone out of which everything is about to be moved: it has turned read-only.
fn drive() -> Bench {
    let options = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), options);
    // Each wait of the engine ends a part of what is in flight: moves are met at more of their steps.
    bench.drive.set_scheduling(Some(7));
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let open = bench.zones_in(imbrex_engine::ZoneRole::Open)[0].zone;
    bench.drive.wear_out(open, Condition::ReadOnly).unwrap();
    assert_eq!(bench.put(COUNT, LENGTH), Ok(PutOutcome::Stored));
    bench
}

#[test]
fn and_stays_gone() {
    let mut met = 0;
    for turns in (0..60).step_by(3) {
        let mut bench = drive();
        let moved_before = bench.engine.stats().moved_blocks;
        bench.turns(turns);
        let moved = bench.engine.stats().moved_blocks - moved_before;
        // The last ones stand in the zone that is being emptied.
        let tickets: Vec<_> = (COUNT - 10..COUNT).map(|number| bench.begin_delete(number)).collect();
        for ticket in tickets {
            assert_eq!(bench.answer(ticket), Ok(()), "after {turns} turns");
        }
        let moved_in_all = bench.engine.stats().moved_blocks - moved_before;
        met += u32::from(moved_in_all > moved);
        for crashed in [false, true] {
            if crashed {
                bench.crash(u64::from(turns));
            }
            for number in COUNT - 10..COUNT {
                assert_eq!(bench.get(number), Err(EngineError::NotFound), "after {turns} turns, {crashed}");
            }
            for number in (0..COUNT - 10).chain([COUNT]) {
                assert_eq!(bench.get(number), Ok(LENGTH), "after {turns} turns, {crashed}");
            }
        }
    }
    assert!(met > 0, "no deletion has met a move");
}
