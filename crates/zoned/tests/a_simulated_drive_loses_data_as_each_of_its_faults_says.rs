//! The faults that take data, each alone, and what they leave of it.

#[path = "a_simulated_drive_support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::ops::Range;

use imbrex_zoned::simulated::{FaultKind, FaultRates};
use imbrex_zoned::{Device, DeviceError, Token, ZoneOperation};
use support::{Rig, UNIT, ZONE};

/// The start of the sequential zone in which most of this takes place.
const START: u64 = 3 * ZONE;

/// Every operation that it can strike is struck by `kind`.
fn always(kind: FaultKind) -> FaultRates {
    FaultRates::none().with(kind, 1)
}

fn unreadable(offset_bytes: u64, length_bytes: u64) -> Result<Vec<u8>, DeviceError> {
    Err(DeviceError::MediumRead { offset_bytes, length_bytes })
}

/// A list of one range.
fn one(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}

#[test]
fn a_latent_sector_fails_every_read_that_touches_it_until_its_zone_is_reset() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 8, 7).unwrap();
    drive.make_unreadable(START + 2 * UNIT, UNIT).unwrap();
    for _ in 0..2 {
        assert_eq!(rig.read(START, 8 * UNIT), unreadable(START, 8 * UNIT));
        assert_eq!(rig.read(START + 3 * UNIT - 512, 512), unreadable(START + 3 * UNIT - 512, 512));
    }
    assert_eq!(rig.read(START, 2 * UNIT).unwrap(), [7; 8192]);
    assert_eq!(rig.read(START + 3 * UNIT, 5 * UNIT).unwrap(), [7; 20480]);
    assert_eq!(drive.damaged_ranges(), one(START + 2 * UNIT..START + 3 * UNIT));
    rig.order(3, ZoneOperation::Reset).unwrap();
    assert_eq!(drive.damaged_ranges(), []);
    rig.fill(START, 8, 8).unwrap();
    assert_eq!(rig.read(START, 8 * UNIT).unwrap(), [8; 32768]);
    assert_eq!(drive.fault_counts().of(FaultKind::LatentSector), 1);
}

#[test]
fn a_latent_sector_of_a_conventional_zone_is_healed_where_it_is_written() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(0, 4, 7).unwrap();
    drive.make_unreadable(0, 3 * UNIT).unwrap();
    rig.fill(UNIT, 1, 8).unwrap();
    assert_eq!(rig.read(UNIT, UNIT).unwrap(), [8; 4096]);
    assert_eq!(rig.read(0, UNIT), unreadable(0, UNIT));
    assert_eq!(drive.damaged_ranges(), [0..UNIT, 2 * UNIT..3 * UNIT]);
    assert!(drive.is_damaged(0, 1) && !drive.is_damaged(UNIT, UNIT) && drive.is_damaged(UNIT, UNIT + 1));
}

#[test]
fn faults_are_ordered_only_where_data_stands() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 2, 7).unwrap();
    let refused = |offset_bytes, length_bytes| Err(DeviceError::OutOfBounds { offset_bytes, length_bytes });
    assert_eq!(drive.make_unreadable(START + UNIT, 2 * UNIT), refused(START + UNIT, 2 * UNIT));
    assert_eq!(drive.make_unreadable(u64::MAX, 2), refused(u64::MAX, 2));
    assert_eq!(drive.make_unreadable(START, u64::MAX), refused(START, u64::MAX));
    assert_eq!(drive.flip_bit(START + 2 * UNIT, 0), refused(START + 2 * UNIT, 1));
    assert!(!drive.is_damaged(0, u64::MAX));
    assert_eq!(drive.fault_counts().iter().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn a_latent_sector_by_chance_lies_in_what_is_read_half_the_time_and_else_anywhere() {
    let (mut here, mut elsewhere) = (0, 0);
    for seed in 0..100 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(0, 2, 5).unwrap();
        rig.fill(START, 256, 6).unwrap();
        rig.fill(START + ZONE, 256, 7).unwrap();
        drive.set_faults(seed, always(FaultKind::LatentSector));
        let read = rig.read(START + UNIT, 2 * UNIT);
        let damaged = drive.damaged_ranges();
        assert_eq!(damaged.len(), 1);
        assert_eq!(damaged[0].end - damaged[0].start, UNIT);
        let hit = drive.is_damaged(START + UNIT, 2 * UNIT);
        assert_eq!(read.is_err(), hit);
        if hit { here += 1 } else { elsewhere += 1 }
    }
    assert!(here > 30 && elsewhere > 30, "{here} here, {elsewhere} elsewhere");
}

#[test]
fn a_flipped_bit_changes_one_bit_and_nothing_tells() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 2, 0xf0).unwrap();
    drive.flip_bit(START + 5000, 3).unwrap();
    let mut wanted = vec![0xf0; 8192];
    wanted[5000] = 0xf8;
    assert_eq!(rig.read(START, 2 * UNIT).unwrap(), wanted);
    assert_eq!(drive.damaged_ranges(), one(START + 5000..START + 5001));
    drive.set_faults(1, always(FaultKind::BitFlip));
    let changed: u32 =
        rig.read(START, 2 * UNIT).unwrap().iter().zip(&wanted).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(changed, 1);
    assert_eq!(drive.fault_counts().of(FaultKind::BitFlip), 2);
}

#[test]
fn a_lost_write_is_acknowledged_and_leaves_what_stood_there() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(0, 2, 1).unwrap();
    drive.set_faults(1, always(FaultKind::LostWrite));
    rig.fill(START, 3, 7).unwrap();
    rig.fill(UNIT, 2, 2).unwrap();
    drive.switch_faults(false);
    rig.fill(START + 3 * UNIT, 1, 8).unwrap();
    assert_eq!(rig.zone(3).write_pointer_bytes, Some(4 * UNIT));
    assert_eq!(rig.read(START, 3 * UNIT).unwrap(), [0; 12288]);
    assert_eq!(rig.read(START + 3 * UNIT, UNIT).unwrap(), [8; 4096]);
    assert_eq!(rig.read(0, 2 * UNIT).unwrap(), [1; 8192]);
    assert_eq!(drive.damaged_ranges(), [UNIT..3 * UNIT, START..START + 3 * UNIT]);
    assert_eq!(drive.fault_counts().of(FaultKind::LostWrite), 2);
}

#[test]
fn a_lost_write_over_bytes_that_a_reset_has_left_shows_those_of_the_life_before() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 4, 7).unwrap();
    drive.set_faults(1, always(FaultKind::GarbageBeyondPointer).with(FaultKind::LostWrite, 1));
    rig.order(3, ZoneOperation::Reset).unwrap();
    rig.fill(START, 1, 8).unwrap();
    assert_eq!(rig.read(START, UNIT).unwrap(), [7; 4096]);
    assert_eq!(drive.damaged_ranges(), one(START..START + UNIT));
}

#[test]
fn a_misdirected_write_is_missing_at_its_place_and_lands_on_other_data() {
    let (mut same_zone, mut other_zone) = (0, 0);
    for seed in 0..60 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(START, 4, 1).unwrap();
        rig.fill(START + ZONE, 4, 2).unwrap();
        drive.set_faults(seed, always(FaultKind::MisdirectedWrite));
        rig.fill(START + 4 * UNIT, 2, 9).unwrap();
        assert_eq!(drive.fault_counts().of(FaultKind::MisdirectedWrite), 1);
        drive.switch_faults(false);
        assert_eq!(rig.zone(3).write_pointer_bytes, Some(6 * UNIT));
        assert_eq!(rig.read(START + 4 * UNIT, 2 * UNIT).unwrap(), [0; 8192]);
        let mut strays = Vec::new();
        for (zone, byte) in [(3, 1), (4, 2)] {
            for unit in 0..4 {
                let place = zone * ZONE + unit * UNIT;
                let found = rig.read(place, UNIT).unwrap();
                let stray = found == [9; 4096];
                assert!(stray || found == [byte; 4096]);
                assert_eq!(drive.is_damaged(place, UNIT), stray);
                strays.extend(stray.then_some((zone, unit)));
            }
        }
        assert!(matches!(strays.len(), 1 | 2), "{strays:?}: one, where it meets the end of the data");
        if strays[0].0 == 3 { same_zone += 1 } else { other_zone += 1 }
    }
    assert!(same_zone > 10 && other_zone > 10, "{same_zone} in its own zone, {other_zone} in another");
}

#[test]
fn a_misdirected_write_over_what_could_not_be_read_can_be_read_and_is_still_damage() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 2, 9).unwrap();
    drive.make_unreadable(START, 2 * UNIT).unwrap();
    drive.set_faults(1, always(FaultKind::MisdirectedWrite));
    rig.fill(START + ZONE, 1, 9).unwrap();
    drive.switch_faults(false);
    let readable = (0..2).filter(|unit| rig.read(START + unit * UNIT, UNIT).is_ok()).count();
    assert_eq!(readable, 1);
    assert_eq!(drive.damaged_ranges(), [START..START + 2 * UNIT, START + ZONE..START + ZONE + UNIT]);
}

#[test]
fn a_misdirected_write_needs_other_data_to_land_on() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    drive.set_faults(1, always(FaultKind::MisdirectedWrite));
    rig.fill(START, 2, 9).unwrap();
    rig.fill(UNIT, 2, 9).unwrap();
    assert_eq!(drive.fault_counts().of(FaultKind::MisdirectedWrite), 1, "the second can meet the first");
    let mut rig = Rig::new();
    rig.drive().set_faults(1, always(FaultKind::MisdirectedWrite));
    rig.fill(UNIT, 2, 8).unwrap();
    rig.fill(UNIT, 2, 9).unwrap();
    assert_eq!(rig.read(UNIT, 2 * UNIT).unwrap(), [9; 8192], "no write goes astray onto its own place");
}

#[test]
fn a_flush_that_fails_late_loses_the_end_of_a_zone_in_one_of_three_ways() {
    let (mut fallen, mut lost, mut filled) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..200 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(START, 2, 1).unwrap();
        rig.flush().unwrap();
        rig.fill(START + 2 * UNIT, 2, 2).unwrap();
        rig.fill(START + 4 * UNIT, 2, 3).unwrap();
        drive.set_faults(seed, always(FaultKind::LateFlushError));
        assert_eq!(rig.flush(), Err(DeviceError::Flush));
        drive.switch_faults(false);
        let whole = [1, 1, 2, 2, 3, 3];
        let found: Vec<Option<u8>> =
            (0..6).map(|unit| rig.read(START + unit * UNIT, UNIT).ok().map(|bytes| bytes[0])).collect();
        let place = (0..6).position(|unit| found[unit] != Some(whole[unit])).unwrap();
        assert!(place >= 2, "what was flushed stays: {found:?}");
        let pointer = rig.zone(3).write_pointer_bytes.unwrap() / UNIT;
        if pointer < 6 {
            assert_eq!((pointer, drive.damaged_ranges()), (place as u64, vec![]));
            fallen.insert(place);
            rig.fill(START + pointer * UNIT, 1, 9).unwrap();
        } else {
            assert_eq!(drive.damaged_ranges(), one(START + place as u64 * UNIT..START + 6 * UNIT));
            assert!(
                found[place..].iter().all(Option::is_none)
                    || found[place..].iter().all(|&found| found == Some(0))
            );
            if found[place].is_none() {
                lost.insert(place)
            } else {
                filled.insert(place)
            };
            rig.fill(START + 6 * UNIT, 1, 9).unwrap();
        }
        rig.flush().unwrap();
    }
    for places in [fallen, lost, filled] {
        assert_eq!(places, BTreeSet::from([2, 3, 4, 5]));
    }
}

#[test]
fn after_a_flush_that_failed_late_a_crash_never_raises_the_pointer() {
    let mut fallen = 0;
    for seed in 0..200 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(START, 2, 1).unwrap();
        drive.set_faults(seed, FaultRates::none());
        drive.fail_next_flush();
        // So that a later write can complete before two flushes do, of which one fails.
        drive.set_scheduling(Some(seed));
        rig.device.submit_flush(Token(0)).unwrap();
        rig.device.submit_flush(Token(2)).unwrap();
        let buffer = rig.filled(&[2; 8192]);
        rig.device.submit_write(Token(1), START + 2 * UNIT, buffer).unwrap();
        let mut ended = 0;
        while ended < 3 {
            ended += rig.wait().len();
        }
        let before = rig.zone(3).write_pointer_bytes.unwrap();
        fallen += u64::from(before < 2 * UNIT);
        drive.crash(seed).unwrap();
        rig.reopen();
        assert!(rig.zone(3).write_pointer_bytes.unwrap() <= before);
    }
    assert!(fallen > 20, "{fallen}");
}

#[test]
fn a_flush_that_fails_late_takes_an_overwrite_of_a_conventional_zone_back_or_loses_it() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(0, 2, 1).unwrap();
        rig.flush().unwrap();
        rig.fill(0, 1, 2).unwrap();
        drive.set_faults(seed, always(FaultKind::LateFlushError));
        assert_eq!(rig.flush(), Err(DeviceError::Flush));
        seen.insert(rig.read(0, UNIT).ok().map(|bytes| bytes[0]));
        assert_eq!(rig.read(UNIT, UNIT).unwrap(), [1; 4096]);
        assert_eq!(drive.damaged_ranges(), one(0..UNIT));
    }
    assert_eq!(seen, BTreeSet::from([None, Some(1)]));
}

#[test]
fn what_lies_beyond_the_pointer_can_be_of_an_earlier_life() {
    let mut rig = Rig::new();
    let drive = rig.drive();
    rig.fill(START, 4, 7).unwrap();
    drive.set_faults(1, always(FaultKind::GarbageBeyondPointer));
    rig.order(3, ZoneOperation::Reset).unwrap();
    rig.fill(START, 1, 8).unwrap();
    let mut wanted = vec![8; 4096];
    wanted.resize(4 * 4096, 7);
    wanted.resize(5 * 4096, 0);
    assert_eq!(rig.read(START, 5 * UNIT).unwrap(), wanted);
    assert_eq!(drive.damaged_ranges(), []);
    drive.set_faults(1, FaultRates::none());
    rig.order(3, ZoneOperation::Reset).unwrap();
    assert_eq!(rig.read(START, 4 * UNIT).unwrap(), [0; 16384], "the next reset may take it");
    assert_eq!(drive.fault_counts().of(FaultKind::GarbageBeyondPointer), 1);
}

#[test]
fn what_lies_beyond_the_pointer_is_never_what_a_crash_took() {
    for seed in 0..40 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(START, 8, 7).unwrap();
        drive.set_faults(seed, always(FaultKind::GarbageBeyondPointer));
        rig.order(3, ZoneOperation::Reset).unwrap();
        rig.fill(START, 1, 1).unwrap();
        rig.flush().unwrap();
        rig.fill(START + UNIT, 4, 2).unwrap();
        drive.crash(seed).unwrap();
        rig.reopen();
        let pointer = rig.zone(3).write_pointer_bytes.unwrap();
        rig.order(3, ZoneOperation::Finish).unwrap();
        let lost = rig.read(START + pointer, 5 * UNIT - pointer).unwrap();
        assert!(lost.iter().all(|byte| *byte == 0));
        assert_eq!(rig.read(START + 5 * UNIT, 3 * UNIT).unwrap(), [7; 12288]);
    }
}

#[test]
fn what_a_crash_leaves_beyond_the_pointer_is_no_damage() {
    for seed in 0..40 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        rig.fill(START, 1, 1).unwrap();
        rig.flush().unwrap();
        drive.set_faults(seed, always(FaultKind::LostWrite));
        rig.fill(START + UNIT, 4, 2).unwrap();
        drive.switch_faults(false);
        drive.crash(seed).unwrap();
        rig.reopen();
        let pointer = rig.zone(3).write_pointer_bytes.unwrap();
        assert!(!drive.is_damaged(START + pointer, ZONE - pointer));
        assert!(pointer <= UNIT || drive.is_damaged(START + UNIT, pointer - UNIT));
    }
}

#[test]
fn a_crash_can_bring_damage_back_that_was_written_over() {
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let mut rig = Rig::new();
        let drive = rig.drive();
        drive.set_faults(seed, always(FaultKind::LostWrite));
        rig.fill(0, 1, 3).unwrap();
        drive.switch_faults(false);
        rig.flush().unwrap();
        assert!(drive.is_damaged(0, UNIT));
        rig.fill(0, 1, 4).unwrap();
        assert!(!drive.is_damaged(0, UNIT));
        drive.crash(seed).unwrap();
        rig.reopen();
        let found = rig.read(0, UNIT).unwrap();
        let new = found.iter().filter(|&&byte| byte == 4).count();
        assert_eq!(found[new..], vec![0; 4096 - new], "what was there before, instead of 3");
        let wanted = Some(new as u64..UNIT).filter(|range| !range.is_empty());
        assert_eq!(drive.damaged_ranges(), wanted.into_iter().collect::<Vec<_>>());
        seen.insert(new.div_ceil(4095));
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2]), "old, torn and new");
}
