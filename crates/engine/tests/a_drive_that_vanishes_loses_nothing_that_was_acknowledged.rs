//! A drive is pulled under an engine, and comes back.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Class, EngineError, PutOutcome, RangeRequest, State};
use support::{DriveFile, content, key, put, wait};

#[test]
fn it_answers_in_its_state_and_serves_again_when_it_returns() {
    let drive = DriveFile::formatted();
    let (engine, plug) = drive.start();
    for number in 0..5 {
        assert_eq!(put(&engine, number, &content(number, 50_000)), Ok(PutOutcome::Stored));
    }
    plug.pull();
    let refused =
        |answer: &EngineError| matches!(answer, EngineError::Unavailable { state: State::Failed { .. } });
    assert!(refused(&put(&engine, 9, &content(9, 50_000)).unwrap_err()));
    assert!(refused(&wait(engine.get(key(0), RangeRequest::Whole, Class::Foreground)).unwrap_err()));
    assert!(refused(&wait(engine.delete(key(0), Class::Foreground)).unwrap_err()));
    wait(engine.stop());
    drop((engine, plug));

    let (engine, _) = drive.start();
    for number in 0..5 {
        let block = wait(engine.get(key(number), RangeRequest::Whole, Class::Foreground)).unwrap();
        assert_eq!(block.as_ref(), content(number, 50_000));
    }
    assert!(matches!(
        wait(engine.get(key(9), RangeRequest::Whole, Class::Foreground)),
        Err(EngineError::NotFound)
    ));
}
