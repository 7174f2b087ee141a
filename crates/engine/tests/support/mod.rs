//! What the engine's tests share: a drive in a file, and an engine on it.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, reason = "a module of tests")]

pub mod by_hand;
pub mod changed;
pub mod faulty;
pub mod plain_file;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imbrex_engine::{
    Class, EngineError, FormatOrder, Handle, Lifetime, Options, PutOutcome, PutRequest, Replace, State,
};
use imbrex_format::{Key, PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device};

const POOL_BYTES: usize = 32 << 20;

/// Runs a future to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn pool() -> BufferPool {
    BufferPool::new(POOL_BYTES).unwrap()
}

/// The size of a zone of these drives, in bytes.
pub const ZONE_BYTES: u64 = 4 << 20;

fn geometry() -> SimulatedGeometry {
    SimulatedGeometry {
        zone_count: 16,
        zone_size_bytes: ZONE_BYTES,
        zone_capacity_bytes: ZONE_BYTES,
        serial: Some("TEST".into()),
        ..SimulatedGeometry::default()
    }
}

/// A drive in a file of a folder of its own.
pub struct DriveFile {
    folder: tempfile::TempDir,
}

impl DriveFile {
    /// A new drive, formatted.
    pub fn formatted() -> Self {
        let drive = Self { folder: tempfile::tempdir().unwrap() };
        let device = SimulatedDevice::create(&drive.path(), geometry(), pool()).unwrap();
        let engine = start(device);
        let order = FormatOrder { serial: "TEST".into(), replace: Replace::Nothing, blocks_max: None };
        wait(engine.format(order)).unwrap();
        wait(engine.stop());
        drive
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("drive")
    }

    /// Starts an engine on it, and hands out the drive's own plug.
    pub fn start(&self) -> (Handle, SimulatedDrive) {
        let device = open(&self.path());
        let drive = device.drive();
        (start(device), drive)
    }

    /// Starts an engine on it whose device has faults.
    pub fn start_faulty(&self) -> (Handle, faulty::Faults) {
        let faults = faulty::Faults::default();
        (start(faulty::Faulty::new(open(&self.path()), faults.clone())), faults)
    }

    /// Starts an engine on it that mounts with an unreadable byte.
    pub fn start_unreadable_at(&self, offset_bytes: u64) -> Handle {
        let faults = faulty::Faults::default();
        faults.unreadable.store(offset_bytes + 1, std::sync::atomic::Ordering::SeqCst);
        start(faulty::Faulty::new(open(&self.path()), faults))
    }
}

/// An engine that has just ended lets go of the drive's file a moment later.
fn open(path: &Path) -> SimulatedDevice {
    for _ in 0..200 {
        if let Ok(device) = SimulatedDevice::open(path, pool()) {
            return device;
        }
        pause();
    }
    SimulatedDevice::open(path, pool()).unwrap()
}

/// An engine that has found its drive's state.
pub fn start(device: impl Device + 'static) -> Handle {
    let engine = Handle::start(Box::new(device), &Options::default()).unwrap();
    wait_until(|| engine.status().state != State::Mounting);
    engine
}

/// Waits for a condition, ten seconds at most.
pub fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..5000 {
        if condition() {
            return;
        }
        pause();
    }
    panic!("a condition was not met in ten seconds");
}

#[expect(clippy::disallowed_methods, reason = "a test waits for a thread of its own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

pub fn key(number: u8) -> Key {
    Key([number; 32])
}

/// Bytes that stand nowhere else in a drive's file.
pub fn content(number: u8, length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap() ^ number).collect()
}

pub fn put(engine: &Handle, number: u8, bytes: &[u8]) -> Result<PutOutcome, EngineError> {
    wait(engine.put(put_request(engine, key(number), bytes)))
}

pub fn put_request(engine: &Handle, key: Key, bytes: &[u8]) -> PutRequest {
    let units = record_units(bytes.len()) as usize;
    let mut buffer = engine.pool().try_allocate(units * UNIT_BYTES).unwrap();
    let mut writer = PayloadWriter::new(bytes.len());
    writer.write(&mut buffer, bytes).unwrap();
    writer.finish(&mut buffer).unwrap();
    let payload_bytes = u32::try_from(bytes.len()).unwrap();
    PutRequest { key, buffer, payload_bytes, class: Class::Foreground, lifetime: Lifetime::Unknown }
}
