//! A zone can turn read-only or offline at any time. Of one that is read-only nothing is lost: what lives in it is moved
//! away. Of one that is offline each block is answered as an error of the medium, and none as absent.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{DamageKind, EngineError, Options, PutOutcome, State, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, key, small_drive};

const LENGTH: usize = 50_000;

/// How many blocks are stored: some zones full of them.
const COUNT: u32 = 150;

fn drive() -> Bench {
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), Options::default());
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench
}

fn live_bytes(bench: &mut Bench, zone: u32) -> u64 {
    bench.zones()[zone as usize].live_bytes
}

#[test]
fn what_lives_in_a_zone_that_turns_read_only_is_moved_away() {
    let mut bench = drive();
    let open = bench.zones_in(ZoneRole::Open)[0].zone;
    bench.drive.wear_out(open, Condition::ReadOnly).unwrap();
    assert_eq!(bench.put(COUNT, LENGTH), Ok(PutOutcome::Stored), "it is stored elsewhere");
    bench.until(|bench| live_bytes(bench, open) == 0);
    assert!(bench.engine.stats().moved_blocks > 0);
    assert_eq!(bench.engine.state(), State::Serving);
    for number in 0..=COUNT {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    bench.crash(1);
    for number in 0..=COUNT {
        assert_eq!(bench.get(number), Ok(LENGTH), "after a power cut");
    }
}

#[test]
fn a_zone_that_a_mount_finds_read_only_is_read() {
    let mut bench = drive();
    let sealed = bench.zones_in(ZoneRole::Sealed)[1].zone;
    bench.drive.wear_out(sealed, Condition::ReadOnly).unwrap();
    bench.crash(2);
    for number in 0..COUNT {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    assert_eq!(bench.put(COUNT, LENGTH), Ok(PutOutcome::Stored));
}

#[test]
fn of_an_offline_zone_every_block_is_told_and_can_be_stored_again() {
    let mut bench = drive();
    let sealed = bench.zones_in(ZoneRole::Sealed)[1].zone;
    bench.drive.wear_out(sealed, Condition::Offline).unwrap();
    let lost: Vec<u32> = (0..COUNT).filter(|number| bench.get(*number).is_err()).collect();
    assert!(!lost.is_empty() && lost.len() < COUNT as usize / 2, "one zone of several: {lost:?}");
    for number in &lost {
        let answer = bench.get(*number);
        assert!(matches!(answer, Err(EngineError::Medium { .. })), "block {number}: {answer:?}");
    }
    let ticket = bench.engine.damage();
    let damage = bench.answer(ticket).unwrap();
    assert_eq!(damage.len(), lost.len(), "each is listed by its key");
    assert!(damage.iter().all(|damage| damage.kind == DamageKind::Medium && damage.zone == sealed));
    assert!(lost.iter().all(|number| damage.iter().any(|damage| damage.key == key(*number))));
    for number in &lost {
        assert_eq!(bench.put(*number, LENGTH), Ok(PutOutcome::Stored), "block {number} is repaired");
    }
    for number in 0..COUNT {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    bench.crash(3);
    for number in 0..COUNT {
        assert_eq!(bench.get(number), Ok(LENGTH), "after a power cut");
    }
}
