//! The handle and the engine's thread under many schedules: every request is answered once, a place among those that the
//! engine takes comes back, no wake is lost, and when the last handle is gone the engine ends and gives its memory back.
//!
//! The whole engine runs, over a simulated drive in memory. Nothing times out here, so a wake that is lost is a deadlock.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use imbrex_engine::{Class, EngineError, FormatOrder, Handle, Options, RangeRequest, Replace, State};
use imbrex_zoned::schedules::{Bell, explore};
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device};
use shuttle::future::block_on;
use shuttle::thread;
use support::faulty::{Faults, Faulty};
use support::{content, key, put_request};

/// How many requests the engine takes at once: fewer than there are clients.
const REQUESTS_MAX: usize = 2;
const SCHEDULES: usize = 1000;

/// An engine on a drive that was formatted a moment ago, and what is needed to see its end.
struct Running {
    engine: Handle,
    drive: SimulatedDrive,
    faults: Faults,
    memory: BufferPool,
    returned: Arc<Bell>,
}

fn running() -> Running {
    let geometry = SimulatedGeometry {
        zone_count: 16,
        zone_size_bytes: 256 << 10,
        zone_capacity_bytes: 256 << 10,
        serial: Some("TEST".into()),
        ..SimulatedGeometry::default()
    };
    let memory = BufferPool::new(POOL_BYTES).unwrap();
    let returned = Arc::new(Bell::default());
    memory.on_release(returned.waker());
    let device = SimulatedDevice::in_memory(geometry, memory.clone()).unwrap();
    let (drive, faults) = (device.drive(), Faults::default());
    let options = Options { requests_max: REQUESTS_MAX, ..Options::default() };
    let device: Box<dyn Device> = Box::new(Faulty::new(device, faults.clone()));
    let engine = Handle::start(device, &options).unwrap();
    while engine.status().state == State::Mounting {
        thread::yield_now();
    }
    let order = FormatOrder { serial: "TEST".into(), replace: Replace::Nothing, blocks_max: Some(100) };
    block_on(engine.format(order)).unwrap();
    Running { engine, drive, faults, memory, returned }
}

/// The pool of such a drive, in bytes.
const POOL_BYTES: usize = 4 << 20;

impl Running {
    /// Drops the last handle, and waits until the engine's thread has let go of all memory.
    fn end(self) {
        let Self { engine, memory, returned, .. } = self;
        drop(engine);
        returned.wait_for(|| (memory.bytes_free() == memory.bytes_total()).then_some(()));
    }
}

/// Asks again for as long as the engine has no place for the request.
fn ask<T, F: Future<Output = Result<T, EngineError>>>(request: impl Fn() -> F) -> Result<T, EngineError> {
    loop {
        match block_on(request()) {
            Err(EngineError::Overloaded { .. }) => thread::yield_now(),
            answer => return answer,
        }
    }
}

fn put(engine: &Handle, number: u8) -> Result<(), EngineError> {
    ask(|| async { engine.put(put_request(engine, key(number), &content(number, 100))).await.map(drop) })
}

fn get(engine: &Handle, number: u8) -> Result<(), EngineError> {
    let block = ask(|| engine.get(key(number), RangeRequest::Whole, Class::Foreground))?;
    assert_eq!(block.as_ref(), content(number, 100));
    Ok(())
}

fn delete(engine: &Handle, number: u8) -> Result<(), EngineError> {
    ask(|| engine.delete(key(number), Class::Foreground))
}

/// Runs `client` on threads of their own, one for each number.
fn clients(
    engine: &Handle,
    numbers: &[u8],
    client: impl Fn(&Handle, u8) + Copy + Send + 'static,
) -> Vec<thread::JoinHandle<()>> {
    let spawn = |number: &u8| {
        let (engine, number) = (engine.clone(), *number);
        thread::spawn(move || client(&engine, number))
    };
    numbers.iter().map(spawn).collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn is_unavailable<T>(answer: &Result<T, EngineError>) -> bool {
    matches!(answer, Err(EngineError::Unavailable { .. }))
}

#[test]
fn more_clients_than_places_are_all_served() {
    explore("more clients than places", SCHEDULES, || {
        let running = running();
        join(clients(&running.engine, &[1, 2, 3], |engine, number| {
            put(engine, number).unwrap();
            get(engine, number).unwrap();
            delete(engine, number).unwrap();
            assert_eq!(get(engine, number), Err(EngineError::NotFound));
        }));
        running.end();
    });
}

#[test]
fn who_asks_while_the_engine_stops_is_served_or_told() {
    explore("a stop among requests", SCHEDULES, || {
        let running = running();
        let clients = clients(&running.engine, &[1, 2], |engine, number| {
            let stored = put(engine, number);
            assert!(stored == Ok(()) || is_unavailable(&stored));
            let found = get(engine, number);
            assert!(is_unavailable(&found) || (found.is_ok() && stored.is_ok()));
        });
        let other = running.engine.clone();
        let stopper = thread::spawn(move || block_on(other.stop()));
        block_on(running.engine.stop());
        assert!(is_unavailable(&get(&running.engine, 1)));
        stopper.join().unwrap();
        join(clients);
        running.end();
    });
}

#[test]
fn requests_whose_clients_have_gone_hold_nothing_back() {
    explore("abandoned requests", SCHEDULES, || {
        let running = running();
        join(clients(&running.engine, &[1, 2, 3], |engine, number| {
            let request = put_request(engine, key(number), &content(number, 100));
            let mut put = pin!(engine.put(request));
            // It is sent by now, or was refused; the client does not stay to hear of it.
            let _: Poll<_> = put.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }));
        // Their places have come back, or will.
        put(&running.engine, 4).unwrap();
        get(&running.engine, 4).unwrap();
        running.end();
    });
}

#[test]
fn a_drive_that_is_pulled_leaves_nobody_waiting() {
    explore("a drive pulled among requests", SCHEDULES, || {
        let running = running();
        let clients = clients(&running.engine, &[1, 2], |engine, number| {
            let stored = put(engine, number);
            let found = get(engine, number);
            assert!(found.is_err() || stored.is_ok());
        });
        let drive = running.drive.clone();
        thread::spawn(move || drive.pull()).join().unwrap();
        join(clients);
        assert!(put(&running.engine, 3).is_err());
        running.end();
    });
}

#[test]
fn a_device_that_cannot_be_waited_for_leaves_nobody_waiting() {
    explore("a device that fails among requests", SCHEDULES, || {
        let running = running();
        let clients = clients(&running.engine, &[1, 2], |engine, number| {
            let stored = put(engine, number);
            assert!(stored == Ok(()) || is_unavailable(&stored));
        });
        thread::yield_now();
        running.faults.dead.store(true, SeqCst);
        assert!(is_unavailable(&put(&running.engine, 3)));
        join(clients);
        block_on(running.engine.stop());
        running.end();
    });
}
