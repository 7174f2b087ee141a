//! A process that is killed at any instant leaves a drive file that opens, with every write in it that had completed.
//!
//! The test runs itself as the process that is killed: the child writes without end and tells each write that has
//! completed on its standard output.

#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use imbrex_zoned::drive_file::DriveFileDevice;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{Backend, BufferPool, Completion, Device, Token, ZoneOperation};

const CHILD: &str = "IMBREX_ZONED_TEST_DRIVE";
/// Set for a child that writes by direct I/O: the backend's name.
const DIRECT: &str = "IMBREX_ZONED_TEST_DIRECT";
const BACKENDS: &[Backend] = &[
    Backend::Ring,
    #[cfg(feature = "tokio-uring")]
    Backend::TokioUring,
];
const UNIT: u64 = 4096;
const ZONE_UNITS: u64 = 256;
const ROUNDS: u64 = 40;

fn one(device: &mut dyn Device) -> Completion {
    let mut completions = Vec::new();
    device.wait(None, &mut completions).unwrap();
    completions.remove(0)
}

fn read(device: &mut dyn Device, offset: u64) -> Vec<u8> {
    let buffer = device.pool().try_allocate(4096).unwrap();
    device.submit_read(Token(1), offset, buffer, 4096).unwrap();
    let completion = one(device);
    completion.result.unwrap();
    completion.buffer.unwrap().to_vec()
}

/// The bytes of one unit of one life of one zone.
fn stamp(zone: u64, unit: u64, life: u64) -> [u8; 24] {
    let mut stamp = [0; 24];
    for (word, value) in stamp.as_chunks_mut::<8>().0.iter_mut().zip([zone, unit, life]) {
        *word = value.to_le_bytes();
    }
    stamp
}

/// Writes zones 2 to 7 in turn, a few units at a time, resetting each full one, until it is killed.
fn child(path: &Path) {
    let pool = BufferPool::new(1 << 20).unwrap();
    let direct = std::env::var(DIRECT).ok();
    let backend = BACKENDS.iter().find(|backend| direct == Some(format!("{backend:?}")));
    let mut device: Box<dyn Device> = match backend {
        Some(&backend) => Box::new(DriveFileDevice::open_by(backend, path, pool).unwrap()),
        None => Box::new(SimulatedDevice::open(path, pool).unwrap()),
    };
    let device = &mut *device;
    let mut lives = [0; 8];
    let mut told = std::io::stdout().lock();
    for step in 0_u64.. {
        let zone = 2 + step % 6;
        let index = usize::try_from(zone).unwrap();
        let state = device.report_zones().unwrap()[index];
        let first = state.write_pointer_bytes.map_or(ZONE_UNITS, |bytes| bytes / UNIT);
        if first == ZONE_UNITS {
            writeln!(told, "resetting {zone}").unwrap();
            device.submit_zone(Token(1), u32::try_from(zone).unwrap(), ZoneOperation::Reset).unwrap();
            one(device).result.unwrap();
            lives[index] += 1;
            continue;
        }
        let units = (1 + step % 7).min(ZONE_UNITS - first);
        let mut buffer = device.pool().try_allocate(usize::try_from(units * UNIT).unwrap()).unwrap();
        for (unit, bytes) in (first..).zip(buffer.chunks_mut(4096)) {
            bytes[..24].copy_from_slice(&stamp(zone, unit, lives[index]));
        }
        device.submit_write(Token(1), (zone * ZONE_UNITS + first) * UNIT, buffer).unwrap();
        one(device).result.unwrap();
        writeln!(told, "wrote {zone} {} {}", first + units, lives[index]).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_a_whole_drive_file() {
    if let Some(path) = std::env::var_os(CHILD) {
        child(Path::new(&path));
        return;
    }
    kill_writers(None);
    for &backend in BACKENDS {
        kill_writers(Some(backend));
    }
}

/// Kills one child after another, and looks at what each has left.
fn kill_writers(direct: Option<Backend>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let mut writes = 0;
    for round in 0..ROUNDS {
        let _ = std::fs::remove_file(&path);
        let geometry = SimulatedGeometry::fitted(8 * ZONE_UNITS * UNIT, ZONE_UNITS * UNIT).unwrap();
        drop(SimulatedDevice::create(&path, geometry, BufferPool::new(1 << 20).unwrap()).unwrap());
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--exact", "a_killed_process_leaves_a_whole_drive_file"])
            .env(CHILD, &path)
            .envs(direct.map(|backend| (DIRECT, format!("{backend:?}"))))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let reader = std::thread::spawn(move || output.lines().map(Result::unwrap).collect::<Vec<String>>());
        std::thread::sleep(Duration::from_millis(30 + 7 * (round % 13)));
        process.kill().unwrap();
        process.wait().unwrap();
        let told = reader.join().unwrap();

        // The last completed write to each zone in its present life, unless its reset had begun.
        let mut written = [None; 8];
        for line in &told {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["resetting", zone] => written[zone.parse::<usize>().unwrap()] = None,
                ["wrote", zone, end, life] => {
                    let wrote = (end.parse::<u64>().unwrap(), life.parse::<u64>().unwrap());
                    written[zone.parse::<usize>().unwrap()] = Some(wrote);
                    writes += 1;
                }
                _ => {}
            }
        }
        let mut device = SimulatedDevice::open(&path, BufferPool::new(1 << 20).unwrap()).unwrap();
        let zones = device.report_zones().unwrap();
        for (zone, wrote) in (0_u64..).zip(written) {
            let Some((end, life)) = wrote else { continue };
            let pointer = zones[usize::try_from(zone).unwrap()].write_pointer_bytes;
            assert!(pointer.is_none_or(|pointer| pointer >= end * UNIT), "zone {zone} lost a write");
            for unit in 0..end {
                let found = read(&mut device, (zone * ZONE_UNITS + unit) * UNIT);
                assert_eq!(found[..24], stamp(zone, unit, life), "zone {zone}, unit {unit}");
            }
        }
    }
    println!("direct I/O: {direct:?}; {ROUNDS} kills, {writes} completed writes");
    assert!(writes > ROUNDS * 2, "the children wrote too little to be a test: {writes}");
}
