//! What a drive that is only read gives, and that it stays as it was.

use std::path::PathBuf;

use crate::read_only::{self, ReadOnlyDrive, ReadOnlyFile};
use crate::simulated::{SimulatedDevice, SimulatedGeometry};
use crate::{
    BufferPool, Condition, Device, DeviceError, OpenError, OpenRefusal, Token, UNIT_BYTES, ZoneOperation,
};

/// A drive file with two units of sevens in its zone 2, which is left open, and zone 3 finished and empty.
fn drive_file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive.img");
    let pool = BufferPool::new(4 * UNIT_BYTES).unwrap();
    let geometry = SimulatedGeometry::fitted(8 << 20, 1 << 20).unwrap();
    let mut device = SimulatedDevice::create(&path, geometry, pool.clone()).unwrap();
    let mut buffer = pool.try_allocate(2 * UNIT_BYTES).unwrap();
    buffer.fill(7);
    device.submit_write(Token(1), 2 << 20, buffer).unwrap();
    device.submit_zone(Token(2), 3, ZoneOperation::Finish).unwrap();
    let mut completions = Vec::new();
    while completions.len() < 2 {
        device.wait(None, &mut completions).unwrap();
    }
    assert!(completions.iter().all(|completion| completion.result.is_ok()), "{completions:?}");
    (directory, path)
}

fn refusal(opened: Result<ReadOnlyFile, OpenError>) -> OpenRefusal {
    opened.err().expect("the drive was opened").reason
}

#[test]
fn what_was_written_is_read_and_the_rest_is_fill() {
    let (_directory, path) = drive_file();
    let mut drive = read_only::open(&path).unwrap();
    assert_eq!((drive.geometry().zone_count, drive.zones().len()), (8, 8));
    assert_eq!(drive.zones()[2].write_pointer_bytes, Some(2 * UNIT_BYTES as u64));
    assert_eq!((drive.zones()[3].condition, drive.zones()[3].write_pointer_bytes), (Condition::Full, None));
    let mut bytes = vec![1; 4 * UNIT_BYTES];
    drive.read_at(2 << 20, &mut bytes).unwrap();
    assert!(bytes[..2 * UNIT_BYTES].iter().all(|byte| *byte == 7));
    assert!(bytes[2 * UNIT_BYTES..].iter().all(|byte| *byte == 0));
    let beyond = drive.read_at((3 << 20) - UNIT_BYTES as u64, &mut bytes);
    assert!(matches!(beyond, Err(DeviceError::OutOfBounds { .. })), "{beyond:?}");
}

#[test]
fn not_a_byte_of_the_file_changes_and_an_open_zone_stays_open() {
    let (_directory, path) = drive_file();
    let before = std::fs::read(&path).unwrap();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let mut drive = ReadOnlyFile::open(&path).unwrap();
    assert_eq!(drive.zones()[2].condition, Condition::ImplicitOpen);
    drive.read_at(2 << 20, &mut [0; UNIT_BYTES]).unwrap();
    drop(drive);
    assert!(before == std::fs::read(&path).unwrap());
}

#[test]
fn a_drive_that_is_served_is_refused_and_one_that_is_read_is_not_served() {
    let (_directory, path) = drive_file();
    let pool = || BufferPool::new(UNIT_BYTES).unwrap();
    let served = SimulatedDevice::open(&path, pool()).unwrap();
    let refused = refusal(ReadOnlyFile::open(&path));
    assert!(matches!(refused, OpenRefusal::InUse { .. }), "{refused:?}");
    drop(served);
    let read = ReadOnlyFile::open(&path).unwrap();
    let another = ReadOnlyFile::open(&path).unwrap();
    let refused = SimulatedDevice::open(&path, pool()).err().expect("it was opened").reason;
    assert!(matches!(refused, OpenRefusal::InUse { .. }), "{refused:?}");
    drop((read, another));
    SimulatedDevice::open(&path, pool()).unwrap();
}

#[test]
fn what_is_no_drive_is_refused_with_the_reason() {
    let (directory, path) = drive_file();
    let not_a_drive = |reason| matches!(reason, OpenRefusal::NotASimulatedDrive { .. });
    assert!(not_a_drive(refusal(ReadOnlyFile::open(directory.path()))));
    assert!(matches!(refusal(ReadOnlyFile::open(&path.join("no"))), OpenRefusal::System { .. }));
    let text = directory.path().join("text");
    std::fs::write(&text, vec![b'x'; 8192]).unwrap();
    assert!(not_a_drive(refusal(ReadOnlyFile::open(&text))));
    let mut cut = std::fs::read(&path).unwrap();
    cut.truncate(5 << 20);
    std::fs::write(&text, cut).unwrap();
    assert!(not_a_drive(refusal(ReadOnlyFile::open(&text))));
}
