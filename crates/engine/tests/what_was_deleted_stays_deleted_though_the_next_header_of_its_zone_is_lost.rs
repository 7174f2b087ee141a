//! No order resets a conventional zone: zeros end its life. What is left of it behind them is not believed, though the header of
//! its next life cannot be read, and the power may go at any moment of the reset.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, PutOutcome};
use imbrex_zoned::ZoneKind;
use imbrex_zoned::simulated::SimulatedGeometry;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 50_000;
const ZONE_BYTES: u64 = 1 << 20;
const UNIT_BYTES: u64 = 4096;
/// Two of them hold labels, and the log goes to the others: the drive is too small for checkpoints.
const CONVENTIONAL: u32 = 8;
/// How many blocks, of which two fill a zone, are stored and deleted to have all other zones reset.
const CHURN: u32 = 40;
const CHURNED_LENGTH: usize = 450_000;
const FIRST_CHURNED: u32 = 10_000;
/// Nothing is reset before a test lets so much time pass.
const TRASH_REST: Duration = Duration::from_secs(60);
/// In so many turns all zones are emptied.
const TURNS_MAX: u32 = 3_000;

/// A drive that is full up to its conventional zones, of which everything has been deleted; nothing has been reset yet.
fn emptied_drive() -> (Bench, u32) {
    let geometry = SimulatedGeometry { conventional_zones: CONVENTIONAL, ..small_drive(14, ZONE_BYTES) };
    let mut bench = Bench::formatted(geometry, Options { trash_rest: TRASH_REST, ..Options::default() });
    let mut count = 0;
    while used(&mut bench).len() < 3 {
        assert_eq!(bench.put(count, LENGTH), Ok(PutOutcome::Stored));
        count += 1;
    }
    for number in 0..count {
        assert_eq!(bench.delete(number), Ok(()));
    }
    (bench, count)
}

/// The conventional zones in which the log stands.
fn used(bench: &mut Bench) -> Vec<u32> {
    let zones = bench.zones().into_iter();
    zones
        .filter(|zone| zone.kind == ZoneKind::Conventional && zone.incarnation > 0)
        .map(|zone| zone.zone)
        .collect()
}

/// Has every sequential zone reset some times, so that the tombstones of what was deleted before are gone.
fn churn(bench: &mut Bench) {
    for number in 0..CHURN {
        assert_eq!(bench.put(FIRST_CHURNED + number, CHURNED_LENGTH), Ok(PutOutcome::Stored));
        assert_eq!(bench.delete(FIRST_CHURNED + number), Ok(()));
        bench.jump(TRASH_REST);
        bench.turns(20);
    }
}

/// Mounts the drive as often as it has conventional zones for the log, each time without the header of another one of them, as
/// if that of a new life were lost.
fn mount_without_a_header(bench: &mut Bench, count: u32, what: &str) {
    for zone in 2..CONVENTIONAL {
        bench.drive.conceal(u64::from(zone) * ZONE_BYTES, UNIT_BYTES);
        bench.reopen();
        bench.drive.reveal();
        check_deleted(bench, count, &format!("{what}, zone {zone}"));
    }
}

fn check_deleted(bench: &mut Bench, count: u32, what: &str) {
    let status = bench.engine.status();
    assert_eq!((status.blocks, status.damaged_blocks), (0, 0), "{what}");
    for number in 0..count {
        assert_eq!(bench.get(number), Err(EngineError::NotFound), "block {number}, {what}");
    }
}

#[test]
fn whenever_the_power_went() {
    for turns in (0..120).step_by(4) {
        let (mut bench, count) = emptied_drive();
        bench.jump(TRASH_REST);
        bench.turns(turns);
        bench.crash(u64::from(turns));
        check_deleted(&mut bench, count, "after the power cut");
        // What the mount has found free is as free as what was reset.
        bench.jump(TRASH_REST);
        bench.turns(TURNS_MAX);
        churn(&mut bench);
        mount_without_a_header(&mut bench, count, &format!("cut in turn {turns}"));
    }
}
