//! A commit is damaged, the last one of its zone. A commit in another zone, written after it, calls the zone good to its
//! end: so the group was acknowledged, and its records count by their own headers, blocks and deletions alike.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Cursor, EngineError, Lifetime, Options, PutOutcome, ZoneRole};
use imbrex_format::{UNIT_BYTES, record_units};
use support::by_hand::{Bench, content, key, small_drive};

const LENGTH: usize = 50_000;
const ZONE_BYTES: u64 = 2 << 20;

/// A block that is stored as one that will not stay goes to a zone of its own.
fn put_elsewhere(bench: &mut Bench, number: u32) {
    let request = bench.request(key(number), &content(number, LENGTH), Lifetime::Short);
    let ticket = bench.engine.put(request);
    assert_eq!(bench.answer(ticket), Ok(PutOutcome::Stored));
}

/// The zone of a block, and the unit behind it.
fn behind(bench: &mut Bench, number: u32) -> (u32, u32) {
    let ticket = bench.engine.list(Cursor::default(), None, 1000);
    let page = bench.answer(ticket).unwrap();
    let entry = page.entries.iter().find(|entry| entry.key == key(number)).unwrap();
    (entry.zone, entry.unit_offset + record_units(LENGTH))
}

fn flip(bench: &Bench, (zone, unit): (u32, u32), offset: u64) {
    let place = u64::from(zone) * ZONE_BYTES + u64::from(unit) * UNIT_BYTES as u64;
    bench.drive.flip_bit(place + offset, 3).unwrap();
}

/// Six blocks, one group each, in one zone, and one in another zone behind them.
fn stored() -> Bench {
    let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES), Options::default());
    put_elsewhere(&mut bench, 10);
    for number in 0..6 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench
}

fn a_block_counts_whose_commit_has_a_bit_flipped_at(offset: u64) {
    let mut bench = stored();
    put_elsewhere(&mut bench, 11);
    let commit = behind(&mut bench, 5);
    assert_ne!(commit.0, behind(&mut bench, 11).0, "in another zone");
    flip(&bench, commit, offset);
    bench.reopen();
    assert!(bench.engine.status().damaged_blocks > 0, "what else the commit told is not known");
    assert_eq!(bench.zones()[commit.0 as usize].role, ZoneRole::Fenced);
    for round in 0..3 {
        for number in (0..6).chain(10..12) {
            assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, round {round}");
        }
        // Newer commits do not vouch for a zone that is open no more; the older ones do.
        put_elsewhere(&mut bench, 20 + round);
        bench.crash(u64::from(round));
    }
}

#[test]
fn a_block_where_the_commits_header_is_damaged() {
    a_block_counts_whose_commit_has_a_bit_flipped_at(60);
}

#[test]
fn a_block_where_what_the_commit_lists_is_damaged() {
    a_block_counts_whose_commit_has_a_bit_flipped_at(300);
}

#[test]
fn a_deletion() {
    let mut bench = stored();
    let (zone, unit) = behind(&mut bench, 5);
    assert_eq!(bench.delete(2), Ok(()));
    put_elsewhere(&mut bench, 11);
    // The commit of the last block, one unit of tombstones, and their commit.
    flip(&bench, (zone, unit + 2), 60);
    bench.reopen();
    assert_eq!(bench.get(2), Err(EngineError::NotFound));
    for number in [0, 1, 3, 4, 5, 10, 11] {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
}

#[test]
fn nothing_where_no_commit_vouches_for_it() {
    let mut bench = stored();
    // It looks like a torn group, which was acknowledged to nobody.
    let commit = behind(&mut bench, 5);
    flip(&bench, commit, 60);
    bench.reopen();
    for number in [0, 1, 2, 3, 4, 10] {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
    assert_eq!(bench.get(5), Err(EngineError::NotFound));
}
