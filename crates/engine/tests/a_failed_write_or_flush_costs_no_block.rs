//! One write or one flush that fails costs the drive a zone for a while and nobody a block. A drive on which all of them
//! fail takes no more blocks, and still gives those that it has.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{EngineError, Options, PutOutcome, State, ZoneRole};
use imbrex_zoned::simulated::FaultRates;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;

/// A drive with some blocks, and the zone that is open.
fn drive_with(count: u32) -> (Bench, u32) {
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), Options::default());
    for number in 0..count {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let open = bench.zones_in(ZoneRole::Open)[0].zone;
    (bench, open)
}

/// Stores several at once, so that some are of the group that is written and some of the group that is flushed.
fn store(bench: &mut Bench, numbers: std::ops::Range<u32>) {
    let tickets: Vec<_> = numbers
        .map(|number| {
            let ticket = bench.begin_put(number, LENGTH);
            bench.turn();
            ticket
        })
        .collect();
    for ticket in tickets {
        assert_eq!(bench.answer(ticket), Ok(PutOutcome::Stored));
    }
}

fn assert_each_is_there_once(bench: &mut Bench, count: u32) {
    for number in 0..count {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
    // Figures are published every 50 ms.
    bench.turns(100);
    assert_eq!(bench.engine.status().blocks, u64::from(count));
}

#[test]
fn a_write_that_fails_is_made_elsewhere() {
    let (mut bench, open) = drive_with(5);
    bench.drive.fail_next_write(open);
    store(&mut bench, 5..12);
    let stats = bench.engine.stats();
    assert_eq!((stats.write_errors, stats.zones_fenced), (1, 1));
    assert!(stats.rewritten_blocks > 0);
    assert_eq!(bench.engine.state(), State::Serving);
    assert_each_is_there_once(&mut bench, 12);
    bench.crash(1);
    assert_each_is_there_once(&mut bench, 12);
}

/// The drive has taken writes long before that it loses at the flush: any end of them, which reads as nothing or not at
/// all, or which its write pointer does not cover any more.
#[test]
fn what_a_cache_has_lost_at_a_flush_is_written_again() {
    for seed in 0..12 {
        let (mut bench, _) = drive_with(5);
        bench.drive.set_faults(seed, FaultRates::none());
        bench.drive.fail_next_flush();
        store(&mut bench, 5..12);
        assert_eq!(bench.engine.stats().flush_errors, 1, "seed {seed}");
        assert_each_is_there_once(&mut bench, 12);
        bench.crash(seed);
        assert_each_is_there_once(&mut bench, 12);
    }
}

#[test]
fn a_deletion_that_a_failed_flush_has_left_stays_one() {
    for seed in 0..12 {
        let (mut bench, _) = drive_with(5);
        bench.drive.set_faults(seed, FaultRates::none());
        bench.drive.fail_next_flush();
        assert_eq!(bench.delete(4), Ok(()), "seed {seed}");
        assert_each_is_there_once(&mut bench, 4);
        bench.crash(seed);
        assert_eq!(bench.get(4), Err(EngineError::NotFound), "seed {seed}");
        assert_each_is_there_once(&mut bench, 4);
    }
}

#[test]
fn a_drive_on_which_every_write_fails_takes_no_more_and_is_read() {
    let (mut bench, _) = drive_with(5);
    bench.zones().iter().for_each(|zone| bench.drive.fail_next_write(zone.zone));
    let answer = bench.put(5, LENGTH);
    let is_read_only =
        |error: &EngineError| matches!(error, EngineError::Unavailable { state: State::ReadOnly { .. } });
    assert!(is_read_only(answer.as_ref().unwrap_err()), "{answer:?}");
    assert!(is_read_only(&bench.delete(0).unwrap_err()));
    assert_each_is_there_once(&mut bench, 5);
    bench.reopen();
    assert_eq!(bench.engine.state(), State::Serving, "another mount tries again");
    assert_each_is_there_once(&mut bench, 5);
}
