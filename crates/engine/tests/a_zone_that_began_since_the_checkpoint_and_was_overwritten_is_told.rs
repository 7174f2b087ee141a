//! A zone is opened after the last checkpoint, blocks are stored in it, and the engine ends without a word. Then somebody
//! else overwrites the zone, resets it, or takes away its end. No index knows what stood in it; but commits in another zone
//! say how far it was good. So it is told, and what cannot be known any more is not called absent.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{EngineError, Lifetime, Options, PutOutcome, ZoneRole};
use imbrex_format::UNIT_BYTES;
use imbrex_zoned::{Buffer, BufferPool, Device, DeviceError, Token, ZoneOperation};
use support::by_hand::{Bench, content, key, small_drive};

const LENGTH: usize = 50_000;
const ZONE_BYTES: usize = 2 << 20;

/// Blocks that the checkpoint knows, then those in the zone that was opened since, then one in the zone that was open before.
const KNOWN: std::ops::Range<u32> = 0..10;
const SINCE: std::ops::Range<u32> = 10..20;
const BEHIND: u32 = 20;
/// One that was never stored.
const ABSENT: u32 = 21;

const UNKNOWN: EngineError = EngineError::Unknown { zones: 1 };

/// Blocks that will not stay go to a zone of their own.
fn put_elsewhere(bench: &mut Bench, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let request = bench.request(key(number), &content(number, LENGTH), Lifetime::Short);
        let ticket = bench.engine.put(request);
        assert_eq!(bench.answer(ticket), Ok(PutOutcome::Stored));
    }
}

/// The drive as its engine has left it without a checkpoint, and the zone that was opened since the last one.
fn killed() -> (Bench, u32) {
    let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES as u64), Options::default());
    for number in KNOWN {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let ticket = bench.engine.stop();
    bench.until(|bench| bench.engine.is_finished());
    drop(ticket);
    bench.reopen();
    let before: Vec<u32> = bench.zones_in(ZoneRole::Open).iter().map(|zone| zone.zone).collect();
    put_elsewhere(&mut bench, SINCE);
    assert_eq!(bench.put(BEHIND, LENGTH), Ok(PutOutcome::Stored));
    let opened: Vec<u32> = bench.zones_in(ZoneRole::Open).iter().map(|zone| zone.zone).collect();
    let opened: Vec<u32> = opened.into_iter().filter(|zone| !before.contains(zone)).collect();
    assert_eq!(opened.len(), 1);
    (bench, opened[0])
}

fn done(device: &mut impl Device) -> (Result<(), DeviceError>, Option<Buffer>) {
    let mut done = Vec::new();
    while done.is_empty() {
        device.wait(None, &mut done).unwrap();
    }
    let completion = done.remove(0);
    (completion.result, completion.buffer)
}

/// What stands in a zone, and how many units of it are written.
fn read(bench: &Bench, zone: u32) -> (Vec<u8>, usize) {
    let pool = BufferPool::new(4 << 20).unwrap();
    let mut device = bench.drive.open(pool.clone());
    let pointer_bytes = device.report_zones().unwrap()[zone as usize].write_pointer_bytes.unwrap_or(0);
    let buffer = pool.try_allocate(ZONE_BYTES).unwrap();
    device.submit_read(Token(0), u64::from(zone) * ZONE_BYTES as u64, buffer, ZONE_BYTES).unwrap();
    let (result, buffer) = done(&mut device);
    assert_eq!(result, Ok(()));
    (buffer.unwrap().to_vec(), usize::try_from(pointer_bytes).unwrap() / UNIT_BYTES)
}

/// Resets a zone behind the engine, and writes something else to it.
fn overwrite(bench: &Bench, zone: u32, bytes: &[u8]) {
    let pool = BufferPool::new(4 << 20).unwrap();
    let mut device = bench.drive.open(pool.clone());
    device.submit_zone(Token(0), zone, ZoneOperation::Reset).unwrap();
    assert_eq!(done(&mut device).0, Ok(()));
    if !bytes.is_empty() {
        let mut buffer = pool.try_allocate(bytes.len()).unwrap();
        buffer.copy_from_slice(bytes);
        device.submit_write(Token(0), u64::from(zone) * ZONE_BYTES as u64, buffer).unwrap();
        assert_eq!(done(&mut device).0, Ok(()));
    }
    device.submit_flush(Token(0)).unwrap();
    assert_eq!(done(&mut device).0, Ok(()));
}

/// What stands elsewhere is there.
fn the_others_are_there(bench: &mut Bench) {
    for number in KNOWN.chain([BEHIND]) {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
}

/// The zone is in doubt, now and at all later mounts.
fn is_in_doubt(mut bench: Bench) {
    for round in 0..3 {
        assert_eq!(bench.engine.status().unknown_zones, 1, "round {round}");
        the_others_are_there(&mut bench);
        for number in SINCE.chain([ABSENT]) {
            assert_eq!(bench.get(number), Err(UNKNOWN), "block {number}, round {round}");
        }
        // Once by what the log says, and then by a checkpoint.
        if round > 0 {
            let ticket = bench.engine.stop();
            bench.until(|bench| bench.engine.is_finished());
            drop(ticket);
        }
        bench.reopen();
    }
    for number in SINCE.chain([ABSENT]) {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
}

#[test]
fn nothing_is_told_where_nobody_has_touched_it() {
    let (mut bench, _) = killed();
    bench.reopen();
    let status = bench.engine.status();
    assert_eq!((status.damaged_blocks, status.unknown_zones), (0, 0));
    the_others_are_there(&mut bench);
    for number in SINCE {
        assert_eq!(bench.get(number), Ok(LENGTH));
    }
    assert_eq!(bench.get(ABSENT), Err(EngineError::NotFound));
}

#[test]
fn by_zeros() {
    let (mut bench, zone) = killed();
    let (_, written_units) = read(&bench, zone);
    overwrite(&bench, zone, &vec![0; written_units * UNIT_BYTES]);
    bench.reopen();
    is_in_doubt(bench);
}

#[test]
fn by_what_another_drive_holds() {
    let (mut bench, zone) = killed();
    let (other, other_zone) = killed();
    assert_eq!(zone, other_zone);
    let (bytes, written_units) = read(&other, zone);
    overwrite(&bench, zone, &bytes[..written_units * UNIT_BYTES]);
    bench.reopen();
    is_in_doubt(bench);
}

#[test]
fn by_a_reset() {
    let (mut bench, zone) = killed();
    overwrite(&bench, zone, &[]);
    bench.reopen();
    assert!(bench.engine.status().damaged_blocks > 0);
    the_others_are_there(&mut bench);
}

#[test]
fn by_a_pointer_that_stands_further_back() {
    for kept_units in [1, 2, 15, 40] {
        let (mut bench, zone) = killed();
        let (bytes, written_units) = read(&bench, zone);
        assert!(kept_units < written_units);
        overwrite(&bench, zone, &bytes[..kept_units * UNIT_BYTES]);
        bench.reopen();
        assert!(bench.engine.status().damaged_blocks > 0, "{kept_units} units are left");
        the_others_are_there(&mut bench);
    }
}

#[test]
fn by_such_a_pointer_though_only_an_older_commit_calls_the_zone_open() {
    let (mut bench, zone) = killed();
    // It is filled and sealed, and another is opened.
    put_elsewhere(&mut bench, ABSENT + 1..ABSENT + 51);
    assert_eq!(bench.put(ABSENT, LENGTH), Ok(PutOutcome::Stored));
    assert_eq!(bench.zones()[zone as usize].role, ZoneRole::Sealed);
    let (bytes, _) = read(&bench, zone);
    overwrite(&bench, zone, &bytes[..40 * UNIT_BYTES]);
    bench.reopen();
    assert!(bench.engine.status().damaged_blocks > 0);
    the_others_are_there(&mut bench);
}
