//! How many blocks the index holds is written in the label, so a wrong figure there would last.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Class, EngineError, FormatOrder, RangeRequest, Replace, State};
use support::{DriveFile, content, key, put, wait};

#[test]
fn an_order_for_more_blocks_than_the_drive_has_units() {
    let drive = DriveFile::formatted();
    let (engine, _) = drive.start();
    put(&engine, 1, &content(1, 5000)).unwrap();
    let replace = Replace::Drive(engine.status().drive_id.unwrap());
    for blocks_max in [0, 1 << 40, u64::MAX] {
        let order =
            FormatOrder { serial: "TEST".into(), replace: replace.clone(), blocks_max: Some(blocks_max) };
        let answer = wait(engine.format(order));
        assert!(matches!(answer, Err(EngineError::FormatRefused { .. })), "{answer:?}");
    }
    assert_eq!(engine.status().state, State::Serving);
    assert_eq!(
        wait(engine.get(key(1), RangeRequest::Whole, Class::Foreground)).unwrap().as_ref(),
        content(1, 5000)
    );
}
