//! After an end in order the next mount reads nothing but the checkpoint that the end has left, however little was written.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::Options;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;

/// Ends the engine as its thread does: it is gone after the first turn in which nothing is left to do.
fn stop(bench: &mut Bench) {
    let _ticket = bench.engine.stop();
    bench.until(|bench| bench.engine.is_finished());
}

#[test]
fn an_end_in_order_leaves_a_checkpoint() {
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), Options::default());
    for number in 0..5 {
        bench.put(number, LENGTH).unwrap();
    }
    assert_eq!(bench.engine.stats().checkpoints, 0, "none was due");
    stop(&mut bench);
    assert_eq!(bench.engine.stats().checkpoints, 1);
    bench.reopen();
    for number in 0..5 {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    stop(&mut bench);
    assert_eq!(bench.engine.stats().checkpoints, 0, "nothing has changed since the last one");
}
