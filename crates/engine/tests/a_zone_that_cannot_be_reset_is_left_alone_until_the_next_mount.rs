//! How a zone stands whose reset has failed is not known. It is not written before a mount has looked at it.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, PutOutcome, State, ZoneRole};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;

#[test]
fn and_costs_no_other_zone() {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), options);
    for number in 0..150 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let sealed = bench.zones_in(ZoneRole::Sealed);
    let (bad, good) = (sealed[0].zone, sealed[1].zone);
    bench.drive.fail_next_reset(bad);
    for number in 0..100 {
        assert_eq!(bench.delete(number), Ok(()));
    }
    bench.until(|bench| {
        let zones = bench.zones();
        zones[bad as usize].role == ZoneRole::Lost
            && matches!(zones[good as usize].role, ZoneRole::Reset | ZoneRole::Free)
    });
    assert_eq!(bench.engine.state(), State::Serving);
    // Written over: the zone is not among those that are used.
    for number in 200..400 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        if number >= 250 {
            assert_eq!(bench.delete(number), Ok(()));
        }
    }
    assert_eq!(bench.zones()[bad as usize].role, ZoneRole::Lost);
    bench.reopen();
    bench.until(|bench| matches!(bench.zones()[bad as usize].role, ZoneRole::Reset | ZoneRole::Free));
    for number in 0..100 {
        assert_eq!(bench.get(number), Err(EngineError::NotFound));
    }
    for number in (100..150).chain(200..250) {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
}
