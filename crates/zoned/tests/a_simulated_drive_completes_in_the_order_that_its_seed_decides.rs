//! Scheduling: which of what is in flight completes, in which order, and what a crash makes of the rest.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

#[path = "a_simulated_drive_support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use imbrex_zoned::{Device, DeviceError, Token, ZoneOperation};
use support::{Rig, UNIT, ZONE};

const START: u64 = 3 * ZONE;

/// Submits writes to unit `unit` of three zones, and two reads, and returns the tokens that each wait completes.
fn waits(rig: &mut Rig, unit: u64) -> Vec<Vec<u64>> {
    for zone in 0..3 {
        let buffer = rig.filled(&[1; 4096]);
        rig.device.submit_write(Token(zone), START + zone * ZONE + unit * UNIT, buffer).unwrap();
    }
    for read in 3..5 {
        let buffer = rig.filled(&[0; 4096]);
        rig.device.submit_read(Token(read), START, buffer, 4096).unwrap();
    }
    let mut waits = Vec::new();
    while waits.iter().map(Vec::len).sum::<usize>() < 5 {
        let ends = rig.wait();
        assert!(!ends.is_empty(), "each wait completes something");
        assert!(ends.iter().all(|end| end.result.is_ok()));
        waits.push(ends.iter().map(|end| end.token.0).collect());
    }
    waits
}

#[test]
fn at_first_every_wait_completes_all_in_order() {
    assert_eq!(waits(&mut Rig::new(), 0), [[0, 1, 2, 3, 4]]);
}

#[test]
fn every_order_and_every_part_is_reached() {
    let (mut orders, mut counts) = (BTreeSet::new(), BTreeSet::new());
    let mut rig = Rig::new();
    for seed in 0..4000 {
        let unit = seed % (ZONE / UNIT);
        if unit == 0 {
            rig = Rig::new();
        }
        rig.drive().set_scheduling(Some(seed));
        let waits = waits(&mut rig, unit);
        counts.insert(waits.len());
        orders.insert(waits.concat());
    }
    assert_eq!(orders.len(), 120, "the orders of five operations");
    assert_eq!(counts, BTreeSet::from([1, 2, 3, 4, 5]));
}

#[test]
fn writes_and_orders_to_one_zone_keep_their_order() {
    for seed in 0..200 {
        let mut rig = Rig::new();
        rig.fill(START, 1, 1).unwrap();
        rig.drive().set_scheduling(Some(seed));
        let conventional = |rig: &mut Rig, token, byte| {
            let buffer = rig.filled(&[byte; 4096]);
            rig.device.submit_write(Token(token), 0, buffer).unwrap();
        };
        conventional(&mut rig, 0, 1);
        rig.device.submit_zone(Token(1), 3, ZoneOperation::Reset).unwrap();
        conventional(&mut rig, 2, 2);
        rig.device.submit_zone(Token(3), 3, ZoneOperation::Open).unwrap();
        let buffer = rig.filled(&[3; 4096]);
        rig.device.submit_write(Token(4), START, buffer).unwrap();
        conventional(&mut rig, 5, 3);
        let mut ends = Vec::new();
        while ends.len() < 6 {
            ends.extend(rig.wait());
        }
        assert!(ends.iter().all(|end| end.result.is_ok()), "{ends:?}");
        let order = |tokens: [u64; 3]| {
            let found: Vec<u64> =
                ends.iter().map(|end| end.token.0).filter(|token| tokens.contains(token)).collect();
            assert_eq!(found, tokens);
        };
        order([0, 2, 5]);
        order([1, 3, 4]);
        rig.drive().set_scheduling(None);
        assert_eq!(rig.read(0, UNIT).unwrap(), [3; 4096]);
    }
}

#[test]
fn a_flush_covers_what_had_completed_when_it_was_submitted_and_nothing_else() {
    let mut lost = 0;
    for seed in 0..200 {
        let mut rig = Rig::new();
        rig.fill(START, 1, 1).unwrap();
        rig.drive().set_scheduling(Some(seed));
        let buffer = rig.filled(&[2; 4096]);
        rig.device.submit_write(Token(0), START + UNIT, buffer).unwrap();
        rig.device.submit_flush(Token(1)).unwrap();
        let mut ends = Vec::new();
        while ends.len() < 2 {
            ends.extend(rig.wait());
        }
        rig.drive().crash(seed).unwrap();
        rig.reopen();
        let pointer = rig.zone(3).write_pointer_bytes.unwrap();
        assert!(pointer >= UNIT, "the flush covers the first write, in whatever order they end");
        lost += u64::from(pointer == UNIT);
    }
    assert!(lost > 20, "{lost} times the second write was lost");
}

#[test]
fn in_a_crash_any_of_what_is_in_flight_may_have_been_carried_out_and_all_of_it_ends_as_gone() {
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let mut rig = Rig::new();
        for zone in 4..6 {
            rig.fill(zone * ZONE, 1, 1).unwrap();
        }
        rig.flush().unwrap();
        let buffer = rig.filled(&[2; 8192]);
        rig.device.submit_write(Token(3), START, buffer).unwrap();
        for zone in 4..6 {
            rig.device.submit_zone(Token(u64::from(zone)), zone, ZoneOperation::Reset).unwrap();
        }
        // By the handle alone, as somebody does who does not hold the device.
        rig.drive().crash(seed).unwrap();
        let ends = rig.wait();
        assert_eq!(ends.len(), 3);
        assert!(ends.iter().all(|end| end.result == Err(DeviceError::Gone)));
        assert_eq!(ends.iter().filter(|end| end.buffer.is_some()).count(), 1);
        rig.reopen();
        let zones = rig.device.report_zones().unwrap();
        let pointers: Vec<u64> = (3..6).map(|zone| zones[zone].write_pointer_bytes.unwrap() / UNIT).collect();
        seen.insert(pointers);
    }
    assert_eq!(seen.len(), 3 * 2 * 2, "the write in any part, each reset done or not: {seen:?}");
}
