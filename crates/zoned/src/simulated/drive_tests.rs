//! A drive whose store fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc::{EIO, ENOSPC};

use super::SimulatedDrive;
use crate::simulated::SimulatedGeometry;
use crate::simulated::memory_store::MemoryStore;
use crate::simulated::store::Store;
use crate::simulated::zone_entry;
use crate::simulated::zone_table::ZoneState;
use crate::{Condition, DeviceError, Zone};

/// Which of its operations fail from now on.
#[derive(Clone, Default)]
struct Failing(Arc<AtomicU32>);

const WRITES: u32 = 1;
const ENTRIES: u32 = 2;
const READS: u32 = 4;
const SYNCS: u32 = 8;

struct FailingStore {
    failing: Failing,
    store: MemoryStore,
}

impl FailingStore {
    fn check(&self, operation: u32, errno: i32) -> io::Result<()> {
        let fails = self.failing.0.load(Ordering::Relaxed) & operation != 0;
        if fails { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
    }
}

impl Store for FailingStore {
    fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.check(READS, EIO)?;
        self.store.read(offset_bytes, bytes)
    }

    fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(WRITES, ENOSPC)?;
        self.store.write(offset_bytes, bytes)
    }

    fn discard(&mut self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        self.store.discard(offset_bytes, length_bytes)
    }

    fn save_zone(&mut self, _zone: u32, _state: ZoneState) -> io::Result<()> {
        self.check(ENTRIES, ENOSPC)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check(SYNCS, EIO)
    }
}

fn drive() -> (SimulatedDrive, Failing) {
    let shape = SimulatedGeometry::fitted(8 << 20, 1 << 20).unwrap();
    let zones = (0..shape.zone_count).map(|zone| zone_entry::first_state(&shape, zone)).collect();
    let failing = Failing::default();
    let store = FailingStore { failing: failing.clone(), store: MemoryStore::default() };
    let drive = SimulatedDrive::new(Path::new("memory"), &shape, zones, Box::new(store), false);
    (drive, failing)
}

fn zone(drive: &SimulatedDrive) -> Zone {
    drive.lock().report()[3]
}

#[test]
fn a_write_for_which_there_is_no_room_fails_with_the_reason_and_moves_no_pointer() {
    let (drive, failing) = drive();
    let connection = drive.connect();
    for what in [WRITES, ENTRIES] {
        let before = zone(&drive);
        let place = (3 << 20) + before.write_pointer_bytes.unwrap();
        failing.0.store(what, Ordering::Relaxed);
        let error = connection.state().unwrap().write(place, &[1; 4096]).unwrap_err();
        assert!(matches!(error, DeviceError::System { errno: ENOSPC, .. }), "{error:?}");
        assert_eq!(zone(&drive), before);
        failing.0.store(0, Ordering::Relaxed);
        connection.state().unwrap().write(place, &[1; 4096]).unwrap();
        let after = zone(&drive);
        assert_eq!(after.condition, Condition::ImplicitOpen);
        assert_eq!(after.write_pointer_bytes, before.write_pointer_bytes.map(|pointer| pointer + 4096));
    }
}

#[test]
fn a_flush_that_fails_leaves_its_writes_at_risk() {
    let (drive, failing) = drive();
    let connection = drive.connect();
    let lost = (0..50).filter(|&seed| {
        let mut state = connection.state().unwrap();
        state.order(3, crate::ZoneOperation::Reset).unwrap();
        state.write(3 << 20, &[1; 65536]).unwrap();
        let flush = state.submit_flush();
        failing.0.store(SYNCS, Ordering::Relaxed);
        assert_eq!(state.flush(flush), Err(DeviceError::Flush));
        failing.0.store(0, Ordering::Relaxed);
        state.lose_power(&mut super::Random::new(seed)).unwrap();
        state.report()[3].write_pointer_bytes != Some(65536)
    });
    assert!(lost.count() > 10);
}

#[test]
fn a_read_that_fails_is_an_error_of_the_medium() {
    let (drive, failing) = drive();
    let connection = drive.connect();
    let mut state = connection.state().unwrap();
    state.write(3 << 20, &[1; 4096]).unwrap();
    failing.0.store(READS, Ordering::Relaxed);
    let wanted = DeviceError::MediumRead { offset_bytes: 3 << 20, length_bytes: 4096 };
    assert_eq!(state.read(3 << 20, &mut [0; 4096]), Err(wanted));
}
