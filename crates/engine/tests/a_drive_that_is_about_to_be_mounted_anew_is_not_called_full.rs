//! Where checkpoints can no longer be written, no room comes before the drive has been mounted anew. What waits for room
//! then is told to come again, and not that the drive is full.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, PutOutcome, State, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;

#[test]
fn and_takes_blocks_once_that_is_done() {
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
    // They wait for the zones that rest, which a checkpoint is to free.
    let tickets: Vec<_> = (count..count + 20).map(|number| bench.begin_put(number, LENGTH)).collect();
    let mut told = 0;
    for ticket in tickets {
        match bench.answer(ticket) {
            Err(EngineError::Unavailable { state: State::Mounting }) => told += 1,
            answer => assert_eq!(answer, Ok(PutOutcome::Stored)),
        }
    }
    assert!(told > 0, "no put has waited for the mount");
    bench.until(|bench| bench.engine.state() == State::Serving);
    for number in count..count + 20 {
        assert!(bench.put(number, LENGTH).is_ok());
    }
}
