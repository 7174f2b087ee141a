//! Before a reset the zone itself is asked what stands in it. Where it cannot tell, because neither its table nor its records
//! can be read, it is left until the next mount; that is no defect of ours, and costs no other zone.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, ZoneRole};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const ZONE_BYTES: u64 = 2 << 20;

/// A drive on which everything was deleted, and two of its zones, which rest.
fn resting() -> (Bench, u32, u32) {
    let options = Options { trash_rest: Duration::from_secs(10), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES), options);
    for number in 0..150 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let sealed = bench.zones_in(ZoneRole::Sealed);
    let (first, second) = (sealed[0].zone, sealed[1].zone);
    for number in 0..100 {
        assert_eq!(bench.delete(number), Ok(()));
    }
    for zone in [first, second] {
        assert_eq!(bench.zones()[zone as usize].role, ZoneRole::Trash);
    }
    (bench, first, second)
}

#[test]
fn neither_its_table_nor_its_records() {
    let (mut bench, bad, good) = resting();
    bench.drive.make_unreadable(u64::from(bad) * ZONE_BYTES, ZONE_BYTES).unwrap();
    bench.until(|bench| {
        let zones = bench.zones();
        zones[bad as usize].role == ZoneRole::Lost
            && matches!(zones[good as usize].role, ZoneRole::Reset | ZoneRole::Free)
    });
    assert_eq!(bench.engine.stats().resets_refused, 0);
}

#[test]
fn its_table_alone_is_made_good_by_its_records() {
    let (mut bench, bad, _) = resting();
    bench.drive.make_unreadable(u64::from(bad + 1) * ZONE_BYTES - 4096, 4096).unwrap();
    bench.until(|bench| matches!(bench.zones()[bad as usize].role, ZoneRole::Reset | ZoneRole::Free));
}
