//! Random operations on a drive file by direct I/O, alone and many in flight, have the results, the zones and the bytes
//! that the same have on a simulated drive, which carries out one after another.

#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use imbrex_zoned::drive_file::DriveFileDevice;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{Backend, Buffer, BufferPool, Completion, Device, DeviceError, Token, ZoneOperation};

/// How long a device may be silent before the test is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const UNIT: u64 = 4096;
const ZONES: u64 = 12;
const ZONE_UNITS: u64 = 16;
const CAPACITY_UNITS: u64 = 12;
const BACKENDS: &[Backend] = &[
    Backend::Ring,
    #[cfg(feature = "tokio-uring")]
    Backend::TokioUring,
];

/// An operation as both drives are given it. Offsets and lengths in units; a write's bytes follow from `seed`.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Read { at: u64, units: u64 },
    Write { at: u64, units: u64, seed: u64 },
    Order { zone: u64, operation: ZoneOperation },
    Flush,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn order(&mut self) -> ZoneOperation {
        [ZoneOperation::Reset, ZoneOperation::Finish, ZoneOperation::Open, ZoneOperation::Close]
            [usize::try_from(self.below(4)).unwrap()]
    }
}

/// The two drives, which must not differ.
struct Twins {
    file: Option<DriveFileDevice>,
    model: Option<SimulatedDevice>,
}

impl Twins {
    fn create(directory: &Path, geometry: &SimulatedGeometry) -> Self {
        let twins = Self { file: None, model: None };
        for name in ["file", "model"] {
            let path = directory.join(name);
            drop(
                SimulatedDevice::create(&path, geometry.clone(), BufferPool::new(1 << 20).unwrap()).unwrap(),
            );
        }
        twins
    }

    fn open(&mut self, directory: &Path, backend: Backend) {
        let pool = || BufferPool::new(8 << 20).unwrap();
        (self.file, self.model) = (None, None);
        self.file = Some(DriveFileDevice::open_by(backend, &directory.join("file"), pool()).unwrap());
        self.model = Some(SimulatedDevice::open(&directory.join("model"), pool()).unwrap());
    }

    /// Where the zone is written next, in units from its start.
    fn pointer(&mut self, zone: u64) -> u64 {
        let zone = self.model.as_mut().unwrap().report_zones().unwrap()[usize::try_from(zone).unwrap()];
        zone.write_pointer_bytes.unwrap_or(0) / UNIT
    }

    /// Gives both drives the operations, all at once, and compares what becomes of each, and the zones afterwards.
    fn run(&mut self, operations: &[Operation]) {
        let found = submit(self.file.as_mut().unwrap(), operations);
        let wanted = submit(self.model.as_mut().unwrap(), operations);
        for (n, operation) in (0..).zip(operations) {
            assert_eq!(found[&n].0, wanted[&n].0, "{operation:?} of {operations:?}");
            assert!(found[&n].1 == wanted[&n].1, "the bytes of {operation:?} of {operations:?}");
        }
        let zones = self.file.as_mut().unwrap().report_zones().unwrap();
        assert_eq!(zones, self.model.as_mut().unwrap().report_zones().unwrap(), "after {operations:?}");
    }
}

fn fill(buffer: &mut Buffer, seed: u64) {
    for (place, word) in (0_u64..).zip(buffer.as_chunks_mut::<8>().0) {
        *word = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place).to_le_bytes();
    }
}

/// Submits all, waits for all, and returns the results and what reads returned.
fn submit(
    device: &mut dyn Device,
    operations: &[Operation],
) -> BTreeMap<u64, (Result<(), DeviceError>, Vec<u8>)> {
    for (n, operation) in (0..).zip(operations) {
        let token = Token(n);
        let buffer = |units: u64| device.pool().try_allocate(usize::try_from(units * UNIT).unwrap()).unwrap();
        match *operation {
            Operation::Read { at, units } => {
                let buffer = buffer(units);
                let length = buffer.len();
                device.submit_read(token, at * UNIT, buffer, length).unwrap();
            }
            Operation::Write { at, units, seed } => {
                let mut buffer = buffer(units);
                fill(&mut buffer, seed);
                device.submit_write(token, at * UNIT, buffer).unwrap();
            }
            Operation::Order { zone, operation } => {
                device.submit_zone(token, u32::try_from(zone).unwrap(), operation).unwrap();
            }
            Operation::Flush => device.submit_flush(token).unwrap(),
        }
    }
    let mut completions = Vec::new();
    while completions.len() < operations.len() {
        let before = completions.len();
        device.wait(Some(SILENCE_MAX), &mut completions).unwrap();
        assert!(completions.len() > before, "some of {operations:?} never completed");
    }
    let of = |completion: Completion| {
        let n = completion.token.0;
        let reads = matches!(operations[usize::try_from(n).unwrap()], Operation::Read { .. });
        let bytes = completion.buffer.filter(|_| reads && completion.result.is_ok());
        (n, (completion.result, bytes.map(|buffer| buffer.to_vec()).unwrap_or_default()))
    };
    completions.into_iter().map(of).collect()
}

fn geometry(limits: Option<u32>) -> SimulatedGeometry {
    SimulatedGeometry {
        zone_count: u32::try_from(ZONES).unwrap(),
        zone_size_bytes: ZONE_UNITS * UNIT,
        zone_capacity_bytes: CAPACITY_UNITS * UNIT,
        conventional_zones: 2,
        zone_open_max: limits,
        zone_active_max: limits.map(|limit| limit + 2),
        ..SimulatedGeometry::default()
    }
}

/// Mostly what a drive takes, and now and then anything.
fn random_operation(random: &mut Random, twins: &mut Twins, step: u64) -> Operation {
    let zone = random.below(ZONES);
    let units = random.below(6) + 1;
    let anywhere = zone * ZONE_UNITS + random.below(ZONE_UNITS);
    match random.below(10) {
        0..=3 => {
            let at = zone * ZONE_UNITS + twins.pointer(zone);
            Operation::Write { at, units, seed: step }
        }
        4 => Operation::Write { at: anywhere, units, seed: step },
        5..=6 => Operation::Read { at: anywhere, units },
        7..=8 => Operation::Order { zone: random.below(ZONES + 1), operation: random.order() },
        _ => Operation::Flush,
    }
}

#[test]
fn one_by_one_with_the_drive_opened_again_now_and_then() {
    for &backend in BACKENDS {
        let directory = tempfile::tempdir().unwrap();
        let mut twins = Twins::create(directory.path(), &geometry(Some(3)));
        let mut random = Random(5);
        for step in 0..3000 {
            if step % 500 == 0 {
                twins.open(directory.path(), backend);
            }
            let operation = random_operation(&mut random, &mut twins, step);
            twins.run(&[operation]);
        }
    }
}

/// What is submitted together: to each of some zones up to three operations, of which one writes at most; reads of
/// other zones; and a flush. Between zones the order is open, so that there are no limits of open zones here.
fn random_operations(random: &mut Random, twins: &mut Twins, step: u64) -> Vec<Operation> {
    let mut operations = Vec::new();
    for zone in 0..ZONES {
        let write = |at: u64, units| Operation::Write {
            at: zone * ZONE_UNITS + at,
            units,
            seed: step * ZONES + zone,
        };
        let units = random.below(4) + 1;
        match random.below(6) {
            0 => operations.push(write(twins.pointer(zone), units)),
            1 => operations.push(Operation::Order { zone, operation: random.order() }),
            2 => {
                operations.push(write(twins.pointer(zone), units));
                operations.push(Operation::Order { zone, operation: random.order() });
            }
            3 => {
                operations.push(Operation::Order { zone, operation: ZoneOperation::Reset });
                operations.push(write(0, units));
                operations.push(Operation::Order { zone, operation: random.order() });
            }
            4 => operations.push(Operation::Flush),
            _ => {
                for _ in 0..8 {
                    let at = zone * ZONE_UNITS + random.below(ZONE_UNITS);
                    operations.push(Operation::Read { at, units });
                }
            }
        }
    }
    operations
}

#[test]
fn many_in_flight_together() {
    for &backend in BACKENDS {
        let directory = tempfile::tempdir().unwrap();
        let mut twins = Twins::create(directory.path(), &geometry(None));
        let mut random = Random(6);
        for step in 0..400 {
            if step % 100 == 0 {
                twins.open(directory.path(), backend);
            }
            let operations = random_operations(&mut random, &mut twins, step);
            twins.run(&operations);
        }
        let everything: Vec<Operation> =
            (0..ZONES).map(|zone| Operation::Read { at: zone * ZONE_UNITS, units: CAPACITY_UNITS }).collect();
        twins.run(&everything);
    }
}
