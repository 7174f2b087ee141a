//! A node whose clock was ahead, by years where its battery is dead, writes times that lie in the future once the clock is set
//! right. The scrub takes them for no proof: what was read then is read again, once.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, ScrubStatus};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const COUNT: u32 = 60;
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn drive() -> Bench {
    let options = Options { scrub_period: 24 * HOUR, ..Options::default() };
    Bench::formatted(small_drive(24, 1 << 20), options)
}

fn fill(bench: &mut Bench) {
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
}

fn status(bench: &mut Bench) -> ScrubStatus {
    let ticket = bench.engine.scrub(false);
    bench.answer(ticket).unwrap()
}

/// Everything is read within a while, and then nothing more.
fn is_read_once(bench: &mut Bench) {
    bench.until(|bench| {
        bench.turns(50);
        let status = status(bench);
        status.covered_zones == status.zones
    });
    bench.turns(5000);
    let records = status(bench).records;
    assert!((COUNT.into()..=2 * u64::from(COUNT)).contains(&records), "{records} records were read");
}

#[test]
fn by_ten_years_and_before_a_restart() {
    let mut bench = drive();
    bench.set_clock_ahead(10 * YEAR);
    fill(&mut bench);
    let status_before = bench.scrub_all();
    assert_eq!(status_before.covered_zones, status_before.zones);
    let ticket = bench.engine.stop();
    bench.until(|bench| bench.engine.is_finished());
    drop(ticket);
    bench.set_clock_ahead(Duration::ZERO);
    bench.reopen();
    assert_eq!(status(&mut bench).covered_zones, 0, "what was read in ten years proves nothing now");
    // A clock that is behind shows the same stamps, and is set soon: nothing is in a hurry.
    bench.turns(1500);
    let records = status(&mut bench).records;
    assert!(records < COUNT.into(), "{records} records were read in a second and a half");
    is_read_once(&mut bench);
}

#[test]
fn by_an_hour_while_a_pass_is_under_way() {
    let mut bench = drive();
    bench.set_clock_ahead(HOUR);
    fill(&mut bench);
    let ticket = bench.engine.scrub(true);
    bench.answer(ticket).unwrap();
    bench.turns(3);
    bench.set_clock_ahead(Duration::ZERO);
    is_read_once(&mut bench);
}
