//! A drive whose checkpoint zones wear out goes on with others: what was acknowledged stays, and zones go on being freed.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::{Class, FormatOrder, Handle, Options, RangeRequest, Replace, State};
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Condition, Device};
use support::{content, key, put, wait};

const ZONES: u32 = 32;

fn geometry() -> SimulatedGeometry {
    SimulatedGeometry {
        zone_count: ZONES,
        zone_size_bytes: 1 << 20,
        zone_capacity_bytes: 1 << 20,
        conventional_zones: 0,
        serial: Some("TEST".into()),
        ..SimulatedGeometry::default()
    }
}

fn options() -> Options {
    Options { trash_rest: std::time::Duration::ZERO, checkpoint_bytes: 2 << 20, ..Options::default() }
}

fn serving(engine: &Handle) {
    while engine.status().state == State::Mounting {
        std::thread::yield_now();
    }
    assert_eq!(engine.status().state, State::Serving);
}

/// Stores and deletes until the drive has been written over several times.
fn churn(engine: &Handle, rounds: u8) {
    for round in 0..rounds {
        for number in 0..40 {
            let _ = wait(engine.delete(key(number), Class::Foreground));
            let stored = loop {
                match put(engine, number, &content(number ^ round, 100_000)) {
                    Err(imbrex_engine::EngineError::Unavailable { state: State::Mounting }) => {
                        serving(engine);
                    }
                    answer => break answer,
                }
            };
            stored.expect("room for the block");
        }
    }
}

#[test]
fn a_worn_checkpoint_zone_is_replaced_and_nothing_is_lost() {
    let device = SimulatedDevice::in_memory(geometry(), BufferPool::new(32 << 20).unwrap()).unwrap();
    let drive = device.drive();
    let engine = Handle::start(Box::new(device), &options()).unwrap();
    while engine.status().state == State::Mounting {
        std::thread::yield_now();
    }
    let order = FormatOrder { serial: "TEST".into(), replace: Replace::Nothing, blocks_max: Some(200) };
    wait(engine.format(order)).unwrap();
    churn(&engine, 12);
    assert!(engine.stats().checkpoints > 1 && engine.stats().zones_reset > 3, "{:?}", engine.stats());

    let kept = wait(engine.zones()).unwrap();
    let kept = kept.iter().find(|zone| zone.role.name() == "checkpoint").unwrap().zone;
    drive.wear_out(kept, Condition::ReadOnly).unwrap();
    churn(&engine, 12);
    serving(&engine);
    assert!(engine.stats().checkpoints > 0, "checkpoints go on elsewhere: {:?}", engine.stats());
    let zones = wait(engine.zones()).unwrap();
    assert_ne!(zones[kept as usize].role.name(), "checkpoint");
    for number in 0..40 {
        let block = wait(engine.get(key(number), RangeRequest::Whole, Class::Foreground)).unwrap();
        assert_eq!(block.as_ref(), content(number ^ 11, 100_000));
    }
    wait(engine.stop());

    let again = drive.open(BufferPool::new(32 << 20).unwrap());
    assert_eq!(again.geometry().zone_count, ZONES);
    let engine = Handle::start(Box::new(again), &options()).unwrap();
    serving(&engine);
    // A record that is being moved counts twice for a moment.
    support::wait_until(|| engine.status().blocks == 40);
}
