//! Random operations among faults, and a copy of every byte that was acknowledged: a sector differs from the copy, or
//! cannot be read, exactly where the drive calls it damaged.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

#[path = "a_simulated_drive_support/mod.rs"]
mod support;

use imbrex_zoned::simulated::{FaultKind, FaultRates};
use imbrex_zoned::{Condition, Device, DeviceError, ZoneKind, ZoneOperation};
use support::{Dice, Rig, UNIT, ZONE, ZONES};

const SECTOR: u64 = 512;
const OPERATIONS: u64 = 600;

/// What was acknowledged of each zone: in sequential zones up to the write pointer.
struct Model {
    zones: Vec<Vec<u8>>,
}

fn rates() -> FaultRates {
    FaultRates::every(40)
        .with(FaultKind::Vanish, 0)
        .with(FaultKind::ZoneReadOnly, 300)
        .with(FaultKind::ZoneOffline, 300)
        .with_worn_zones_max(3)
}

impl Model {
    fn new() -> Self {
        let zones = (0..ZONES).map(|zone| vec![0; if zone < 2 { 1 << 20 } else { 0 }]).collect();
        Self { zones }
    }

    /// One operation, on the drive and on the copy.
    fn step(&mut self, rig: &mut Rig, dice: &mut Dice) {
        let zone = u32::try_from(dice.below(u64::from(ZONES))).unwrap();
        let start = u64::from(zone) * ZONE;
        let copied = self.zones[zone as usize].len() as u64;
        match dice.below(10) {
            0..=4 => self.write(rig, dice, zone),
            5 | 6 => _ = rig.read(start + dice.below(ZONE / UNIT) * UNIT, UNIT),
            7 if zone >= 2 && rig.order(zone, ZoneOperation::Reset).is_ok() => {
                self.zones[zone as usize].clear();
            }
            8 if rig.flush() == Err(DeviceError::Flush) => {
                // A pointer may have fallen: what was beyond it is no longer data.
                for zone in rig.device.report_zones().unwrap() {
                    if let Some(pointer) = zone.write_pointer_bytes {
                        self.zones[zone.index as usize].truncate(usize::try_from(pointer).unwrap());
                    }
                }
            }
            9 if dice.below(4) == 0 && zone >= 2 && copied > 0 => {
                _ = rig.order(zone, ZoneOperation::Finish);
            }
            _ => {}
        }
    }

    fn write(&mut self, rig: &mut Rig, dice: &mut Dice, zone: u32) {
        let copy = &mut self.zones[zone as usize];
        let units = 1 + dice.below(8);
        let at = if zone < 2 { dice.below(ZONE / UNIT - 8) * UNIT } else { copy.len() as u64 };
        let bytes: Vec<u8> = (0..units * UNIT / 8).flat_map(|_| dice.below(u64::MAX).to_le_bytes()).collect();
        let result = rig.write(u64::from(zone) * ZONE + at, &bytes);
        // A write that failed may have written any prefix: it tells the prefix by what can be read, or by the pointer.
        let report = rig.zone(zone);
        let written = match (&result, report.write_pointer_bytes) {
            (Ok(()), _) => bytes.len(),
            (Err(_), Some(pointer)) => usize::try_from(pointer.saturating_sub(at)).unwrap().min(bytes.len()),
            (Err(_), None) => self.prefix(rig, zone, at, &bytes),
        };
        let (copy, at) = (&mut self.zones[zone as usize], usize::try_from(at).unwrap());
        if report.kind == ZoneKind::SequentialWriteRequired {
            copy.extend_from_slice(&bytes[..written]);
        } else {
            copy[at..at + written].copy_from_slice(&bytes[..written]);
        }
    }

    /// How many bytes of a failed write stand on the medium.
    fn prefix(&self, rig: &mut Rig, zone: u32, at: u64, bytes: &[u8]) -> usize {
        rig.drive().switch_faults(false);
        let place = u64::from(zone) * ZONE + at;
        let stands = |unit: &usize| {
            let offset = *unit as u64 * UNIT;
            rig.read(place + offset, UNIT).is_ok_and(|found| found == bytes[unit * 4096..(unit + 1) * 4096])
        };
        let units = (0..bytes.len() / 4096).take_while(stands).count();
        rig.drive().switch_faults(true);
        units * 4096
    }

    /// Compares every sector.
    fn check(&self, rig: &mut Rig) -> u64 {
        let drive = rig.drive();
        drive.switch_faults(false);
        let zones = rig.device.report_zones().unwrap();
        let mut damaged = 0;
        for (zone, copy) in zones.iter().zip(&self.zones) {
            let start = u64::from(zone.index) * ZONE;
            if zone.condition == Condition::Offline {
                assert!(copy.is_empty() || drive.is_damaged(start, copy.len() as u64));
                continue;
            }
            for (sector, wanted) in (0..).zip(copy.chunks(512)) {
                let place = start + sector * SECTOR;
                let found = rig.read(place, SECTOR);
                let told = drive.is_damaged(place, SECTOR);
                let right = found.as_ref().is_ok_and(|found| found == wanted);
                assert_eq!(told, !right, "sector {sector} of {zone:?}: read {:?}", found.is_ok());
                damaged += u64::from(told);
            }
            let end = start + copy.len() as u64;
            assert!(!drive.is_damaged(end, start + ZONE - end), "beyond the data of {zone:?}");
        }
        drive.switch_faults(true);
        damaged
    }
}

#[test]
fn among_all_faults() {
    let mut damaged = 0;
    for seed in 0..12 {
        let mut rig = Rig::new();
        let mut dice = Dice::new(seed);
        let mut model = Model::new();
        rig.drive().set_faults(seed, rates());
        for operation in 0..OPERATIONS {
            model.step(&mut rig, &mut dice);
            if operation % 100 == 99 {
                damaged += model.check(&mut rig);
            }
        }
    }
    assert!(damaged > 1000, "{damaged} sectors were damaged");
}

#[test]
fn with_one_kind_at_a_time() {
    for kind in FaultKind::ALL {
        let mut rig = Rig::new();
        let mut dice = Dice::new(99);
        let mut model = Model::new();
        // A drive that vanishes would end the run.
        let one_in = if kind == FaultKind::Vanish { 0 } else { 10 };
        rig.drive().set_faults(5, FaultRates::none().with(kind, one_in).with_worn_zones_max(3));
        (0..OPERATIONS).for_each(|_| model.step(&mut rig, &mut dice));
        let damaged = model.check(&mut rig);
        let destroys = [
            FaultKind::LatentSector,
            FaultKind::BitFlip,
            FaultKind::LostWrite,
            FaultKind::MisdirectedWrite,
            FaultKind::LateFlushError,
        ];
        assert_eq!(damaged > 0, destroys.contains(&kind), "{}: {damaged} sectors", kind.name());
    }
}

#[test]
fn spared_zones_are_never_damaged() {
    let mut rig = Rig::new();
    let mut dice = Dice::new(3);
    let mut model = Model::new();
    let spared = [0, 4, 5];
    rig.drive().spare_zones(&spared);
    rig.drive().set_faults(5, rates().with(FaultKind::ZoneOffline, 20).with_worn_zones_max(20));
    for _ in 0..2 * OPERATIONS {
        model.step(&mut rig, &mut dice);
        assert!(spared.iter().all(|&zone| !rig.drive().is_damaged(u64::from(zone) * ZONE, ZONE)));
    }
    assert!(rig.drive().is_damaged(0, u64::from(ZONES) * ZONE));
    model.check(&mut rig);
}
