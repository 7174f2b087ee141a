//! A drive can fail to read a checkpoint, and read it the next time. What is acknowledged in between is there afterwards: no
//! zone takes a new life that such a checkpoint calls used.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Options, ZoneRole};
use imbrex_format::UNIT_BYTES;
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;
const ZONE_BYTES: u64 = 1 << 20;
/// After so many blocks the checkpoint is hidden, in one run after the other.
const ROUNDS: u32 = 60;

/// A drive over which blocks have come and gone; gives the number of the next block.
fn worn(rounds: u32) -> (Bench, u32) {
    let options = Options { trash_rest: Duration::ZERO, checkpoint_bytes: 3 << 20, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES), options);
    for number in 0..rounds {
        bench.put(number, LENGTH).unwrap();
        if number >= 12 {
            bench.delete(number - 12).unwrap();
        }
    }
    // What is dead is reset now, and waits for checkpoints.
    bench.turns(50);
    (bench, rounds)
}

#[test]
fn a_checkpoint_that_a_mount_cannot_read_may_be_read_by_the_next() {
    for rounds in 0..ROUNDS {
        for slot in 0..2 {
            let (mut bench, first) = worn(rounds);
            let slots = bench.zones_in(ZoneRole::Checkpoint);
            bench.drive.conceal(u64::from(slots[slot].zone) * ZONE_BYTES, UNIT_BYTES as u64);
            bench.crash(1);
            for number in first..first + 15 {
                bench.put(number, LENGTH).unwrap();
            }
            bench.drive.reveal();
            bench.crash(2);
            for number in first.saturating_sub(12)..first + 15 {
                assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, slot {slot} hidden at {rounds}");
            }
        }
    }
}
