//! Zones that were reset wait for checkpoints, and on a drive whose blocks come and go there is one for several of them:
//! one for each would be a good part of all that is written. What checkpoints take counts among what is written.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::time::Duration;

use imbrex_engine::{Class, Options};
use support::by_hand::{Bench, key, small_drive};

/// 60 KiB with its header: some fifteen to a zone of 1 MiB.
const BLOCK_BYTES: usize = 60 << 10;

/// Four fifths of what 512 such zones hold.
const BLOCKS: u32 = 5_900;

/// Puts that are under way at once: a quarter of a zone.
const WINDOW: u32 = 4;

/// Stores `count` blocks from `first` on, some at once.
fn put(bench: &mut Bench, first: u32, count: u32) {
    for start in (first..first + count).step_by(WINDOW as usize) {
        let tickets: Vec<_> =
            (start..start + WINDOW).map(|number| bench.begin_put(number, BLOCK_BYTES)).collect();
        tickets.into_iter().for_each(|ticket| _ = bench.answer(ticket).unwrap());
    }
}

#[test]
fn a_checkpoint_frees_several_zones_at_once() {
    let options = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(512, 1 << 20), options);
    put(&mut bench, 0, BLOCKS);
    let mut live: Vec<u32> = (0..BLOCKS).collect();
    let filled = bench.engine.stats();
    let mut random = 1_u64;
    for first in (BLOCKS..2 * BLOCKS).step_by(WINDOW as usize) {
        for _ in 0..WINDOW {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(random >> 33).unwrap() % live.len();
            let ticket = bench.engine.delete(key(live.swap_remove(place)), Class::Foreground);
            bench.answer(ticket).unwrap();
        }
        put(&mut bench, first, WINDOW);
        live.extend(first..first + WINDOW);
    }
    let stats = bench.engine.stats();
    let (resets, checkpoints) =
        (stats.zones_reset - filled.zones_reset, stats.checkpoints - filled.checkpoints);
    println!("{resets} zones were reset and {checkpoints} checkpoints written");
    assert!(resets > 500, "{resets} zones were reset");
    assert!(checkpoints > 10 && checkpoints <= resets, "{checkpoints} checkpoints for {resets} resets");
    let new_bytes = (stats.puts - filled.puts) * (BLOCK_BYTES as u64 + 4096);
    let written_bytes = stats.device_written_bytes - filled.device_written_bytes;
    let checkpoint_bytes = stats.checkpoint_bytes - filled.checkpoint_bytes;
    let moved_bytes = stats.moved_bytes - filled.moved_bytes;
    assert!(written_bytes >= new_bytes + moved_bytes + checkpoint_bytes, "{stats:?}");
    assert!(checkpoint_bytes > 0 && moved_bytes > 0);
}
