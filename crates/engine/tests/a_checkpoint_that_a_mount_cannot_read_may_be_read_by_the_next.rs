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

/// A drive with two checkpoints, of which the newer one calls zones sealed that were emptied and reset since; gives the
/// number of the next block.
fn emptied_since_the_newest() -> (Bench, u32) {
    let options = Options { trash_rest: Duration::ZERO, checkpoint_bytes: 6 << 20, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(96, ZONE_BYTES), options);
    let mut next = 0;
    while bench.engine.stats().checkpoints < 2 {
        bench.put(next, LENGTH).unwrap();
        next += 1;
    }
    for number in 0..next {
        bench.delete(number).unwrap();
    }
    // All of them but the one in which the tombstones stand.
    bench.until(|bench| bench.engine.stats().zones_reset >= 12);
    assert_eq!(bench.engine.stats().checkpoints, 2);
    (bench, next)
}

#[test]
fn a_checkpoint_that_a_mount_cannot_read_may_be_read_by_the_next() {
    for slot in 0..2 {
        let (mut bench, first) = emptied_since_the_newest();
        let slots = bench.zones_in(ZoneRole::Checkpoint);
        bench.drive.conceal(u64::from(slots[slot].zone) * ZONE_BYTES, UNIT_BYTES as u64);
        bench.crash(1);
        for number in first..first + 20 {
            bench.put(number, LENGTH).unwrap();
        }
        bench.drive.reveal();
        bench.crash(2);
        for number in first..first + 20 {
            assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, slot {slot} hidden");
        }
    }
}
