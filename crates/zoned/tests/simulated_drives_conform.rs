//! The simulated drives, in memory, in a file, and in a file by direct I/O, pass the checks that every device passes.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

mod conformance;

use std::path::Path;

use imbrex_zoned::drive_file::DriveFileDevice;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{Backend, BufferPool, Condition, Device, DeviceError, Token, ZoneOperation};

const POOL_BYTES: usize = 32 << 20;
const BACKENDS: &[Backend] = &[
    Backend::Ring,
    #[cfg(feature = "tokio-uring")]
    Backend::TokioUring,
];

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

fn pool() -> BufferPool {
    BufferPool::new(POOL_BYTES).unwrap()
}

fn check(device: &mut dyn Device) {
    let summary = conformance::run(device, &mut |_| {}).unwrap();
    println!("{summary:?}");
    assert!(summary.checks >= 20);
    assert_eq!(device.pool().bytes_free(), device.pool().bytes_total());
}

/// Runs all checks over devices that `open` opens one after another on the same drive.
fn check_all(open: &dyn Fn() -> Box<dyn Device>) {
    check(&mut *open());
    check(&mut *open());
    for waits in [false, true] {
        conformance::drop_in_flight(open(), waits).unwrap();
    }
}

/// Runs all checks over drive files in `directory`, and says whether they were by direct I/O.
fn check_drive_files(directory: &Path) -> bool {
    let mut direct = false;
    for &backend in BACKENDS {
        for (n, shape) in shapes().into_iter().enumerate() {
            let path = directory.join(format!("drive-{backend:?}-{n}"));
            let device = DriveFileDevice::create(&path, shape, pool()).unwrap();
            direct = device.is_direct();
            drop(device);
            check_all(&|| Box::new(DriveFileDevice::open_by(backend, &path, pool()).unwrap()));
        }
    }
    direct
}

#[test]
fn in_memory() {
    for shape in shapes() {
        let drive = SimulatedDevice::in_memory(shape, pool()).unwrap().drive();
        check_all(&|| Box::new(drive.open(pool())));
    }
}

#[test]
fn in_a_file_that_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    for (n, shape) in shapes().into_iter().enumerate() {
        let path = directory.path().join(format!("drive-{n}"));
        drop(SimulatedDevice::create(&path, shape, pool()).unwrap());
        check_all(&|| Box::new(SimulatedDevice::open(&path, pool()).unwrap()));
    }
}

#[test]
fn in_a_file_by_direct_io() {
    let directory = tempfile::tempdir().unwrap();
    println!("by direct I/O: {}", check_drive_files(directory.path()));
}

#[test]
fn in_a_file_where_the_file_system_has_no_direct_io() {
    let memory = Path::new("/dev/shm");
    let Ok(directory) = tempfile::tempdir_in(memory) else {
        println!("skipped: {} cannot be written", memory.display());
        return;
    };
    println!("by direct I/O: {}", check_drive_files(directory.path()));
}

#[test]
fn zones_that_are_full_read_only_or_offline_take_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let shape = shapes()[2].clone();
    let mut device = SimulatedDevice::create(&path, shape, pool()).unwrap();
    for zone in [10, 11, 12] {
        fill(&mut device, zone);
    }
    let drive = device.drive();
    drive.wear_out(11, Condition::ReadOnly).unwrap();
    drive.wear_out(12, Condition::Offline).unwrap();
    drive.wear_out(13, Condition::ReadOnly).unwrap();
    drive.wear_out(0, Condition::ReadOnly).unwrap();
    check_worn(&mut device);
    drop((device, drive));
    for &backend in BACKENDS {
        check_worn(&mut DriveFileDevice::open_by(backend, &path, pool()).unwrap());
    }
}

fn fill(device: &mut dyn Device, zone: u32) {
    let mut buffer = device.pool().try_allocate(3 << 18).unwrap();
    buffer.fill(u8::try_from(zone).unwrap());
    device.submit_write(Token(1), u64::from(zone) << 20, buffer).unwrap();
    assert_eq!(result(device), Ok(()));
}

/// The end of the one operation in flight.
fn result(device: &mut dyn Device) -> Result<(), DeviceError> {
    let mut completions = Vec::new();
    device.wait(None, &mut completions).unwrap();
    assert_eq!(completions.len(), 1);
    completions.remove(0).result
}

/// Zone 10 is full; 11 is full and read-only, 12 full and offline, 13 empty and read-only, 0 conventional and read-only.
fn check_worn(device: &mut dyn Device) {
    let wanted = [
        (10, Condition::Full),
        (11, Condition::ReadOnly),
        (12, Condition::Offline),
        (13, Condition::ReadOnly),
        (0, Condition::ReadOnly),
    ];
    for (zone, condition) in wanted {
        let found = device.report_zones().unwrap()[zone as usize];
        assert_eq!((found.condition, found.write_pointer_bytes), (condition, None), "zone {zone}");
        let refused = Err(DeviceError::ZoneCondition { zone, condition });
        let buffer = device.pool().try_allocate(4096).unwrap();
        device.submit_write(Token(1), u64::from(zone) << 20, buffer).unwrap();
        assert_eq!(result(device), refused, "a write to zone {zone}");
        let orders = [ZoneOperation::Open, ZoneOperation::Close, ZoneOperation::Finish, ZoneOperation::Reset];
        for operation in orders.into_iter().take(if zone == 10 { 2 } else { 4 }) {
            device.submit_zone(Token(1), zone, operation).unwrap();
            assert_eq!(result(device), refused, "{operation:?} of zone {zone}");
        }
        let buffer = device.pool().try_allocate(4096).unwrap();
        device.submit_read(Token(1), u64::from(zone) << 20, buffer, 4096).unwrap();
        let mut completions = Vec::new();
        device.wait(None, &mut completions).unwrap();
        let completion = completions.remove(0);
        if condition == Condition::Offline {
            assert_eq!(completion.result, refused, "a read of zone {zone}");
            continue;
        }
        assert_eq!(completion.result, Ok(()), "a read of zone {zone}");
        let byte = if [10, 11].contains(&zone) { u8::try_from(zone).unwrap() } else { 0 };
        assert!(completion.buffer.unwrap()[..4096].iter().all(|&found| found == byte), "zone {zone}");
    }
}
