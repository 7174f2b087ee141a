//! The last commit before a restart is damaged later, and no checkpoint vouches for its records: whether they were
//! acknowledged cannot be told any more from a torn group whose void was lost. What the engine does not give back, it tells.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::fs;
use std::ops::Range;

use imbrex_engine::{Class, Cursor, RangeRequest};
use imbrex_format::UNIT_BYTES;
use support::{DriveFile, ZONE_BYTES, content, key, put, wait};

/// The place of the zones' first byte in the file (FORMAT.md, "Drive files").
const ZONES_AT: usize = 1 << 20;
const BEFORE: Range<u8> = 0..3;
const AFTER: Range<u8> = 3..6;

/// Blocks that two engines have stored, one after the other, and the byte of the file at which the first one's last
/// commit begins. No checkpoint counts any more.
fn stored_over_a_restart() -> (DriveFile, usize) {
    let drive = DriveFile::formatted();
    for numbers in [BEFORE, AFTER] {
        let (engine, _) = drive.start();
        for number in numbers {
            put(&engine, number, &content(number, 6000)).unwrap();
        }
        wait(engine.stop());
    }
    let (engine, _) = drive.start();
    let page = wait(engine.list(Cursor::default(), 100, Class::Foreground)).unwrap();
    wait(engine.stop());
    let last = page.entries.iter().find(|entry| entry.key == key(BEFORE.end - 1)).unwrap();
    let block = ZONES_AT + usize::try_from(u64::from(last.zone) * ZONE_BYTES).unwrap();
    // Each block was awaited, so that each has a commit of its own behind its two units.
    let commit = block + (last.unit_offset as usize + 2) * UNIT_BYTES;

    let mut file = fs::read(drive.path()).unwrap();
    assert_eq!((&file[commit..commit + 4], file[commit + 8]), (&b"IBRK"[..], 3), "a commit stands there");
    let headers = (ZONES_AT..file.len()).step_by(UNIT_BYTES);
    for header in headers.filter(|at| file[*at..*at + 8] == *b"IMBREXZN").collect::<Vec<_>>() {
        if file[header + 36] == 2 {
            file[header] ^= 1;
        }
    }
    fs::write(drive.path(), file).unwrap();
    (drive, commit)
}

fn what_is_gone_is_told_when_a_byte_is_flipped(offset: usize) {
    let (drive, commit) = stored_over_a_restart();
    let mut file = fs::read(drive.path()).unwrap();
    file[commit + offset] ^= 1;
    fs::write(drive.path(), file).unwrap();
    let (engine, _) = drive.start();
    let gone = |number: &u8| wait(engine.get(key(*number), RangeRequest::Whole, Class::Foreground)).is_err();
    let all_gone: Vec<u8> = BEFORE.chain(AFTER).filter(gone).collect();
    assert!(all_gone.is_empty() || all_gone == [BEFORE.end - 1], "{all_gone:?}");
    assert!(all_gone.is_empty() || engine.status().damaged_blocks > 0, "{all_gone:?} have gone in silence");
    wait(engine.stop());
}

#[test]
fn in_its_header() {
    what_is_gone_is_told_when_a_byte_is_flipped(60);
}

#[test]
fn in_what_it_lists() {
    what_is_gone_is_told_when_a_byte_is_flipped(300);
}
