//! A request whose client has gone, or that has waited up to its deadline, is dropped before it reaches the disk.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use imbrex_engine::{Class, EngineError, Options, PutOutcome, RangeRequest};
use imbrex_zoned::BufferPool;
use support::by_hand::{Bench, key, small_drive};
use support::faulty::{Faults, Faulty};

const LENGTH: usize = 50_000;

fn drive() -> Bench {
    Bench::formatted(small_drive(24, 2 << 20), Options::default())
}

/// The same drive, whose flushes a test can hold back.
fn drive_with_faults() -> (Bench, Faults) {
    let mut bench = drive();
    let faults = Faults::default();
    let device = bench.drive.open(BufferPool::new(32 << 20).unwrap());
    bench.reopen_over(Faulty::new(device, faults.clone()));
    (bench, faults)
}

fn is_late<T>(answer: &Result<T, EngineError>) -> bool {
    matches!(answer, Err(EngineError::Overloaded { .. }))
}

#[test]
fn a_put_whose_client_has_gone() {
    let mut bench = drive();
    let before = bench.engine.stats();
    drop(bench.begin_put(1, LENGTH));
    bench.turns(100);
    let after = bench.engine.stats();
    assert_eq!((after.device_writes, after.cancelled), (before.device_writes, before.cancelled + 1));
    assert_eq!(bench.get(1), Err(EngineError::NotFound));
    assert_eq!(bench.put(1, LENGTH), Ok(PutOutcome::Stored), "its key is free again");
}

#[test]
fn a_get_whose_client_has_gone() {
    let mut bench = drive();
    assert_eq!(bench.put(1, LENGTH), Ok(PutOutcome::Stored));
    // As many as the drive takes at once go before it.
    let before: Vec<_> =
        (0..64).map(|_| bench.engine.get(key(1), RangeRequest::Whole, Class::Foreground)).collect();
    drop(bench.engine.get(key(1), RangeRequest::Whole, Class::Foreground));
    let reads = bench.engine.stats().device_reads;
    bench.turns(100);
    assert_eq!(bench.engine.stats().device_reads, reads + before.len() as u64);
    assert_eq!(bench.engine.stats().cancelled, 1);
}

#[test]
fn a_put_that_has_waited_too_long() {
    let (mut bench, faults) = drive_with_faults();
    faults.holds_flushes.store(true, SeqCst);
    // One group is being flushed, the next one is written and waits for that, the third is not formed.
    let mut tickets = Vec::new();
    for number in 0..3 {
        tickets.push(bench.begin_put(number, LENGTH));
        bench.turns(10);
    }
    let late = tickets.pop().unwrap();
    let begun_us = bench.now_us();
    assert!(is_late(&bench.answer(late)));
    let waited_us = u128::from(bench.now_us() - begun_us);
    assert!(waited_us <= Options::default().deadline.as_micros() + 100_000, "{waited_us} us");
    assert!(tickets.iter_mut().all(|ticket| ticket.try_take().is_none()), "what is on the disk is awaited");
    faults.holds_flushes.store(false, SeqCst);
    for ticket in tickets {
        assert_eq!(bench.answer(ticket), Ok(PutOutcome::Stored));
    }
    assert_eq!(bench.get(2), Err(EngineError::NotFound));
}

#[test]
fn what_waits_for_another_request_for_the_same_key() {
    let (mut bench, faults) = drive_with_faults();
    faults.holds_flushes.store(true, SeqCst);
    let first = bench.begin_put(1, LENGTH);
    bench.turns(10);
    let second = bench.begin_put(1, LENGTH);
    let deletion = bench.begin_delete(1);
    assert!(is_late(&bench.answer(second)));
    assert!(is_late(&bench.answer(deletion)));
    faults.holds_flushes.store(false, SeqCst);
    assert_eq!(bench.answer(first), Ok(PutOutcome::Stored));
    assert_eq!(bench.get(1), Ok(LENGTH));
}
