//! A drive that is full says so at once, takes every deletion at once, and takes as many blocks again once the trash has
//! rested.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{EngineError, Options, ZoneRole};
use support::by_hand::{Bench, small_drive};

/// Well below the deadline of a request, in microseconds: nobody has waited for room.
const AT_ONCE_US: u64 = 100_000;

/// How often a refill is let wait for what rests in the trash.
const WAITS_MAX: u32 = 4;

/// Stores blocks from `first` on until the drive is full, which it must say at once; where it says that room will come,
/// lets the trash rest. Gives how many it has taken.
fn filled(bench: &mut Bench, first: u32, length: usize) -> u32 {
    for _ in 0..=WAITS_MAX {
        let (mut number, mut before_us) = (first, bench.now_us());
        let error = loop {
            match bench.put(number, length) {
                // Those of an earlier pass are there.
                Ok(_) => (number, before_us) = (number + 1, bench.now_us()),
                Err(error) => break error,
            }
        };
        if error == EngineError::Full {
            let waited_us = bench.now_us() - before_us;
            assert!(waited_us < AT_ONCE_US, "a full drive says so after {waited_us} us");
            return number - first;
        }
        assert!(matches!(error, EngineError::Overloaded { .. }), "block {number}: {error}");
        assert!(
            !bench.zones_in(ZoneRole::Trash).is_empty(),
            "block {number}: room is said to come, and none will"
        );
        rest(bench);
    }
    panic!("room is said to come again and again");
}

fn delete_at_once(bench: &mut Bench, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        let before_us = bench.now_us();
        assert_eq!(bench.delete(number), Ok(()), "deletion of block {number}");
        let waited_us = bench.now_us() - before_us;
        assert!(waited_us < AT_ONCE_US, "the deletion of block {number} took {waited_us} us");
    }
}

/// Lets as much time pass as a zone rests, in simulated time.
fn rest(bench: &mut Bench) {
    bench.pass(Options::default().trash_rest * 11 / 10);
}

/// With the default rest of five minutes. What the log needs for itself is a zone at the most: the one that reclaim
/// writes to.
fn fills_and_empties(zone_count: u32, zone_mib: u64, length: usize) {
    let mut bench = Bench::formatted(small_drive(zone_count, zone_mib << 20), Options::default());
    let count = filled(&mut bench, 0, length);
    let of_a_zone = u32::try_from((zone_mib << 20) / length as u64).unwrap();
    let (mut first, mut stored) = (0, count);
    for _ in 0..2 {
        delete_at_once(&mut bench, first..first + stored);
        assert!(!bench.zones_in(ZoneRole::Trash).is_empty(), "what is dead rests");
        // First the blocks' zones rest, then those of the deletions.
        (0..3).for_each(|_| rest(&mut bench));
        for number in first..first + stored {
            assert_eq!(bench.get(number), Err(EngineError::NotFound));
        }
        first += stored;
        stored = filled(&mut bench, first, length);
        assert!(stored >= count - of_a_zone, "{stored} blocks fit again of {count}");
        for number in (first..first + stored).step_by(7) {
            assert_eq!(bench.get(number), Ok(length));
        }
    }
}

#[test]
fn with_blocks_that_are_small_against_a_zone() {
    fills_and_empties(20, 4, 250_000);
}

#[test]
fn with_blocks_of_which_few_fit_into_a_zone() {
    fills_and_empties(16, 32, 4 << 20);
}

#[test]
fn puts_that_are_refused_take_no_room_from_deletions() {
    let mut bench = Bench::formatted(small_drive(20, 4 << 20), Options::default());
    // As many as a zone holds deletions of, one after another, less what is kept for reclaim.
    let count = filled(&mut bench, 0, 150_000);
    // Between deletions somebody tries again and again to store small blocks.
    for number in 0..count {
        let put = bench.begin_put(1_000_000 + number, 3000);
        delete_at_once(&mut bench, [number].into_iter());
        drop(put);
    }
}

#[test]
fn what_was_stored_last_and_is_deleted_makes_room_again() {
    let options = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(20, 4 << 20), options);
    let count = filled(&mut bench, 0, 250_000);
    // Some of them stand in the zone that is still open, in which reclaim does nothing.
    delete_at_once(&mut bench, count - 40..count);
    for number in count..count + 20 {
        bench.put(number, 250_000).unwrap_or_else(|error| panic!("block {number}: {error}"));
    }
}

/// One block in twenty of each zone is less than it is worth to move the others for. So nothing rests, and reclaim has
/// nothing to win but in the zones that the deletions themselves have filled.
#[test]
fn deletions_that_win_nothing_have_room() {
    let mut bench = Bench::formatted(small_drive(24, 4 << 20), Options::default());
    let mut count = 0;
    loop {
        let puts: Vec<_> = (count..count + 32).map(|number| bench.begin_put(number, 7_000)).collect();
        let answers: Vec<_> = puts.into_iter().map(|put| bench.answer(put)).collect();
        count += u32::try_from(answers.iter().take_while(|answer| answer.is_ok()).count()).unwrap();
        if let Some(answer) = answers.into_iter().find(Result::is_err) {
            assert_eq!(answer, Err(EngineError::Full));
            break;
        }
    }
    delete_at_once(&mut bench, (0..count).step_by(20));
}
