//! A zone that was reset behind the engine is empty, like one that the engine has reset. But nothing says that what stood in
//! it was moved or deleted. It is told, each of its blocks is answered as damaged, and can be stored again.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{DamageKind, EngineError, Lifetime, Options, PutOutcome, ZoneRole};
use imbrex_zoned::{BufferPool, Device, Token, ZoneOperation};
use support::by_hand::{Bench, content, key, small_drive};

const LENGTH: usize = 50_000;

/// How many blocks are stored: some zones full of them.
const COUNT: u32 = 150;

/// How many of them a zone holds.
const OF_A_ZONE: u32 = 36;

fn drive(options: Options) -> Bench {
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), options);
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench
}

fn stop(bench: &mut Bench) {
    let ticket = bench.engine.stop();
    bench.until(|bench| bench.engine.is_finished());
    drop(ticket);
}

/// Resets a zone while no engine serves the drive.
fn reset(bench: &Bench, zone: u32) {
    let mut device = bench.drive.open(BufferPool::new(1 << 20).unwrap());
    device.submit_zone(Token(0), zone, ZoneOperation::Reset).unwrap();
    let mut done = Vec::new();
    while done.is_empty() {
        device.wait(None, &mut done).unwrap();
    }
    assert_eq!(done[0].result, Ok(()));
}

fn lost(bench: &mut Bench) -> Vec<u32> {
    (0..COUNT).filter(|number| bench.get(*number) != Ok(LENGTH)).collect()
}

#[test]
fn a_zone_that_was_sealed() {
    let mut bench = drive(Options::default());
    let zone = bench.zones_in(ZoneRole::Sealed)[1].zone;
    stop(&mut bench);
    reset(&bench, zone);
    bench.reopen();
    let told = bench.engine.status().damaged_blocks;
    let lost = lost(&mut bench);
    assert!(!lost.is_empty() && lost.len() < COUNT as usize / 2, "one zone of several: {lost:?}");
    assert_eq!(told, lost.len() as u64);
    for number in &lost {
        let answer = bench.get(*number);
        assert!(matches!(answer, Err(EngineError::Corrupt { .. })), "block {number}: {answer:?}");
    }
    assert_eq!(bench.get(COUNT), Err(EngineError::NotFound), "one that was never stored");

    // Each is listed by its key now, and counted once.
    let ticket = bench.engine.damage();
    let mut listed: Vec<_> = bench.answer(ticket).unwrap();
    listed.sort_by_key(|damage| u32::from_le_bytes(damage.key.0[..4].try_into().unwrap()));
    let known: Vec<_> = listed.iter().map(|damage| (damage.key, damage.kind)).collect();
    assert_eq!(known, lost.iter().map(|number| (key(*number), DamageKind::Checksum)).collect::<Vec<_>>());
    bench.until(|bench| bench.engine.status().damaged_blocks == told);

    // The next mount tells it again; then they are stored again, or deleted.
    bench.crash(1);
    assert_eq!(bench.engine.status().damaged_blocks, told);
    assert_eq!(bench.delete(lost[0]), Ok(()));
    assert_eq!(bench.get(lost[0]), Err(EngineError::NotFound));
    for number in &lost[1..] {
        assert_eq!(bench.put(*number, LENGTH), Ok(PutOutcome::Stored));
        assert_eq!(bench.get(*number), Ok(LENGTH));
    }
    bench.until(|bench| bench.engine.status().damaged_blocks == 0);
    assert_eq!(
        bench.zones()[zone as usize].role,
        ZoneRole::Fenced,
        "it is not written before the next mount"
    );
    stop(&mut bench);
    bench.reopen();
    assert_eq!(bench.engine.status().damaged_blocks, 0);
    let role = bench.zones()[zone as usize].role;
    assert!(matches!(role, ZoneRole::Reset | ZoneRole::Free), "{role:?}");
    assert_eq!(bench.get(lost[0]), Err(EngineError::NotFound));
    assert!((0..COUNT).filter(|number| *number != lost[0]).all(|number| bench.get(number) == Ok(LENGTH)));
}

#[test]
fn a_zone_that_was_open() {
    let mut bench = drive(Options::default());
    let zone = bench.zones_in(ZoneRole::Open)[0].zone;
    stop(&mut bench);
    reset(&bench, zone);
    bench.reopen();
    let told = bench.engine.status().damaged_blocks;
    assert!(told > 0);
    assert_eq!(lost(&mut bench).len() as u64, told);
}

#[test]
fn what_the_engine_itself_has_reset_since_the_checkpoint_is_not_told() {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = drive(options);
    stop(&mut bench);
    bench.reopen();
    let checkpoints = bench.engine.stats().checkpoints;
    // Some zones are emptied, and reset.
    for number in 0..COUNT - 20 {
        assert_eq!(bench.delete(number), Ok(()));
    }
    bench.until(|bench| bench.engine.stats().zones_reset > 0);
    assert_eq!(bench.engine.stats().checkpoints, checkpoints, "the mount goes by the one before");
    bench.crash(1);
    assert_eq!(bench.engine.status().damaged_blocks, 0);
    for number in 0..COUNT {
        let expected = if number >= COUNT - 20 { Ok(LENGTH) } else { Err(EngineError::NotFound) };
        assert_eq!(bench.get(number), expected, "block {number}");
    }
}

/// On a drive that is nearly full everything is deleted that stands in the zone that was opened last. It is closed and
/// reset, and the power goes at once. `others` are stored before, and go to another zone; deletions go there too.
fn emptied_on_a_full_drive(others: u32, lifetime: Lifetime) {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), options);
    for number in 0..others {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    for number in others..others + 20 {
        let request = bench.request(key(number), &content(number, LENGTH), lifetime);
        let ticket = bench.engine.put(request);
        assert_eq!(bench.answer(ticket), Ok(PutOutcome::Stored));
    }
    let zone = bench.zones_in(ZoneRole::Open).iter().map(|zone| zone.zone).max().unwrap();
    stop(&mut bench);
    bench.reopen();
    for number in others..others + 20 {
        assert_eq!(bench.delete(number), Ok(()));
    }
    bench.until(|bench| bench.zones()[zone as usize].role == ZoneRole::Trash);
    let groups = bench.engine.stats().groups;
    bench.until(|bench| bench.engine.stats().zones_reset > 0);
    assert_eq!(bench.engine.stats().groups, groups, "no commit tells that the zone was closed");
    assert_eq!(bench.zones()[zone as usize].role, ZoneRole::Reset);
    bench.crash(1);
    assert_eq!(bench.engine.status().damaged_blocks, 0);
    for number in 0..others + 20 {
        let expected = if number < others { Ok(LENGTH) } else { Err(EngineError::NotFound) };
        assert_eq!(bench.get(number), expected, "block {number}");
    }
}

#[test]
fn an_open_zone_that_the_engine_has_closed_and_reset_is_not_told_where_its_deletions_stood_in_it() {
    emptied_on_a_full_drive(17 * OF_A_ZONE, Lifetime::Unknown);
}

#[test]
fn an_open_zone_that_the_engine_has_closed_and_reset_is_not_told_where_the_last_commit_calls_it_open() {
    emptied_on_a_full_drive(17 * OF_A_ZONE - 10, Lifetime::Short);
}
