//! When the means of waiting itself fails, whoever waits for an answer gets one.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use imbrex_engine::{Class, EngineError, RangeRequest, State};
use support::{DriveFile, content, key, put, put_request, wait};

#[test]
fn requests_under_way_and_later_ones_are_told_that_it_failed() {
    let drive = DriveFile::formatted();
    let (engine, faults) = drive.start_faulty();
    put(&engine, 1, &content(1, 100)).unwrap();
    faults.holds_flushes.store(true, SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer = runtime.block_on(async {
        let (other, request) = (engine.clone(), put_request(&engine, key(2), &content(2, 100)));
        let put = tokio::spawn(async move { other.put(request).await });
        tokio::task::yield_now().await;
        faults.dead.store(true, SeqCst);
        tokio::time::timeout(Duration::from_secs(10), put).await.unwrap().unwrap()
    });
    let failed =
        |error: EngineError| matches!(error, EngineError::Unavailable { state: State::Failed { .. } });
    assert!(failed(answer.unwrap_err()));
    assert!(failed(wait(engine.get(key(1), RangeRequest::Whole, Class::Foreground)).unwrap_err()));
    wait(engine.stop());
}
