//! The newest checkpoint cannot be read at one mount, the drive serves with the older one, the power fails, and then the
//! newest can be read again. It knows nothing of what was stored between: that is there all the same.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, State, ZoneRole};
use support::by_hand::{Bench, small_drive};

const ZONES: u32 = 32;
const ZONE_BYTES: u64 = 1 << 20;
const LENGTH: usize = 200_000;
/// In so many turns after the first mount the power fails.
const TURNS_MAX: u32 = 24;

fn bench() -> Bench {
    // As much as four zones hold between two checkpoints, and no rest before a reset.
    let options =
        Options { trash_rest: Duration::ZERO, checkpoint_bytes: 4 * ZONE_BYTES, ..Options::default() };
    Bench::formatted(small_drive(ZONES, ZONE_BYTES), options)
}

/// Hides the zones of the newest checkpoint: of the two slots the one whose zones were opened last.
fn conceal_newest(bench: &mut Bench) {
    let zones = bench.zones_in(ZoneRole::Checkpoint);
    let newest = zones.iter().max_by_key(|zone| zone.incarnation).unwrap().zone;
    bench.drive.conceal(u64::from(newest) * ZONE_BYTES, 4096);
}

#[test]
fn a_checkpoint_that_one_mount_could_not_read_costs_nothing_when_the_next_can() {
    let mut stored_between = 0;
    for turns in 0..TURNS_MAX {
        let mut bench = bench();
        bench.put(1, LENGTH).unwrap();
        // Zones are opened and sealed between two checkpoints: the older calls them free, the newer one used.
        let mut number = 100;
        while bench.engine.stats().checkpoints < 3 {
            bench.put(number, LENGTH).unwrap();
            number += 1;
        }
        // Then they die, and are empty when the power fails.
        for dead in 100..number {
            bench.delete(dead).unwrap();
        }
        bench.until(|bench| bench.engine.stats().zones_reset > 4 && bench.engine.is_idle());
        conceal_newest(&mut bench);
        bench.crash(u64::from(turns));
        assert_eq!(bench.engine.state(), State::Serving);
        bench.drive.reveal();

        let mut tickets: Vec<_> =
            (1000..1010).map(|number| (number, bench.begin_put(number, LENGTH))).collect();
        let mut stored = vec![1];
        for _ in 0..turns {
            bench.turn();
            tickets.retain_mut(|(number, ticket)| match ticket.try_take() {
                None => true,
                Some(answer) => {
                    assert_eq!(answer, Ok(PutOutcome::Stored));
                    stored.push(*number);
                    false
                }
            });
        }
        stored_between += stored.len() - 1;
        bench.crash(u64::from(turns) + 1000);
        assert_eq!(bench.engine.state(), State::Serving);
        for number in stored {
            assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, after a crash in turn {turns}");
        }
        for dead in 100..number {
            assert!(bench.get(dead).is_err(), "block {dead} is back, after a crash in turn {turns}");
        }
    }
    assert!(stored_between > 0, "nothing was stored between the mounts");
}
