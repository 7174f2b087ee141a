//! A zone that was fenced has no footer. Where it was in the trash when a checkpoint was taken, and the power fails before
//! its reset, the scrub does not look for one there.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, ZoneRole};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;

#[test]
fn a_fenced_zone() {
    let options =
        Options { trash_rest: Duration::from_secs(100_000), checkpoint_bytes: 1 << 20, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), options);
    // Of one zone nothing is left, so that it is in the trash, and reclaim does not hurry, from the mount on.
    for number in 0..50 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let fenced = bench.zones_in(ZoneRole::Open)[0].zone;
    for number in 0..10 {
        bench.delete(number).unwrap();
    }
    bench.drive.fail_next_write(fenced);
    assert_eq!(bench.put(100, LENGTH), Ok(PutOutcome::Stored));
    bench.until(|bench| bench.zones()[fenced as usize].role == ZoneRole::Trash);
    for number in 10..45 {
        bench.delete(number).unwrap();
    }
    let before = bench.engine.stats().checkpoints;
    let mut number = 101;
    bench.until(|bench| {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        number += 1;
        bench.engine.stats().checkpoints > before + 1
    });
    assert_eq!(bench.zones()[fenced as usize].role, ZoneRole::Trash);
    bench.crash(1);
    let ticket = bench.engine.scrub(true);
    bench.answer(ticket).unwrap();
    let mut is_scrubbed = false;
    bench.until(|bench| {
        bench.turns(1);
        let ticket = bench.engine.scrub(false);
        let status = bench.answer(ticket).unwrap();
        is_scrubbed |= status.zone == Some(fenced);
        status.covered_zones == status.zones && status.slots_unix_s >= status.pass_since_unix_s
    });
    assert!(is_scrubbed);
    assert_eq!(bench.engine.stats().scrub_structure_errors, 0);
}
