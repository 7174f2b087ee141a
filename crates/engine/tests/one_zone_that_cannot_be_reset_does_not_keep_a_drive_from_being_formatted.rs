//! A drive is formatted again, and one of its zones cannot be reset: that zone is not used, and the others are.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{EngineError, FormatOrder, Options, PutOutcome, Replace, State, ZoneRole};
use imbrex_zoned::simulated::SimulatedGeometry;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;

fn written() -> Bench {
    // The labels stand in zones that are reset.
    let geometry = SimulatedGeometry { conventional_zones: 0, ..small_drive(24, 2 << 20) };
    let mut bench = Bench::formatted(geometry, Options::default());
    for number in 0..150 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench
}

fn format(bench: &mut Bench) -> Result<(), EngineError> {
    bench.until(|bench| bench.engine.is_idle());
    let present = bench.engine.status().drive_id.unwrap();
    let order =
        FormatOrder { serial: "TEST".into(), replace: Replace::Drive(present), blocks_max: Some(10_000) };
    bench.engine.format(order).map(|_| ())
}

/// Formats the drive, of which `zone` cannot be reset.
fn formatted_without(zone: u32) -> Bench {
    let mut bench = written();
    let first = bench.engine.status().drive_id;
    bench.drive.fail_next_reset(zone);
    assert_eq!(format(&mut bench), Ok(()));
    assert_eq!(bench.engine.state(), State::Serving);
    assert_ne!(bench.engine.status().drive_id, first);
    bench
}

fn serves(bench: &mut Bench) {
    for number in 0..150 {
        assert_eq!(bench.get(number), Err(EngineError::NotFound));
    }
    for number in 200..250 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench.crash(1);
    assert_eq!(bench.engine.state(), State::Serving);
    assert_eq!(bench.engine.status().damaged_blocks, 0, "nothing of this drive stood there");
    for number in 200..250 {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
}

#[test]
fn a_zone_of_the_log() {
    let zone = written().zones_in(ZoneRole::Sealed)[0].zone;
    let mut bench = formatted_without(zone);
    assert_eq!(bench.zones()[zone as usize].role, ZoneRole::Lost);
    serves(&mut bench);
    assert_eq!(bench.zones()[zone as usize].role, ZoneRole::Lost);
    // The next format finds it well.
    assert_eq!(format(&mut bench), Ok(()));
    assert_eq!(bench.zones()[zone as usize].role, ZoneRole::Free);
}

#[test]
fn a_zone_of_a_label() {
    let zone = written().zones_in(ZoneRole::Label)[0].zone;
    let mut bench = formatted_without(zone);
    assert_ne!(bench.zones()[zone as usize].role, ZoneRole::Label, "the labels stand elsewhere");
    serves(&mut bench);
}

#[test]
fn a_drive_on_which_many_fail_is_not_formatted() {
    let mut bench = written();
    for zone in bench.zones_in(ZoneRole::Sealed) {
        bench.drive.fail_next_reset(zone.zone);
    }
    assert!(matches!(format(&mut bench), Err(EngineError::Medium { .. })));
}
