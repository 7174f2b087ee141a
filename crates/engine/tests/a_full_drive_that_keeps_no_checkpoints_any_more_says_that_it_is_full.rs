//! Where neither checkpoints nor labels can be written any more, what is reset stays unused. Nothing comes back then, so that
//! a client is told at once that the drive is full, and does not wait for its deadline.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;

#[test]
fn a_full_drive_that_keeps_no_checkpoints_any_more_says_that_it_is_full() {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), options);
    let (count, error) = bench.fill(0, LENGTH);
    assert_eq!(error, EngineError::Full);
    for role in [ZoneRole::Checkpoint, ZoneRole::Label] {
        for zone in bench.zones_in(role) {
            bench.drive.wear_out(zone.zone, Condition::ReadOnly).unwrap();
        }
    }
    for number in 0..count / 2 {
        assert_eq!(bench.delete(number), Ok(()));
    }
    // What rests is reset, and three checkpoints fail.
    bench.pass(Duration::from_secs(60));
    assert!(bench.zones_in(ZoneRole::Reset).len() > 4, "zones wait for a checkpoint");
    let mut number = count;
    let answer = loop {
        let begun_us = bench.now_us();
        let answer = bench.put(number, LENGTH);
        let took_us = bench.now_us() - begun_us;
        assert!(took_us < 1_000_000, "{answer:?} after {took_us} us");
        number += 1;
        if answer.is_err() {
            break answer;
        }
    };
    assert_eq!(answer, Err(EngineError::Full));
}
