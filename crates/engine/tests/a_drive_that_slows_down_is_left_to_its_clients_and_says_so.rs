//! A drive that takes many times longer than it did before says since when. Until it is well again its scrub waits, and its
//! clients are served.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use imbrex_engine::{Options, PutOutcome};
use support::by_hand::{Bench, small_drive};
use support::faulty::{Faults, Faulty};

const LENGTH: usize = 50_000;
const COUNT: u32 = 60;

/// How many reads the drive is asked for, at the most, before it must have changed: each takes a turn of a millisecond at
/// least, and 40 s of them are more than any window.
const READS_MAX: u32 = 120_000;

fn read_until(bench: &mut Bench, condition: impl Fn(&Bench) -> bool) {
    for number in 0..READS_MAX {
        if condition(bench) {
            return;
        }
        assert_eq!(bench.get(number % COUNT), Ok(LENGTH));
    }
    panic!("a condition is never met");
}

#[test]
fn and_goes_on_as_before_once_it_is_well() {
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), Options::default());
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let faults = Faults::default();
    let device = bench.drive.open(imbrex_zoned::BufferPool::new(48 << 20).unwrap());
    bench.reopen_over(Faulty::new(device, faults.clone()));
    // What the drive is like: a read takes a millisecond.
    let begun_us = bench.now_us();
    read_until(&mut bench, |bench| bench.now_us() > begun_us + 25_000_000);
    assert_eq!(bench.engine.status().slow_since_unix_s, None);

    faults.read_waits.store(40, SeqCst);
    read_until(&mut bench, |bench| bench.engine.status().slow_since_unix_s.is_some());
    assert_eq!(bench.engine.stats().slowdowns, 1);
    let ticket = bench.engine.scrub(true);
    bench.answer(ticket).unwrap();
    let scrubbed = bench.engine.stats().scrubbed_records;
    for number in 0..COUNT {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    assert_eq!(bench.put(COUNT, LENGTH), Ok(PutOutcome::Stored));
    bench.turns(2000);
    assert_eq!(bench.engine.stats().scrubbed_records, scrubbed, "the scrub waits");

    faults.read_waits.store(0, SeqCst);
    read_until(&mut bench, |bench| bench.engine.status().slow_since_unix_s.is_none());
    bench.until(|bench| bench.engine.stats().scrubbed_records > scrubbed);
    assert_eq!(bench.engine.stats().slowdowns, 1);
}
