//! A block that is damaged stays so until it is stored anew, and each pass of the scrub meets it again. It is counted when it
//! is found: a drive on which nothing has happened since does not look as if it became worse.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Cursor, Options, PutOutcome};
use imbrex_format::UNIT_BYTES;
use support::by_hand::{Bench, key, small_drive};

const LENGTH: usize = 50_000;
const COUNT: u32 = 40;
const ZONE_BYTES: u64 = 2 << 20;

/// The byte of the drive at which a block's record begins.
fn offset_bytes(bench: &mut Bench, number: u32) -> u64 {
    let ticket = bench.engine.list(Cursor::default(), None, 1000);
    let entries = bench.answer(ticket).unwrap().entries;
    let entry = entries.iter().find(|entry| entry.key == key(number)).unwrap();
    u64::from(entry.zone) * ZONE_BYTES + u64::from(entry.unit_offset) * UNIT_BYTES as u64
}

/// The scrub's own count, that of reads that failed, and that of checksums.
fn counted(bench: &Bench) -> (u64, u64, u64) {
    let stats = bench.engine.stats();
    (stats.scrub_errors, stats.read_errors, stats.checksum_failures)
}

#[test]
fn whoever_found_it_first() {
    let mut bench = Bench::formatted(small_drive(24, ZONE_BYTES), Options::default());
    for number in 0..COUNT {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let unreadable = offset_bytes(&mut bench, 3);
    bench.drive.make_unreadable(unreadable + 8192, 4096).unwrap();
    bench.scrub_all();
    assert_eq!((counted(&bench).0, counted(&bench).2), (1, 0), "one block that cannot be read");
    // Reclaim meets it once more, when it empties the zone.
    bench.turns(2000);
    let first = counted(&bench);
    for _ in 0..3 {
        bench.scrub_all();
        assert_eq!(counted(&bench), first, "the same block");
    }
    // A client finds another one: it is listed, and the scrub adds nothing to that.
    let flipped = offset_bytes(&mut bench, 30);
    bench.drive.flip_bit(flipped + 9000, 3).unwrap();
    bench.get(30).unwrap_err();
    bench.turns(2000);
    let known = counted(&bench);
    bench.scrub_all();
    assert_eq!(counted(&bench), known);
    assert_eq!((known.0, bench.engine.status().damaged_blocks), (1, 2));
    // What is new is counted all the same.
    let flipped = offset_bytes(&mut bench, 31);
    bench.drive.flip_bit(flipped + 9000, 3).unwrap();
    bench.scrub_all();
    assert_eq!((counted(&bench).0, bench.engine.status().damaged_blocks), (2, 3));
}
