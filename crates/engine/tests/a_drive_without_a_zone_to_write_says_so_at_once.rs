//! Where no zone is left that can be written, nobody waits for one: writes are answered with the state, and what stands
//! on the drive is read.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{EngineError, Options, PutOutcome, State};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;

/// Well below the deadline of a request, in microseconds.
const AT_ONCE_US: u64 = 100_000;

fn drive() -> Bench {
    let mut bench = Bench::formatted(small_drive(20, 1 << 20), Options::default());
    for number in 0..100 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench
}

/// Lets all zones of the log turn read-only.
fn wear_out(bench: &mut Bench) {
    use imbrex_engine::ZoneRole::{Checkpoint, Label};
    for zone in bench.zones().iter().filter(|zone| !matches!(zone.role, Label | Checkpoint)) {
        bench.drive.wear_out(zone.zone, Condition::ReadOnly).unwrap();
    }
}

fn assert_read_only(bench: &mut Bench) {
    let begun_us = bench.now_us();
    let answers = [bench.put(1000, LENGTH).map(|_| ()), bench.delete(0)];
    for answer in answers {
        let is_told = matches!(answer, Err(EngineError::Unavailable { state: State::ReadOnly { .. } }));
        assert!(is_told, "{answer:?}");
    }
    let waited_us = bench.now_us() - begun_us;
    assert!(waited_us < AT_ONCE_US, "{waited_us} us");
    assert!(matches!(bench.engine.state(), State::ReadOnly { .. }));
    for number in 0..100 {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
}

#[test]
fn when_they_wear_out_while_it_serves() {
    let mut bench = drive();
    wear_out(&mut bench);
    assert_read_only(&mut bench);
}

#[test]
fn when_a_mount_finds_them_so() {
    let mut bench = drive();
    wear_out(&mut bench);
    bench.reopen();
    bench.turns(2);
    assert!(matches!(bench.engine.state(), State::ReadOnly { .. }), "it is told before anybody asks");
    assert_read_only(&mut bench);
}
