//! Checkpoints need zones that stand beside one another. Where one of theirs fails and no others are free side by side, the drive
//! says that it keeps none, empties the zones that cost it least, and keeps checkpoints again.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Cursor, EngineError, Options, State, ZoneRole};
use imbrex_zoned::Condition;
use imbrex_zoned::simulated::SimulatedGeometry;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 200_000;
const ZONES: u32 = 40;

fn bench() -> Bench {
    let options = Options { trash_rest: Duration::ZERO, checkpoint_bytes: 2 << 20, ..Options::default() };
    let geometry = SimulatedGeometry { conventional_zones: 0, ..small_drive(ZONES, 1 << 20) };
    Bench::formatted(geometry, options)
}

/// Fills the drive, then empties every third zone: so many are free, and no two side by side. Gives the blocks that are left.
fn scattered(bench: &mut Bench) -> Vec<u32> {
    let (end, refusal) = bench.fill(0, LENGTH);
    assert_eq!(refusal, EngineError::Full);
    let mut stored: Vec<u32> = (0..end).collect();
    for zone in bench.zones_in(ZoneRole::Sealed).iter().step_by(3) {
        let page = bench.engine.list(Cursor::default(), Some(zone.zone), 100);
        for entry in bench.answer(page).unwrap().entries {
            let number = u32::from_le_bytes(entry.key.0[..4].try_into().unwrap());
            bench.delete(number).unwrap();
            stored.retain(|other| *other != number);
        }
    }
    let empty = |bench: &mut Bench| -> Vec<u32> {
        let zones = bench.zones().into_iter().filter(|zone| zone.condition == Condition::Empty);
        zones.map(|zone| zone.zone).collect()
    };
    // Those that were reset wait for checkpoints.
    bench.until(|bench| bench.engine.is_idle() && empty(bench).len() > 8);
    let free = empty(bench);
    assert!(free.windows(2).all(|pair| pair[0] + 1 < pair[1]), "free side by side: {free:?}");
    stored
}

#[test]
fn a_drive_without_free_neighbours_empties_some_for_checkpoints() {
    let mut bench = bench();
    let stored = scattered(&mut bench);
    assert_eq!(bench.engine.status().without_checkpoints, None);
    let before: Vec<u32> = bench.zones_in(ZoneRole::Checkpoint).iter().map(|zone| zone.zone).collect();
    for zone in &before {
        bench.drive.wear_out(*zone, Condition::ReadOnly).unwrap();
    }
    let (mut reasons, mut tickets) = (Vec::new(), Vec::new());
    for turn in 0..4000 {
        if bench.engine.stats().slots_moved == 2 {
            break;
        }
        if turn % 40 == 0 {
            tickets.push(bench.begin_put(10_000 + turn, LENGTH));
        }
        bench.turn();
        reasons.extend(bench.engine.status().without_checkpoints);
    }
    // To none, and then to the zones that were emptied.
    assert_eq!(bench.engine.stats().slots_moved, 2);
    assert!(reasons.iter().any(|reason| reason.contains("emptied")), "{reasons:?}");
    bench.until(|bench| bench.engine.is_idle() && bench.engine.status().without_checkpoints.is_none());
    let now: Vec<u32> = bench.zones_in(ZoneRole::Checkpoint).iter().map(|zone| zone.zone).collect();
    assert!(now.len() == before.len() && now.iter().all(|zone| !before.contains(zone)), "{now:?}");
    bench.crash(7);
    assert_eq!(bench.engine.state(), State::Serving);
    assert_eq!(bench.engine.status().without_checkpoints, None);
    for number in stored {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
}
