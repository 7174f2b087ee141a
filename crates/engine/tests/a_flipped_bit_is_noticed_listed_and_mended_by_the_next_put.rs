//! A checker that never fires proves nothing: here data is damaged on purpose.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::fs;

use imbrex_engine::{Class, DamageKind, EngineError, PutOutcome, RangeRequest};
use support::{DriveFile, content, key, put, wait, wait_until};

/// Flips one bit of the drive's file, `distance` bytes from where `needle` begins.
fn flip_a_bit(drive: &DriveFile, needle: &[u8], distance: isize) {
    let mut file = fs::read(drive.path()).unwrap();
    let begin =
        file.windows(needle.len()).position(|bytes| bytes == needle).expect("the payload is in the file");
    file[begin.checked_add_signed(distance).unwrap()] ^= 0x10;
    fs::write(drive.path(), file).unwrap();
}

fn damaged_at(distance: isize) {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    let bytes = content(7, 200_000);
    assert_eq!(put(&engine, 7, &bytes), Ok(PutOutcome::Stored));
    assert_eq!(put(&engine, 8, &content(8, 5000)), Ok(PutOutcome::Stored));
    wait(engine.stop());
    drop(engine);
    flip_a_bit(&drive, &bytes[..4096], distance);

    let (engine, _) = drive.start();
    let answer = wait(engine.get(key(7), RangeRequest::Whole, Class::Foreground));
    assert!(matches!(answer, Err(EngineError::Corrupt { .. })), "{answer:?}");
    assert_eq!(
        wait(engine.get(key(8), RangeRequest::Whole, Class::Foreground)).unwrap().as_ref(),
        content(8, 5000)
    );
    let damage = wait(engine.damage()).unwrap();
    assert_eq!(
        damage.iter().map(|damage| (damage.key, damage.kind)).collect::<Vec<_>>(),
        [(key(7), DamageKind::Checksum)]
    );

    assert_eq!(put(&engine, 7, &bytes), Ok(PutOutcome::Stored), "a put mends a damaged block");
    assert_eq!(wait(engine.get(key(7), RangeRequest::Whole, Class::Foreground)).unwrap().as_ref(), bytes);
    assert!(wait(engine.damage()).unwrap().is_empty());
    wait(engine.stop());
    drop(engine);

    let (engine, _) = drive.start();
    assert_eq!(wait(engine.get(key(7), RangeRequest::Whole, Class::Foreground)).unwrap().as_ref(), bytes);
    // A record that is being moved counts twice for a moment; the damaged one, had it come back, would stay.
    wait_until(|| engine.status().blocks == 2);
}

#[test]
fn in_the_payload() {
    damaged_at(150_000);
}

#[test]
fn in_the_payloads_last_byte() {
    damaged_at(199_999);
}

/// Where a record's header is damaged, its neighbours are not touched.
#[test]
fn in_the_header_of_a_record_of_the_open_zone() {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    let bytes = content(7, 200_000);
    put(&engine, 6, &content(6, 9000)).unwrap();
    put(&engine, 7, &bytes).unwrap();
    put(&engine, 8, &content(8, 5000)).unwrap();
    wait(engine.stop());
    drop(engine);
    // The payload of four chunks begins 192 bytes into its record.
    flip_a_bit(&drive, &bytes[..4096], 100 - 192);

    let (engine, _) = drive.start();
    let error = wait(engine.get(key(7), RangeRequest::Whole, Class::Foreground)).unwrap_err();
    assert!(matches!(error, EngineError::Corrupt { .. }), "{error}");
    let listed: Vec<_> = wait(engine.damage()).unwrap().into_iter().map(|damage| damage.key).collect();
    assert_eq!(listed, [key(7)]);
    assert_eq!(
        wait(engine.get(key(6), RangeRequest::Whole, Class::Foreground)).unwrap().as_ref(),
        content(6, 9000)
    );
    assert_eq!(
        wait(engine.get(key(8), RangeRequest::Whole, Class::Foreground)).unwrap().as_ref(),
        content(8, 5000)
    );
}

#[test]
fn a_range_that_does_not_touch_the_damage_is_given() {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    let bytes = content(7, 200_000);
    put(&engine, 7, &bytes).unwrap();
    wait(engine.stop());
    drop(engine);
    flip_a_bit(&drive, &bytes[..4096], 150_000);

    let (engine, _) = drive.start();
    let part = |first, last| {
        wait(engine.get(key(7), RangeRequest::From { first, last: Some(last) }, Class::Foreground))
    };
    assert_eq!(part(1000, 1999).unwrap().as_ref(), &bytes[1000..2000]);
    assert!(matches!(part(140_000, 140_001), Err(EngineError::Corrupt { .. })));
}
