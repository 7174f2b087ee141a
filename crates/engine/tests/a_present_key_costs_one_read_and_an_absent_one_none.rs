//! A random read costs a disk about 8 ms, so reads are counted.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Class, EngineError, RangeRequest};
use support::{DriveFile, content, key, put, wait, wait_until};

#[test]
fn gets_and_heads_of_blocks_of_every_size() {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    for (number, length) in (0..).zip([0, 1, 4096, 65_536, 65_537, 400_000]) {
        put(&engine, number, &content(number, length)).unwrap();
    }
    wait(engine.stop());
    drop(engine);

    let (engine, _) = drive.start();
    let mut reads = 0;
    for number in 0..6 {
        wait(engine.get(key(number), RangeRequest::Whole, Class::Foreground)).unwrap();
        wait(engine.get(key(number), RangeRequest::Suffix { length_bytes: 10 }, Class::Foreground)).unwrap();
        wait(engine.head(key(number), Class::Foreground)).unwrap();
        reads += 3;
    }
    wait_until(|| engine.stats().device_reads == reads);
    for number in 100..200 {
        assert_eq!(wait(engine.head(key(number), Class::Foreground)), Err(EngineError::NotFound));
        assert!(wait(engine.get(key(number), RangeRequest::Whole, Class::Foreground)).is_err());
    }
    wait_until(|| engine.stats().gets_absent == 200);
    assert_eq!(engine.stats().device_reads, reads);
    assert_eq!(engine.stats().index_false_matches, 0);
}
