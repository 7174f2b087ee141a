//! The simulated drives, in memory and in a file, pass the checks that every device passes.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

mod conformance;

use std::path::Path;

use imbrex_zoned::drive_file::DriveFileDevice;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device};

fn shapes() -> [SimulatedGeometry; 3] {
    let small = SimulatedGeometry {
        zone_count: 24,
        zone_size_bytes: 1 << 20,
        zone_capacity_bytes: 3 << 18,
        zone_open_max: Some(3),
        zone_active_max: Some(5),
        ..SimulatedGeometry::default()
    };
    [
        SimulatedGeometry {
            conventional_zones: 0,
            zone_active_max: None,
            logical_block_bytes: 512,
            ..small.clone()
        },
        SimulatedGeometry { zone_size_bytes: 8 << 20, zone_capacity_bytes: 8 << 20, ..small.clone() },
        small,
    ]
}

fn check(device: &mut dyn Device) {
    let summary = conformance::run(device, &mut |_| {}).unwrap();
    println!("{summary:?}");
    assert!(summary.checks >= 17);
    assert_eq!(device.pool().bytes_free(), device.pool().bytes_total());
}

#[test]
fn in_memory() {
    for shape in shapes() {
        let pool = BufferPool::new(32 << 20).unwrap();
        check(&mut SimulatedDevice::in_memory(shape, pool).unwrap());
    }
}

#[test]
fn in_a_file_that_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    for (n, shape) in shapes().into_iter().enumerate() {
        let path = directory.path().join(format!("drive-{n}"));
        let pool = BufferPool::new(32 << 20).unwrap();
        let mut device = SimulatedDevice::create(&path, shape, pool.clone()).unwrap();
        check(&mut device);
        drop(device);
        check(&mut SimulatedDevice::open(&path, pool).unwrap());
    }
}

/// Runs the checks over drive files in `directory`, each opened twice, and says whether it was by direct I/O.
fn check_drive_files(directory: &Path) -> bool {
    let mut direct = false;
    for (n, shape) in shapes().into_iter().enumerate() {
        let path = directory.join(format!("drive-{n}"));
        let pool = BufferPool::new(32 << 20).unwrap();
        let mut device = DriveFileDevice::create(&path, shape, pool.clone()).unwrap();
        check(&mut device);
        drop(device);
        let mut device = DriveFileDevice::open(&path, pool).unwrap();
        check(&mut device);
        direct |= device.is_direct();
    }
    direct
}

#[test]
fn in_a_file_by_direct_io() {
    let directory = tempfile::tempdir().unwrap();
    println!("by direct I/O: {}", check_drive_files(directory.path()));
}
