//! However a full drive has come to be so, deletions make room again: one after another, in any order, of records so
//! small that what the log needs for itself is as much as they are, with power cuts in between, on a drive that holds two
//! zones open or as many as one likes.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, ZoneRole};
use imbrex_zoned::simulated::SimulatedGeometry;
use support::by_hand::{Bench, small_drive};

const ZONES: u32 = 24;

const TRASH_REST: Duration = Duration::from_secs(1);

/// How often a deletion may have to wait for the trash: zones are so small that it holds more of them than come back.
const WAITS_MAX: u32 = 100;

/// Numbers from a seed: a linear congruential generator with the constants of Knuth's MMIX.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Stores blocks of up to 10,000 bytes, several at a time, until the drive is full. Gives their numbers.
fn fill(bench: &mut Bench, random: &mut Random) -> Vec<u32> {
    let (mut stored, mut next) = (Vec::new(), 0);
    loop {
        let puts: Vec<_> =
            (next..next + 8).map(|number| (number, bench.begin_put(number, random.below(10_000)))).collect();
        next += 8;
        for (number, put) in puts {
            match bench.answer(put) {
                Ok(_) => stored.push(number),
                Err(EngineError::Full) => return stored,
                Err(EngineError::Overloaded { .. }) => bench.pass(TRASH_REST * 2),
                Err(error) => panic!("block {number}: {error}"),
            }
        }
    }
}

/// Deletes all blocks in any order. `cuts` the power now and then.
fn empty(bench: &mut Bench, random: &mut Random, mut stored: Vec<u32>, cuts: bool) {
    let mut waits = 0;
    while !stored.is_empty() {
        let number = stored.swap_remove(random.below(stored.len()));
        match bench.delete(number) {
            Ok(()) => {}
            Err(EngineError::Overloaded { .. }) => {
                waits += 1;
                assert!(waits <= WAITS_MAX, "deletions wait again and again");
                bench.pass(TRASH_REST * 2);
                stored.push(number);
            }
            Err(error) => panic!("the deletion of block {number}, with {} left: {error}", stored.len()),
        }
        if cuts && random.below(300) == 0 {
            bench.crash(random.0);
        }
    }
}

fn comes_back(open_max: Option<u32>, cuts: bool) {
    let geometry = SimulatedGeometry {
        zone_open_max: open_max,
        zone_active_max: open_max,
        conventional_zones: 0,
        ..small_drive(ZONES, 1 << 20)
    };
    let options = Options { trash_rest: TRASH_REST, ..Options::default() };
    let mut bench = Bench::formatted(geometry, options);
    let mut random = Random(u64::from(open_max.unwrap_or(0)) + u64::from(cuts));
    for _ in 0..2 {
        let stored = fill(&mut bench, &mut random);
        empty(&mut bench, &mut random, stored, cuts);
    }
    (0..6).for_each(|_| bench.pass(TRASH_REST * 2));
    let used = bench.zones_in(ZoneRole::Sealed).len() + bench.zones_in(ZoneRole::Open).len();
    assert!(used <= 4, "{used} zones hold nothing and are not free");
}

#[test]
fn that_holds_two_zones_open() {
    comes_back(Some(2), false);
}

#[test]
fn that_holds_three_zones_open() {
    comes_back(Some(3), false);
}

#[test]
fn that_holds_any_number_open() {
    comes_back(None, false);
}

#[test]
fn whose_power_fails_again_and_again() {
    comes_back(None, true);
}
