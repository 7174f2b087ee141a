//! Where checkpoints can no longer be written, what was reset is free once new labels stand. What waits for that room
//! gets it, and is not told that the drive is full.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, PutOutcome, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;

#[test]
fn a_full_drive_whose_checkpoint_zones_fail_is_emptied_and_filled_again() {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), options);
    let (count, error) = bench.fill(0, LENGTH);
    assert_eq!(error, EngineError::Full);
    for zone in bench.zones_in(ZoneRole::Checkpoint) {
        bench.drive.wear_out(zone.zone, Condition::ReadOnly).unwrap();
    }
    for number in 0..count / 2 {
        assert_eq!(bench.delete(number), Ok(()));
    }
    // They wait for the zones that rest, which a checkpoint was to free.
    let tickets: Vec<_> = (count..count + 20).map(|number| bench.begin_put(number, LENGTH)).collect();
    for ticket in tickets {
        assert_eq!(bench.answer(ticket), Ok(PutOutcome::Stored));
    }
}
