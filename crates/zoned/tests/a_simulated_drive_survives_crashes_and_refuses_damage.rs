//! What a loss of power may take from a simulated drive, and what a drive file must be to open.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{
    Buffer, BufferPool, Completion, Condition, Device, DeviceError, OpenError, OpenRefusal, Token,
    ZoneOperation,
};

const UNIT: u64 = 4096;
const ZONE: u64 = 1 << 20;

fn shape() -> SimulatedGeometry {
    SimulatedGeometry { zone_count: 8, ..SimulatedGeometry::fitted(8 * ZONE, ZONE).unwrap() }
}

fn pool() -> BufferPool {
    BufferPool::new(4 << 20).unwrap()
}

fn filled(device: &SimulatedDevice, units: u64, byte: u8) -> Buffer {
    let bytes = usize::try_from(units * UNIT).unwrap();
    let mut buffer = device.pool().try_allocate(bytes).unwrap();
    buffer.fill(byte);
    buffer
}

fn complete(device: &mut SimulatedDevice) -> Completion {
    let mut completions = Vec::new();
    device.wait(Some(Duration::from_secs(5)), &mut completions).unwrap();
    assert_eq!(completions.len(), 1);
    completions.remove(0)
}

fn write(
    device: &mut SimulatedDevice,
    zone: u64,
    unit: u64,
    units: u64,
    byte: u8,
) -> Result<(), DeviceError> {
    let buffer = filled(device, units, byte);
    device.submit_write(Token(1), zone * ZONE + unit * UNIT, buffer).map_err(|(error, _)| error)?;
    complete(device).result
}

fn flush(device: &mut SimulatedDevice) {
    device.submit_flush(Token(2)).unwrap();
    complete(device).result.unwrap();
}

fn read(device: &mut SimulatedDevice, zone: u64, unit: u64) -> Vec<u8> {
    let buffer = filled(device, 1, 0xee);
    device.submit_read(Token(3), zone * ZONE + unit * UNIT, buffer, 4096).unwrap();
    let completion = complete(device);
    completion.result.unwrap();
    completion.buffer.unwrap().to_vec()
}

fn order(device: &mut SimulatedDevice, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
    device.submit_zone(Token(4), zone, operation)?;
    complete(device).result
}

/// The first byte that differs from the unit's first, or the whole length: where a torn unit is torn.
fn torn_at(unit: &[u8]) -> usize {
    unit.iter().position(|&byte| byte != unit[0]).unwrap_or(unit.len())
}

#[test]
fn a_crash_keeps_what_was_flushed_and_any_part_of_what_was_not() {
    let mut pointers = Vec::new();
    let mut torn = 0;
    for seed in 0..400 {
        let mut device = SimulatedDevice::in_memory(shape(), pool()).unwrap();
        write(&mut device, 3, 0, 4, 1).unwrap();
        flush(&mut device);
        write(&mut device, 3, 4, 4, 2).unwrap();
        write(&mut device, 3, 8, 4, 3).unwrap();
        device.crash(seed).unwrap();
        let zone = device.report_zones().unwrap()[3];
        assert_eq!(zone.condition, Condition::Closed);
        let pointer = zone.write_pointer_bytes.unwrap() / UNIT;
        assert!((4..=12).contains(&pointer));
        for unit in 0..12 {
            let found = read(&mut device, 3, unit);
            let new = u8::try_from(unit / 4 + 1).unwrap();
            if unit + 1 == pointer && unit >= 4 && torn_at(&found) < found.len() {
                assert_eq!(found[0], new);
                assert_eq!(torn_at(&found) % 512, 0);
                torn += 1;
            } else if unit < pointer && unit < 4 {
                assert!(found.iter().all(|&byte| byte == new), "unit {unit} was flushed");
            } else if unit >= pointer {
                assert!(found.iter().all(|&byte| byte == 0), "unit {unit} is beyond the pointer");
            }
        }
        write(&mut device, 3, pointer, 1, 9).unwrap();
        pointers.push(pointer);
    }
    for pointer in 4..=12 {
        assert!(pointers.contains(&pointer), "no seed left the pointer at unit {pointer}");
    }
    assert!(torn > 10, "{torn} torn units");
}

#[test]
fn a_flush_does_not_cover_a_write_that_had_not_completed_when_it_was_submitted() {
    let survived = |seed| {
        let mut device = SimulatedDevice::in_memory(shape(), pool()).unwrap();
        let buffer = filled(&device, 8, 1);
        device.submit_write(Token(1), 3 * ZONE, buffer).unwrap();
        device.submit_flush(Token(2)).unwrap();
        let mut completions = Vec::new();
        device.wait(None, &mut completions).unwrap();
        assert_eq!(completions.len(), 2);
        device.crash(seed).unwrap();
        device.report_zones().unwrap()[3].write_pointer_bytes == Some(8 * UNIT)
    };
    assert!((0..50).any(|seed| !survived(seed)));
}

#[test]
fn a_crash_leaves_each_unflushed_unit_of_a_conventional_zone_old_new_or_torn() {
    let mut seen = [0; 4];
    for seed in 0..100 {
        let mut device = SimulatedDevice::in_memory(shape(), pool()).unwrap();
        write(&mut device, 0, 0, 2, 1).unwrap();
        flush(&mut device);
        write(&mut device, 0, 0, 1, 2).unwrap();
        write(&mut device, 0, 0, 1, 3).unwrap();
        device.crash(seed).unwrap();
        assert!(read(&mut device, 0, 1).iter().all(|&byte| byte == 1), "this unit was flushed");
        let found = read(&mut device, 0, 0);
        let whole = torn_at(&found) == found.len();
        seen[if whole { usize::from(found[0]) - 1 } else { 3 }] += 1;
    }
    assert!(seen.iter().all(|&count| count > 0), "old, middle, new, torn: {seen:?}");
}

#[test]
fn a_crash_closes_open_zones_and_keeps_resets_and_finished_zones() {
    for seed in 0..50 {
        let mut device = SimulatedDevice::in_memory(shape(), pool()).unwrap();
        order(&mut device, 3, ZoneOperation::Open).unwrap();
        write(&mut device, 4, 0, 4, 1).unwrap();
        order(&mut device, 4, ZoneOperation::Finish).unwrap();
        write(&mut device, 5, 0, 256, 1).unwrap();
        write(&mut device, 6, 0, 4, 1).unwrap();
        flush(&mut device);
        order(&mut device, 6, ZoneOperation::Reset).unwrap();
        device.crash(seed).unwrap();
        let conditions: Vec<Condition> =
            device.report_zones().unwrap().iter().map(|zone| zone.condition).collect();
        let wanted = [Condition::Empty, Condition::Full, Condition::Full, Condition::Empty];
        assert_eq!(conditions[3..7], wanted);
    }
}

#[test]
fn operations_in_flight_vanish_in_a_crash_with_their_buffers_given_back() {
    for seed in 0..20 {
        let mut device = SimulatedDevice::in_memory(shape(), pool()).unwrap();
        for zone in 3..7 {
            let buffer = filled(&device, 1, 1);
            device.submit_write(Token(zone), zone * ZONE, buffer).unwrap();
        }
        device.crash(seed).unwrap();
        assert_eq!(device.pool().bytes_free(), device.pool().bytes_total());
        let mut completions = Vec::new();
        device.wait(Some(Duration::ZERO), &mut completions).unwrap();
        assert!(completions.is_empty());
    }
}

#[test]
fn a_pulled_drive_is_gone_for_its_device_and_returns_whole_for_the_next() {
    let mut device = SimulatedDevice::in_memory(shape(), pool()).unwrap();
    write(&mut device, 3, 0, 2, 7).unwrap();
    let drive = device.drive();
    let buffer = filled(&device, 1, 8);
    device.submit_write(Token(1), 3 * ZONE + 2 * UNIT, buffer).unwrap();
    std::thread::spawn({
        let drive = drive.clone();
        move || drive.pull()
    })
    .join()
    .unwrap();
    let completion = complete(&mut device);
    assert_eq!(completion.result, Err(DeviceError::Gone));
    assert!(completion.buffer.is_some());
    assert_eq!(write(&mut device, 3, 2, 1, 8), Err(DeviceError::Gone));
    assert_eq!(order(&mut device, 3, ZoneOperation::Reset), Err(DeviceError::Gone));
    assert_eq!(device.submit_flush(Token(2)), Ok(()));
    assert_eq!(complete(&mut device).result, Err(DeviceError::Gone));
    assert_eq!(device.report_zones(), Err(DeviceError::Gone));
    let mut again = drive.open(pool());
    assert_eq!(again.report_zones().unwrap()[3].write_pointer_bytes, Some(2 * UNIT));
    assert_eq!(read(&mut again, 3, 1), vec![7; 4096]);
    assert_eq!(write(&mut device, 3, 2, 1, 8), Err(DeviceError::Gone), "the old device stays cut off");
    write(&mut again, 3, 2, 1, 8).unwrap();
}

#[test]
fn a_worn_out_zone_is_read_only_or_offline_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let mut device = SimulatedDevice::create(&path, shape(), pool()).unwrap();
    write(&mut device, 3, 0, 2, 7).unwrap();
    device.drive().wear_out(3, Condition::ReadOnly).unwrap();
    device.drive().wear_out(0, Condition::Offline).unwrap();
    drop(device);
    let mut device = SimulatedDevice::open(&path, pool()).unwrap();
    assert_eq!(read(&mut device, 3, 1), vec![7; 4096]);
    let refused = DeviceError::ZoneCondition { zone: 3, condition: Condition::ReadOnly };
    assert_eq!(write(&mut device, 3, 2, 1, 8), Err(refused.clone()));
    assert_eq!(order(&mut device, 3, ZoneOperation::Reset), Err(refused));
    assert_eq!(device.report_zones().unwrap()[3].write_pointer_bytes, None);
    let offline = DeviceError::ZoneCondition { zone: 0, condition: Condition::Offline };
    assert_eq!(write(&mut device, 0, 0, 1, 8), Err(offline.clone()));
    let buffer = filled(&device, 1, 0);
    device.submit_read(Token(1), 0, buffer, 4096).unwrap();
    assert_eq!(complete(&mut device).result, Err(offline));
}

#[test]
fn a_drive_in_a_file_comes_back_as_it_was_left_and_its_open_zones_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let mut device = SimulatedDevice::create(&path, shape(), pool()).unwrap();
    let serial = device.identity().serial.clone();
    assert_eq!(serial.as_ref().map(String::len), Some(19));
    write(&mut device, 0, 9, 1, 4).unwrap();
    write(&mut device, 3, 0, 2, 5).unwrap();
    order(&mut device, 4, ZoneOperation::Open).unwrap();
    order(&mut device, 5, ZoneOperation::Finish).unwrap();
    let geometry = device.geometry().clone();
    drop(device);
    let mut device = SimulatedDevice::open(&path, pool()).unwrap();
    assert_eq!((device.geometry(), &device.identity().serial), (&geometry, &serial));
    let zones = device.report_zones().unwrap();
    assert_eq!((zones[3].condition, zones[3].write_pointer_bytes), (Condition::Closed, Some(2 * UNIT)));
    assert_eq!((zones[4].condition, zones[5].condition), (Condition::Empty, Condition::Full));
    assert_eq!(read(&mut device, 3, 1), vec![5; 4096]);
    assert_eq!(read(&mut device, 0, 9), vec![4; 4096]);
    assert_eq!(read(&mut device, 0, 8), vec![0; 4096]);
}

fn refusal(path: &Path) -> String {
    let Err(OpenError { reason, path: named }) = SimulatedDevice::open(path, pool()) else {
        panic!("a damaged drive opened")
    };
    assert_eq!(named, path);
    assert!(matches!(reason, OpenRefusal::NotASimulatedDrive { .. }), "{reason:?}");
    OpenError { path: named, reason }.to_string()
}

#[test]
fn a_file_that_is_no_whole_drive_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    drop(SimulatedDevice::create(&path, shape(), pool()).unwrap());
    let whole = fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for (length, word) in
        [(0, "its 0 bytes are fewer than"), (whole - 4096, "cut short"), (whole + 1, "made longer")]
    {
        file.set_len(length.max(whole)).unwrap();
        let copy = directory.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        OpenOptions::new().write(true).open(&copy).unwrap().set_len(length).unwrap();
        assert!(refusal(&copy).contains(word), "{}", refusal(&copy));
        file.set_len(whole).unwrap();
    }
    let damage = |at: u64, word: &str| {
        let mut byte = [0];
        let read = std::fs::File::open(&path).unwrap();
        read.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
        assert!(refusal(&path).contains(word), "{}", refusal(&path));
        file.write_all_at(&byte, at).unwrap();
    };
    assert!(refusal(directory.path()).contains("it is a directory"));
    damage(0, "does not begin as one");
    damage(8, "version");
    damage(25, "checksum of its header");
    damage(64, "checksum of its header");
    damage(4096 + 5 * 32 + 8, "entry of zone 5");
    SimulatedDevice::open(&path, pool()).unwrap();
}

#[test]
fn a_drive_that_could_not_be_made_leaves_no_draft_behind() {
    let directory = tempfile::tempdir().unwrap();
    // More than ext4 takes. A file system that takes it makes the drive, and leaves no draft either.
    let zone = 1 << 59;
    let geometry = SimulatedGeometry { zone_count: 7, ..SimulatedGeometry::fitted(7 * zone, zone).unwrap() };
    let _ = SimulatedDevice::create(&directory.path().join("drive"), geometry, pool());
    let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name != "drive").count(), 0);
}

#[test]
fn a_drive_that_is_not_there_is_one_clear_sentence() {
    let path = tempfile::tempdir().unwrap().path().join("nope");
    let refused = imbrex_zoned::kernel::KernelDevice::open(&path, pool()).err().unwrap();
    assert!(refused.to_string().ends_with("there is no such file or device"), "{refused}");
}

#[test]
fn a_drive_file_has_one_user_and_is_never_made_over_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let device = SimulatedDevice::create(&path, shape(), pool()).unwrap();
    let refused = |result: Result<SimulatedDevice, OpenError>| result.err().unwrap().reason;
    assert!(matches!(refused(SimulatedDevice::open(&path, pool())), OpenRefusal::InUse { .. }));
    drop(device);
    assert!(matches!(
        refused(SimulatedDevice::create(&path, shape(), pool())),
        OpenRefusal::Unsupported { .. }
    ));
    let nowhere = directory.path().join("nowhere/drive");
    let sentence = SimulatedDevice::create(&nowhere, shape(), pool()).err().unwrap().to_string();
    assert!(sentence.contains("there is no directory"), "{sentence}");
    let mut text = fs::File::create(directory.path().join("text")).unwrap();
    text.write_all(&[b'x'; 5000]).unwrap();
    assert!(refusal(&directory.path().join("text")).contains("does not begin as one"));
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no draft is left: {names:?}");
}
