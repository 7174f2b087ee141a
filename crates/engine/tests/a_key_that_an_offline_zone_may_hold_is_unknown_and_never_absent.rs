//! A zone that is offline when the drive is mounted may hold blocks that were stored after the last checkpoint: nothing
//! tells their keys. As long as there is such a zone, no key is answered as absent; and what the drive says of it outlives
//! restarts. A zone that cannot have been written since the checkpoint leaves no doubt.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use imbrex_engine::{EngineError, Options, PutOutcome, State, ZoneRole};
use imbrex_zoned::Condition;
use support::by_hand::{Bench, small_drive};
use support::faulty::{Faults, Faulty};

const LENGTH: usize = 50_000;

/// How many blocks are stored: some zones full of them.
const COUNT: u32 = 150;

const UNKNOWN: EngineError = EngineError::Unknown { zones: 1 };

fn drive(options: Options) -> Bench {
    Bench::formatted(small_drive(24, 2 << 20), options)
}

fn store(bench: &mut Bench, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
}

/// Mounts the drive over a device that shows `zone` as offline.
fn reopen_without(bench: &mut Bench, zone: u32) {
    let faults = Faults::default();
    faults.offline.store(u64::from(zone) + 1, SeqCst);
    let pool = imbrex_zoned::BufferPool::new(48 << 20).unwrap();
    let device = bench.drive.open(pool);
    bench.reopen_over(Faulty::new(device, faults));
    assert_eq!(bench.engine.state(), State::Serving);
}

fn unknown_zones(bench: &Bench) -> u32 {
    bench.engine.status().unknown_zones
}

/// What the drive answers of blocks in a zone that it cannot read, and the numbers of those.
fn missing(bench: &mut Bench) -> Vec<u32> {
    let missing: Vec<u32> = (0..COUNT).filter(|number| bench.get(*number) != Ok(LENGTH)).collect();
    for number in &missing {
        assert_eq!(bench.get(*number), Err(UNKNOWN), "block {number}");
    }
    missing
}

#[test]
fn it_is_unknown_until_the_zone_can_be_read_again() {
    let mut bench = drive(Options { checkpoint_bytes: 256 << 10, ..Options::default() });
    store(&mut bench, 0..COUNT);
    assert_eq!(bench.get(COUNT), Err(EngineError::NotFound));
    let sealed = bench.zones_in(ZoneRole::Sealed);
    let (first, second) = (sealed[0].zone, sealed[1].zone);
    for zone in bench.zones_in(ZoneRole::Checkpoint) {
        bench.drive.conceal(u64::from(zone.zone) * (2 << 20), 4096);
    }
    reopen_without(&mut bench, second);
    bench.drive.reveal();
    assert_eq!(unknown_zones(&bench), 1);
    let lost = missing(&mut bench);
    assert!(!lost.is_empty() && lost.len() < COUNT as usize / 2, "one zone of several: {lost:?}");
    assert_eq!(bench.get(COUNT), Err(UNKNOWN), "one that was never stored");
    assert_eq!(bench.delete(COUNT), Err(UNKNOWN));
    // What is there is served and deleted, and more can be stored.
    let there = (0..COUNT).rfind(|number| !lost.contains(number)).unwrap();
    assert_eq!(bench.delete(there), Ok(()));
    assert_eq!(bench.get(there), Err(UNKNOWN), "the zone may hold another copy");
    assert_eq!(bench.put(COUNT, LENGTH), Ok(PutOutcome::Stored));
    assert_eq!(bench.get(COUNT), Ok(LENGTH));
    store(&mut bench, COUNT + 1..COUNT + 20);
    bench.until(|bench| bench.engine.stats().checkpoints >= 2);

    reopen_without(&mut bench, second);
    assert_eq!(unknown_zones(&bench), 1, "a checkpoint carries the doubt");
    assert_eq!(bench.get(lost[0]), Err(UNKNOWN));
    assert_eq!(bench.get(COUNT), Ok(LENGTH));

    bench.reopen();
    assert_eq!(unknown_zones(&bench), 0, "the zone can be read: zone {first} too");
    for number in (0..COUNT + 20).filter(|number| *number != there) {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
    assert_eq!(bench.get(there), Err(EngineError::NotFound));
}

#[test]
fn what_was_deleted_does_not_come_back_with_the_zone() {
    let mut bench = drive(Options { checkpoint_bytes: 256 << 10, ..Options::default() });
    store(&mut bench, 0..COUNT);
    let zone = bench.zones_in(ZoneRole::Sealed)[1].zone;
    let ticket = bench.engine.list(imbrex_engine::Cursor::default(), Some(zone), 1000);
    let listed = bench.answer(ticket).unwrap();
    let number = u32::from_le_bytes(listed.entries[0].key.0[..4].try_into().unwrap());
    assert_eq!(bench.delete(number), Ok(()));
    for slot_zone in bench.zones_in(ZoneRole::Checkpoint) {
        bench.drive.conceal(u64::from(slot_zone.zone) * (2 << 20), 4096);
    }
    reopen_without(&mut bench, zone);
    bench.drive.reveal();
    // Reclaim empties the zones in which the deletion stands, and carries it on: what it names has not gone.
    for stored in (0..COUNT).filter(|stored| bench.get(*stored).is_ok()).collect::<Vec<_>>() {
        assert_eq!(bench.delete(stored), Ok(()));
    }
    let next = bench.fill(COUNT, LENGTH).0;
    for stored in COUNT..next {
        assert_eq!(bench.delete(stored), Ok(()));
    }
    bench.pass(std::time::Duration::from_secs(3000));
    bench.fill(next, LENGTH);
    assert!(bench.engine.stats().carried_tombstones > 0);
    bench.reopen();
    assert_eq!(unknown_zones(&bench), 0);
    assert_eq!(bench.get(number), Err(EngineError::NotFound));
    let other = u32::from_le_bytes(listed.entries[1].key.0[..4].try_into().unwrap());
    assert_eq!(bench.get(other), Ok(LENGTH), "the others are back");
}

#[test]
fn an_open_zone_that_goes_offline_is_in_doubt_though_a_checkpoint_knows_it() {
    let mut bench = drive(Options { checkpoint_bytes: 1 << 20, ..Options::default() });
    store(&mut bench, 0..COUNT);
    let written = bench.engine.stats().checkpoints;
    bench.until(|bench| bench.engine.stats().checkpoints >= written.max(1));
    let open = bench.zones_in(ZoneRole::Open)[0].zone;
    bench.drive.wear_out(open, Condition::Offline).unwrap();
    bench.crash(1);
    assert_eq!(unknown_zones(&bench), 1);
    for number in 0..COUNT {
        let answer = bench.get(number);
        let is_told = matches!(answer, Ok(_) | Err(EngineError::Medium { .. })) || answer == Err(UNKNOWN);
        assert!(is_told, "block {number}: {answer:?}");
    }
    bench.crash(2);
    assert_eq!(unknown_zones(&bench), 1);
}

#[test]
fn zones_that_cannot_have_been_written_leave_no_doubt() {
    // Dead before the drive was formatted.
    let mut bench = drive(Options::default());
    store(&mut bench, 0..10);
    let free = bench.zones_in(ZoneRole::Free).last().unwrap().zone;
    let geometry = small_drive(24, 2 << 20);
    drop(bench);
    let mut bench = Bench::formatted_without(geometry, Options::default(), free);
    assert_eq!(bench.get(1), Err(EngineError::NotFound));
    store(&mut bench, 0..COUNT);
    bench.until(|bench| bench.engine.stats().checkpoints > 0);
    bench.crash(3);
    assert_eq!(unknown_zones(&bench), 0);
    assert_eq!(bench.get(COUNT), Err(EngineError::NotFound));

    // Closed before the checkpoint: each of its blocks is in the index.
    let sealed = bench.zones_in(ZoneRole::Sealed)[0].zone;
    store(&mut bench, COUNT + 1..COUNT + 2);
    let before = bench.engine.stats().checkpoints;
    let ticket = bench.engine.stop();
    bench.until(|bench| bench.engine.is_finished());
    drop(ticket);
    assert!(bench.engine.stats().checkpoints > before);
    bench.drive.wear_out(sealed, Condition::Offline).unwrap();
    bench.reopen();
    assert_eq!(unknown_zones(&bench), 0);
    assert_eq!(bench.get(COUNT), Err(EngineError::NotFound));
    let lost = (0..COUNT).filter(|number| bench.get(*number).is_err()).count();
    assert!(lost > 0);
}
