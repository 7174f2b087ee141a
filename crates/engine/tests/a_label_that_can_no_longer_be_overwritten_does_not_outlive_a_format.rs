//! A drive is formatted again after the zone of one of its labels has turned read-only.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Class, FormatOrder, RangeRequest, Replace, State};
use imbrex_zoned::Condition;
use support::{DriveFile, content, key, put, wait};

#[test]
fn the_newer_drive_is_found() {
    let drive = DriveFile::formatted();
    let (engine, plug) = drive.start();
    put(&engine, 1, &content(1, 5000)).unwrap();
    let first = engine.status().drive_id.unwrap();
    wait(engine.stop());
    drop(engine);
    plug.wear_out(0, Condition::ReadOnly).unwrap();
    drop(plug);

    let (engine, plug) = drive.start();
    assert_eq!(engine.status().drive_id, Some(first));
    let order = FormatOrder { serial: "TEST".into(), replace: Replace::Drive(first), blocks_max: None };
    wait(engine.format(order)).unwrap();
    wait(engine.stop());
    drop((engine, plug));

    let (engine, _) = drive.start();
    assert_eq!(engine.status().state, State::Serving);
    assert_ne!(engine.status().drive_id, Some(first));
    assert!(wait(engine.get(key(1), RangeRequest::Whole, Class::Foreground)).is_err());
}
