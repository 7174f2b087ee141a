//! The verifier over the drives of the simulation: a drive without faults is never called damaged, whatever the engine was
//! doing when it ended or when the power failed; and nearly always it is called sound. Where an engine has emptied a zone and
//! what told so has gone with it or with another zone, nothing tells, and the verifier says that. The verifier shares no code
//! with the engine but the structures.

use imbrex_format::verify::{FindingKind, Report, Verdict, VerifyOptions, verify};
use imbrex_zoned::read_only::ReadOnlyDrive;
use imbrex_zoned::simulated::SimulatedDrive;
use imbrex_zoned::{BufferPool, Completion, Condition, Device, DeviceError, Geometry, Identity, Token, Zone};

use super::operation::operations;
use super::setup::{Faults, Setup};
use super::shrink::{run, shrink};
use super::world::World;

/// The memory for one read: a zone of the simulation at most.
const POOL_BYTES: usize = 4 << 20;

/// How many drives are run, how often at least they are verified, and how often of a hundred times they are called sound.
const DRIVES: u64 = 60;
const VERIFIED_MIN: u64 = 200;
const SOUND_PERCENT_MIN: u64 = 90;

/// What stands on a drive.
struct Image {
    identity: Identity,
    geometry: Geometry,
    zones: Vec<Zone>,
    bytes: Vec<u8>,
}

impl Image {
    /// A copy of the drive; `None` where a part of it cannot be read now.
    fn of(drive: &SimulatedDrive) -> Option<Self> {
        let pool = BufferPool::new(POOL_BYTES).expect("memory");
        let mut device = drive.open(pool.clone());
        let zones = device.report_zones().expect("a report");
        let (identity, geometry) = (device.identity().clone(), device.geometry().clone());
        let mut bytes = vec![0; usize::try_from(geometry.device_bytes).expect("a small drive")];
        for zone in zones.iter().filter(|zone| zone.condition != Condition::Offline) {
            let length = usize::try_from(zone.capacity_bytes).expect("a small zone");
            let begin = usize::try_from(geometry.zone_start_bytes(zone.index)).expect("a small drive");
            let buffer = pool.try_allocate(length).expect("memory");
            device.submit_read(Token(0), begin as u64, buffer, length).expect("room in the queue");
            let Completion { result, buffer, .. } = wait(&mut device);
            result.ok()?;
            bytes[begin..begin + length].copy_from_slice(&buffer.expect("what was read")[..length]);
        }
        Some(Self { identity, geometry, zones, bytes })
    }
}

fn wait(device: &mut dyn Device) -> Completion {
    let mut done = Vec::new();
    loop {
        device.wait(None, &mut done).expect("a device that can be waited for");
        if let Some(completion) = done.pop() {
            return completion;
        }
    }
}

impl ReadOnlyDrive for Image {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read_at(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let begin = usize::try_from(offset_bytes).expect("a small drive");
        bytes.copy_from_slice(&self.bytes[begin..][..bytes.len()]);
        Ok(())
    }
}

impl World {
    /// Has the verifier look at the drive, while no engine is on it.
    pub(super) fn verify(&mut self) {
        let Some(mut image) = Image::of(&self.drive) else { return };
        let options = VerifyOptions { payloads: true, all: true, ..VerifyOptions::default() };
        let report = verify(&mut image, &options).expect("a drive that can be verified");
        assert!(is_sound(&report), "the verifier finds fault with a drive that has none: {report}");
        self.counts.add("drive verified");
        self.counts.add(if report.unsure == 0 {
            "drive called sound"
        } else {
            "drive of which not all can be told"
        });
    }
}

/// Whether nothing is surely wrong but a label that a power cut has torn, which the next mount writes anew.
fn is_sound(report: &Report) -> bool {
    let is_label = !report.findings.is_empty()
        && report.findings.iter().all(|finding| finding.kind == FindingKind::LabelDamaged);
    matches!(report.verdict, Verdict::Sound | Verdict::Unsure) || is_label
}

#[test]
fn a_drive_without_faults_is_never_called_damaged_and_nearly_always_sound() {
    let (mut verified, mut sound) = (0, 0);
    for seed in 0..DRIVES {
        let setup = Setup { is_verified: true, ..Setup::with_faults(seed, Faults::None) };
        let all = operations(seed, &setup);
        match run(&setup, &all) {
            Ok(counts) => {
                verified += counts.of("drive verified");
                sound += counts.of("drive called sound");
            }
            Err(sentence) => {
                let (shortest, sentence) = shrink(&setup, all, sentence);
                panic!("seed {seed}: {sentence}: {setup:?}: {shortest:#?}");
            }
        }
    }
    println!("drives of the simulation that the verifier calls sound: {sound} of {verified}");
    assert!(verified >= VERIFIED_MIN, "the verifier looked at {verified} drives only");
    assert!(sound * 100 >= verified * SOUND_PERCENT_MIN, "{sound} of {verified} drives are called sound");
}
