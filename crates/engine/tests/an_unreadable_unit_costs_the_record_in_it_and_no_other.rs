//! A sector that cannot be read is no reason to lose its neighbours: not at a mount, not in a listing.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::fs;

use imbrex_engine::{BlockEntry, Class, Cursor, EngineError, Handle, RangeRequest};
use imbrex_format::{Key, UNIT_BYTES};
use support::{DriveFile, ZONE_BYTES, content, key, put, wait};

const COUNT: u8 = 41;

fn list(engine: &Handle) -> Vec<BlockEntry> {
    let mut entries = Vec::new();
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        let page = wait(engine.list(from, 100, Class::Foreground)).unwrap();
        entries.extend(page.entries);
        cursor = page.next;
    }
    entries
}

/// Key and length of each, whose place may change: what stands beside damage is written elsewhere.
fn identities(mut entries: Vec<BlockEntry>) -> Vec<(Key, u32)> {
    entries.sort_by_key(|entry| entry.key);
    // One that is moved meanwhile can be listed at both places.
    entries.dedup_by_key(|entry| entry.key);
    entries.into_iter().map(|entry| (entry.key, entry.payload_bytes)).collect()
}

/// Blocks of `length` bytes, and where they stand; the last one has 20,000.
fn filled_with(length: usize) -> (DriveFile, Vec<BlockEntry>) {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    for number in 0..COUNT - 1 {
        put(&engine, number, &content(number, length)).unwrap();
    }
    put(&engine, COUNT - 1, &content(COUNT - 1, 20_000)).unwrap();
    let entries = list(&engine);
    wait(engine.stop());
    (drive, entries)
}

fn filled() -> (DriveFile, Vec<BlockEntry>) {
    filled_with(100)
}

fn byte_of(entry: &BlockEntry, unit: u32) -> u64 {
    u64::from(entry.zone) * ZONE_BYTES + u64::from(entry.unit_offset + unit) * UNIT_BYTES as u64
}

/// The numbers of the blocks that do not come back, with what was answered instead.
fn missing(engine: &Handle) -> Vec<(u8, EngineError)> {
    (0..COUNT)
        .filter_map(|number| {
            Some((number, wait(engine.get(key(number), RangeRequest::Whole, Class::Foreground)).err()?))
        })
        .collect()
}

#[test]
fn in_the_last_payload_of_the_open_zone() {
    let (drive, entries) = filled();
    let engine = drive.start_unreadable_at(byte_of(entries.last().unwrap(), 2));
    let missing = missing(&engine);
    assert!(matches!(missing[..], [(40, EngineError::Medium { .. })]), "{missing:?}");
    assert_eq!(identities(list(&engine)), identities(entries));
}

#[test]
fn in_a_header_of_the_open_zone() {
    let (drive, entries) = filled();
    let engine = drive.start_unreadable_at(byte_of(&entries[20], 0));
    let missing = missing(&engine);
    assert!(matches!(missing[..], [(20, EngineError::Medium { .. })]), "{missing:?}");
    let listed: Vec<_> = wait(engine.damage()).unwrap().into_iter().map(|damage| damage.key).collect();
    assert_eq!(listed, [key(20)], "its commit tells the key");
    assert_eq!(identities(list(&engine)), identities(entries));
    // Figures follow what they count by some milliseconds, but for the last ones.
    wait(engine.stop());
    assert_eq!(engine.status().damaged_blocks, 1);
}

#[test]
fn in_the_header_of_the_open_zone_itself() {
    let (drive, entries) = filled();
    let engine = drive.start_unreadable_at(u64::from(entries[0].zone) * ZONE_BYTES);
    assert_eq!(missing(&engine), []);
    assert_eq!(identities(list(&engine)), identities(entries), "the zone is listed by its records");
}

#[test]
fn in_a_payload_of_a_sealed_zone_whose_footer_is_damaged() {
    let (drive, entries) = filled_with(200_000);
    assert!(entries.first().unwrap().zone < entries.last().unwrap().zone, "more than one zone is written");
    let mut file = fs::read(drive.path()).unwrap();
    let trailers: Vec<usize> = (0..file.len() - 8).filter(|at| file[*at..*at + 8] == *b"IMBREXFT").collect();
    assert!(!trailers.is_empty());
    trailers.iter().for_each(|at| file[*at] ^= 1);
    fs::write(drive.path(), file).unwrap();

    let engine = drive.start_unreadable_at(byte_of(&entries[3], 5));
    let missing = missing(&engine);
    assert!(matches!(missing[..], [(3, EngineError::Medium { .. })]), "{missing:?}");
    assert_eq!(identities(list(&engine)), identities(entries));
}
