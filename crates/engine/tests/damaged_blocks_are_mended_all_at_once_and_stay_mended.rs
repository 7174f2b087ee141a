//! A put replaces a damaged record, and a tombstone sees to it that the old one does not come back. Many of them at
//! once are more tombstones than one group has room for.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::fs;
use std::sync::atomic::Ordering::SeqCst;

use imbrex_engine::{Cursor, Handle, PutOutcome};
use imbrex_format::Key;
use support::{DriveFile, put_request, wait, wait_until};
use tokio::task::JoinSet;

const COUNT: u16 = 700;
const LENGTH: usize = 3000;

fn key(number: u16) -> Key {
    let mut bytes = [9; 32];
    bytes[..2].copy_from_slice(&number.to_le_bytes());
    Key(bytes)
}

/// Puts every block at once; `meanwhile` is done when all of them are on their way.
fn put_all(engine: &Handle, meanwhile: impl FnOnce()) -> Vec<PutOutcome> {
    let mut puts = JoinSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for number in 0..COUNT {
            let (engine, request) = (engine.clone(), put_request(engine, key(number), &[0xA5; LENGTH]));
            puts.spawn(async move { engine.put(request).await.unwrap() });
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        meanwhile();
        puts.join_all().await
    })
}

/// Flips a bit in each payload.
fn damage_all(drive: &DriveFile) {
    let mut file = fs::read(drive.path()).unwrap();
    let mut at = 0;
    while at + LENGTH <= file.len() {
        if file[at..at + LENGTH].iter().all(|byte| *byte == 0xA5) {
            file[at + 5] ^= 1;
            at += LENGTH;
        } else {
            at += 1;
        }
    }
    fs::write(drive.path(), file).unwrap();
}

#[test]
fn seven_hundred() {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    put_all(&engine, || ());
    wait(engine.stop());
    drop(engine);
    damage_all(&drive);

    let (engine, faults) = drive.start_faulty();
    faults.holds_flushes.store(true, SeqCst);
    let release = || {
        // While no flush ends, puts gather: all of them have read what they replace.
        wait_until(|| engine.stats().device_reads == u64::from(COUNT));
        faults.holds_flushes.store(false, SeqCst);
    };
    let outcomes = put_all(&engine, release);
    assert!(outcomes.iter().all(|outcome| *outcome == PutOutcome::Stored));
    wait_until(|| engine.status().blocks == u64::from(COUNT));
    wait(engine.stop());
    drop(engine);

    let (engine, _) = drive.start();
    assert_eq!(engine.status().blocks, u64::from(COUNT), "no damaged record came back");
    assert_eq!(
        wait(engine.list(Cursor::default(), 10_000, imbrex_engine::Class::Foreground)).unwrap().entries.len(),
        usize::from(COUNT)
    );
}
