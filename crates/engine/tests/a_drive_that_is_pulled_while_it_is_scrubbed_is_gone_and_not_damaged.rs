//! What a drive does not give because it is no longer there is no damage: no block is listed, nothing counts as an error of
//! the scrub, and the scrub asks no further.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Options, State};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const COUNT: u32 = 150;

/// In how many turns a full pass is not over yet.
const TURNS: u32 = 20;

/// Pulls the drive at the given turn of a full pass; gives how far the pass was, in bytes.
fn pulled_at(turn: u32) -> u64 {
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), Options::default());
    for number in 0..COUNT {
        bench.put(number, LENGTH).unwrap();
    }
    let ticket = bench.engine.scrub(true);
    bench.answer(ticket).unwrap();
    bench.turns(turn);
    bench.drive.pull();
    bench.turns(200);
    let stats = bench.engine.stats();
    assert_eq!((stats.scrub_errors, stats.scrub_structure_errors), (0, 0), "pulled at turn {turn}");
    assert_eq!(bench.engine.status().damaged_blocks, 0, "pulled at turn {turn}");
    assert!(matches!(bench.engine.state(), State::Failed { .. }), "pulled at turn {turn}");
    let asked = stats.scrubbed_bytes;
    bench.turns(200);
    assert_eq!(bench.engine.stats().scrubbed_bytes, asked, "a drive that is gone is asked on");
    asked
}

#[test]
fn a_drive_that_is_pulled_while_it_is_scrubbed_is_gone_and_not_damaged() {
    let read: Vec<u64> = (1..=TURNS).map(pulled_at).collect();
    // Labels, a checkpoint, headers, footers and blocks: the pass was somewhere in each.
    assert!(read.first() < read.last() && *read.last().unwrap() > 1 << 20, "{read:?}");
}
