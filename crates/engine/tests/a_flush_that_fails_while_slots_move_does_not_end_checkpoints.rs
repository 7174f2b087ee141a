//! New labels are written when a zone of a slot has failed. A flush can fail meanwhile, for whatever was written: the label is
//! written again, and the drive keeps checkpoints.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, State, ZoneRole};
use imbrex_zoned::Condition;
use imbrex_zoned::simulated::SimulatedGeometry;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;
/// The flush fails in so many turns after the zone has worn out.
const TURNS_MAX: u32 = 12;

fn run(conventional_zones: u32, failing_turn: u32) -> bool {
    let options = Options { trash_rest: Duration::ZERO, checkpoint_bytes: 512 << 10, ..Options::default() };
    let geometry = SimulatedGeometry { conventional_zones, ..small_drive(32, 1 << 20) };
    let mut bench = Bench::formatted(geometry, options);
    for number in 0..40 {
        bench.put(number, LENGTH).unwrap();
    }
    let kept: Vec<u32> = bench.zones_in(ZoneRole::Checkpoint).iter().map(|zone| zone.zone).collect();
    for zone in &kept {
        bench.drive.wear_out(*zone, Condition::ReadOnly).unwrap();
    }
    let _tickets: Vec<_> = (100..112).map(|number| bench.begin_put(number, LENGTH)).collect();
    let mut has_struck_a_label = false;
    for turn in 0..4 * TURNS_MAX {
        if turn == failing_turn {
            bench.drive.fail_next_flush();
        }
        let flushes_failed = bench.engine.stats().flush_errors;
        let is_moving = bench.engine.stats().slots_moved == 0
            && bench.zones_in(ZoneRole::Checkpoint).iter().any(|zone| !kept.contains(&zone.zone));
        bench.turn();
        has_struck_a_label |= is_moving && bench.engine.stats().flush_errors > flushes_failed;
    }
    bench.until(|bench| bench.engine.stats().slots_moved > 0);
    let checkpoints = bench.engine.stats().checkpoints;
    for number in 200..240 {
        bench.put(number, LENGTH).unwrap();
    }
    assert!(bench.engine.stats().checkpoints > checkpoints, "no checkpoint, failed in turn {failing_turn}");
    bench.crash(u64::from(failing_turn));
    assert_eq!(bench.engine.state(), State::Serving);
    assert_eq!(bench.engine.stats().labels_renewed, 0, "both labels stand, failed in turn {failing_turn}");
    for number in (0..40).chain(200..240) {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    has_struck_a_label
}

#[test]
fn a_flush_that_fails_while_slots_move_does_not_end_checkpoints() {
    for conventional_zones in [4, 0] {
        let struck = (0..TURNS_MAX).filter(|turn| run(conventional_zones, *turn)).count();
        assert!(struck > 0, "no flush failed while labels were written");
    }
}
