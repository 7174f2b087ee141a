//! The faults that fail operations, each alone, and what they leave behind.

#[path = "a_simulated_drive_support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use imbrex_zoned::simulated::{FaultKind, FaultRates};
use imbrex_zoned::{Condition, Device, DeviceError, Token, ZoneOperation};
use support::{Rig, UNIT, ZONE};

/// The start of the sequential zone in which most of this takes place.
const START: u64 = 3 * ZONE;

/// Every operation that it can strike is struck by `kind`.
fn always(kind: FaultKind) -> FaultRates {
    FaultRates::none().with(kind, 1)
}

fn unwritable(offset_bytes: u64, length_bytes: u64) -> Result<(), DeviceError> {
    Err(DeviceError::MediumWrite { offset_bytes, length_bytes })
}

#[test]
fn a_torn_write_leaves_a_beginning_and_the_pointer_behind_it() {
    let mut lengths = BTreeSet::new();
    for seed in 0..60 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        drive.set_faults(seed, always(FaultKind::TornWriteError));
        assert_eq!(rig.fill(START, 5, 7), unwritable(START, 5 * UNIT));
        assert!(rig.fill(START, 1, 7).is_err(), "the pointer has moved");
        drive.switch_faults(false);
        let pointer = rig.zone(3).write_pointer_bytes.unwrap();
        let length = usize::try_from(pointer).unwrap();
        let mut wanted = vec![7; length];
        wanted.resize(5 * 4096, 0);
        assert_eq!(rig.read(START, 5 * UNIT).unwrap(), wanted);
        assert_eq!(drive.damaged_ranges(), []);
        rig.fill(START + pointer, 1, 8).unwrap();
        lengths.insert(pointer / UNIT);
    }
    assert_eq!(lengths, BTreeSet::from([1, 2, 3, 4]));
}

#[test]
fn a_write_that_fails_writes_nothing() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    drive.fail_next_write(3);
    rig.fill(START + ZONE, 1, 7).unwrap();
    assert!(rig.fill(START + UNIT, 1, 7).is_err(), "a write that is refused uses nothing up");
    assert_eq!(rig.fill(START, 2, 7), unwritable(START, 2 * UNIT));
    assert_eq!(rig.zone(3).write_pointer_bytes, Some(0));
    rig.fill(START, 2, 7).unwrap();
    drive.set_faults(1, always(FaultKind::WriteError));
    assert_eq!(rig.fill(START + 2 * UNIT, 1, 7), unwritable(START + 2 * UNIT, UNIT));
    assert_eq!(drive.fault_counts().of(FaultKind::WriteError), 2);
    assert_eq!(drive.damaged_ranges(), []);
}

#[test]
fn a_flush_with_nothing_to_lose_fails_when_it_is_told_to_and_not_by_chance() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    drive.set_faults(1, always(FaultKind::LateFlushError));
    rig.flush().unwrap();
    drive.fail_next_flush();
    assert_eq!(rig.flush(), Err(DeviceError::Flush));
    rig.flush().unwrap();
    assert_eq!(drive.fault_counts().of(FaultKind::LateFlushError), 1);
}

#[test]
fn a_zone_turns_read_only_or_offline_in_the_middle_of_a_write() {
    for (kind, condition) in
        [(FaultKind::ZoneReadOnly, Condition::ReadOnly), (FaultKind::ZoneOffline, Condition::Offline)]
    {
        let (mut mid_write, mut elsewhere) = (BTreeSet::new(), 0);
        for seed in 0..200 {
            let mut rig = Rig::new();
            let drive = rig.drive();
            rig.fill(START, 2, 1).unwrap();
            drive.set_faults(seed, always(kind).with_worn_zones_max(1));
            let written = rig.fill(START + 2 * UNIT, 4, 2);
            drive.switch_faults(false);
            assert_eq!(drive.fault_counts().of(kind), 1);
            let zones = rig.device.report_zones().unwrap();
            let worn: Vec<_> = zones.iter().filter(|zone| zone.condition == condition).collect();
            assert_eq!((worn.len(), worn[0].write_pointer_bytes), (1, None));
            if worn[0].index != 3 {
                written.unwrap();
                elsewhere += 1;
                continue;
            }
            let refused = DeviceError::ZoneCondition { zone: 3, condition };
            assert_eq!(written, Err(refused.clone()));
            for operation in [ZoneOperation::Reset, ZoneOperation::Finish, ZoneOperation::Open] {
                assert_eq!(rig.order(3, operation), Err(refused.clone()));
            }
            if condition == Condition::Offline {
                assert_eq!(rig.read(START, UNIT), Err(refused));
                assert!(drive.is_damaged(START, 2 * UNIT));
            } else {
                let bytes = rig.read(START, 6 * UNIT).unwrap();
                assert_eq!(bytes[..8192], [1; 8192]);
                assert_eq!(drive.damaged_ranges(), []);
                mid_write.insert(bytes.chunks(4096).filter(|unit| unit[0] == 2).count());
            }
        }
        assert!(elsewhere > 50, "{elsewhere}");
        if condition == Condition::ReadOnly {
            assert_eq!(mid_write, BTreeSet::from([0, 1, 2, 3, 4]));
        }
    }
}

#[test]
fn zones_wear_out_under_every_operation_and_not_beyond_their_bound() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    drive.spare_zones(&[3]);
    drive.set_faults(7, always(FaultKind::ZoneOffline).with_worn_zones_max(4));
    rig.fill(START, 1, 1).unwrap();
    rig.read(START, UNIT).unwrap();
    rig.flush().unwrap();
    rig.order(3, ZoneOperation::Reset).unwrap();
    let offline = |rig: &mut Rig| {
        let zones = rig.device.report_zones().unwrap();
        zones.iter().filter(|zone| zone.condition == Condition::Offline).count()
    };
    assert_eq!(offline(&mut rig), 4);
    rig.flush().unwrap();
    assert_eq!(offline(&mut rig), 4);
}

#[test]
fn a_drive_refuses_to_open_a_zone_below_its_limit() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 1, 1).unwrap();
    drive.set_faults(1, always(FaultKind::TooManyOpen));
    rig.fill(START + UNIT, 1, 1).unwrap();
    let refused = Err(DeviceError::TooManyOpenZones { zone: 4 });
    assert_eq!(rig.fill(4 * ZONE, 1, 1), refused);
    assert_eq!(rig.order(4, ZoneOperation::Open), refused);
    rig.order(3, ZoneOperation::Open).unwrap();
    rig.fill(0, 1, 1).unwrap();
    assert_eq!(rig.zone(4).condition, Condition::Empty);
    assert_eq!(drive.fault_counts().of(FaultKind::TooManyOpen), 2);
}

#[test]
fn a_slow_operation_is_passed_by_others_and_completes_within_a_bound() {
    let mut waits = BTreeSet::new();
    for seed in 0..100 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        drive.set_faults(seed, FaultRates::none().with(FaultKind::Slow, 2));
        for token in 0..6 {
            let buffer = rig.filled(&[1; 4096]);
            rig.device.submit_write(Token(token), (3 + token) * ZONE, buffer).unwrap();
        }
        let held = usize::try_from({
            let first = rig.wait();
            let held = drive.fault_counts().of(FaultKind::Slow);
            assert_eq!(first.len() as u64, 6 - held);
            held
        });
        let (mut done, mut waited) = (6 - held.unwrap(), 1);
        while done < 6 {
            done += rig.wait().len();
            waited += 1;
            assert!(waited <= 33);
        }
        waits.insert(waited);
    }
    assert!(waits.len() > 5, "{waits:?}");
    let mut rig = Rig::new();
    rig.drive().set_faults(1, always(FaultKind::Slow));
    rig.fill(START, 1, 1).unwrap();
    assert_eq!(rig.drive().fault_counts().of(FaultKind::Slow), 1, "without a timeout a wait sees it through");
}

#[test]
fn a_drive_vanishes_with_an_operation_done_or_not_and_returns_when_it_is_opened() {
    let mut done = BTreeSet::new();
    for seed in 0..20 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(START, 1, 1).unwrap();
        drive.set_faults(seed, always(FaultKind::Vanish));
        for token in 0..2 {
            let buffer = rig.filled(&[2; 4096]);
            rig.device.submit_write(Token(token), START + UNIT + token * ZONE, buffer).unwrap();
        }
        let ended = rig.wait();
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().all(|end| end.result == Err(DeviceError::Gone) && end.buffer.is_some()));
        assert_eq!(rig.flush(), Err(DeviceError::Gone));
        assert_eq!(drive.fault_counts().of(FaultKind::Vanish), 1);
        drive.switch_faults(false);
        rig.reopen();
        done.insert(rig.zone(3).write_pointer_bytes.unwrap() / UNIT);
        assert_eq!(rig.read(START, UNIT).unwrap(), [1; 4096]);
    }
    assert_eq!(done, BTreeSet::from([1, 2]));
}

#[test]
fn a_reset_that_fails_leaves_the_zone_as_it_was() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 2, 1).unwrap();
    let before = rig.zone(3);
    drive.fail_next_reset(3);
    assert!(matches!(rig.order(3, ZoneOperation::Reset), Err(DeviceError::System { .. })));
    assert_eq!(rig.zone(3), before);
    assert_eq!(rig.read(START, 2 * UNIT).unwrap(), [1; 8192]);
    rig.order(3, ZoneOperation::Reset).unwrap();
    drive.set_faults(1, always(FaultKind::ResetError));
    assert!(rig.order(3, ZoneOperation::Reset).is_err());
    rig.order(3, ZoneOperation::Finish).unwrap();
    assert_eq!(drive.fault_counts().of(FaultKind::ResetError), 2);
}

#[test]
fn a_transient_read_error_passes() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 1, 1).unwrap();
    drive.set_faults(3, FaultRates::none().with(FaultKind::ReadErrorTransient, 2));
    let reads: Vec<bool> = (0..40).map(|_| rig.read(START, UNIT).is_ok()).collect();
    let failed = reads.iter().filter(|&&read| !read).count();
    assert!((10..30).contains(&failed), "{failed} of 40 failed");
    assert_eq!(drive.fault_counts().of(FaultKind::ReadErrorTransient), failed as u64);
    assert_eq!(drive.damaged_ranges(), []);
}
