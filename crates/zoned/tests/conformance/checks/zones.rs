//! The states of zones, the orders that they take, and how many may be open and active.

use imbrex_zoned::{Condition, DeviceError, ZoneKind, ZoneOperation};

use super::super::{Harness, Outcome};
use super::{Checked, expect, text};

pub(super) fn report_is_whole(harness: &mut Harness<'_>) -> Checked {
    let zones = harness.report()?;
    let geometry = harness.geometry.clone();
    expect("zones", zones.len(), geometry.zone_count as usize)?;
    for (index, zone) in (0..).zip(&zones) {
        expect("the zone's number", zone.index, index)?;
        let sized = zone.capacity_bytes > 0 && zone.capacity_bytes <= geometry.zone_size_bytes;
        expect("a capacity within the zone", sized, true)?;
        let conventional = zone.kind == ZoneKind::Conventional;
        let pointed = zone.write_pointer_bytes.is_some();
        expect("a conventional zone has no pointer", conventional && pointed, false)?;
    }
    let zone = harness.sequential(0)?;
    let zone = harness.zone(zone.index)?;
    expect("an empty zone", (zone.condition, zone.write_pointer_bytes), (Condition::Empty, Some(0)))?;
    Ok(Outcome::Passed)
}

pub(super) fn written_full(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let piece = 1 << 20;
    let mut at = 0;
    while at < zone.capacity_bytes {
        let length = piece.min(zone.capacity_bytes - at);
        let buffer = harness.pattern(at, length);
        harness.write(start + at, buffer).map_err(text)?;
        at += length;
    }
    let found = harness.zone(zone.index)?;
    expect("the zone", (found.condition, found.write_pointer_bytes), (Condition::Full, None))?;
    let buffer = harness.pattern(8, unit);
    let wanted = DeviceError::ZoneCondition { zone: zone.index, condition: Condition::Full };
    expect("a write to it", harness.write(start, buffer), Err(wanted))?;
    let last = (zone.capacity_bytes - 1) / piece * piece;
    harness.expect_pattern(start + last, last, zone.capacity_bytes - last)?;
    Ok(Outcome::Passed)
}

pub(super) fn finished(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let buffer = harness.pattern(9, 3 * unit);
    harness.write(start, buffer).map_err(text)?;
    for _ in 0..2 {
        harness.order(zone.index, ZoneOperation::Finish).map_err(text)?;
        let found = harness.zone(zone.index)?;
        expect("the zone", (found.condition, found.write_pointer_bytes), (Condition::Full, None))?;
    }
    let buffer = harness.pattern(10, unit);
    let wanted = DeviceError::ZoneCondition { zone: zone.index, condition: Condition::Full };
    expect("a write to it", harness.write(start + 3 * unit, buffer), Err(wanted))?;
    harness.expect_pattern(start, 9, 3 * unit)?;
    Ok(Outcome::Passed)
}

pub(super) fn reset(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    for round in 20..24 {
        let buffer = harness.pattern(round, 2 * unit);
        harness.write(start, buffer).map_err(text)?;
        harness.expect_pattern(start, round, 2 * unit)?;
        if round % 2 == 0 {
            harness.order(zone.index, ZoneOperation::Finish).map_err(text)?;
        }
        for _ in 0..2 {
            harness.order(zone.index, ZoneOperation::Reset).map_err(text)?;
            let found = harness.zone(zone.index)?;
            let wanted = (Condition::Empty, Some(0));
            expect("the zone", (found.condition, found.write_pointer_bytes), wanted)?;
        }
    }
    Ok(Outcome::Passed)
}

pub(super) fn open_and_close(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    harness.order(zone.index, ZoneOperation::Open).map_err(text)?;
    expect("opened", harness.zone(zone.index)?.condition, Condition::ExplicitOpen)?;
    let buffer = harness.pattern(11, unit);
    harness.write(start, buffer).map_err(text)?;
    expect("written", harness.zone(zone.index)?.condition, Condition::ExplicitOpen)?;
    harness.order(zone.index, ZoneOperation::Close).map_err(text)?;
    let found = harness.zone(zone.index)?;
    let wanted = (Condition::Closed, Some(unit));
    expect("closed", (found.condition, found.write_pointer_bytes), wanted)?;
    let buffer = harness.pattern(12, unit);
    harness.write(start + unit, buffer).map_err(text)?;
    expect("written again", harness.zone(zone.index)?.condition, Condition::ImplicitOpen)?;
    harness.expect_pattern(start, 11, unit)?;
    harness.expect_pattern(start + unit, 12, unit)?;
    Ok(Outcome::Passed)
}

/// The limit of open zones, where it is one that the drive's zones can reach.
fn reachable(harness: &Harness<'_>, limit: Option<u32>) -> Option<usize> {
    let limit = usize::try_from(limit?).ok()?;
    harness.sequential(limit).is_ok().then_some(limit)
}

pub(super) fn open_limit(harness: &mut Harness<'_>) -> Checked {
    let (open, active) = (harness.geometry.zone_open_max, harness.geometry.zone_active_max);
    let limit = open.into_iter().chain(active).min();
    let Some(limit) = reachable(harness, limit) else { return Ok(Outcome::Skipped) };
    for n in 0..limit {
        let zone = harness.sequential(n)?.index;
        harness.order(zone, ZoneOperation::Open).map_err(text)?;
    }
    let zone = harness.sequential(limit)?.index;
    let wanted = DeviceError::TooManyOpenZones { zone };
    expect("an open order", harness.order(zone, ZoneOperation::Open), Err(wanted.clone()))?;
    let (start, unit) = (harness.geometry.zone_start_bytes(zone), harness.unit());
    let buffer = harness.pattern(13, unit);
    expect("a write", harness.write(start, buffer), Err(wanted))?;
    expect("the zone", harness.zone(zone)?.condition, Condition::Empty)?;
    let first = harness.sequential(0)?.index;
    harness.order(first, ZoneOperation::Reset).map_err(text)?;
    harness.order(zone, ZoneOperation::Open).map_err(text)?;
    Ok(Outcome::Passed)
}

pub(super) fn active_limit(harness: &mut Harness<'_>) -> Checked {
    let unit = harness.unit();
    let limit = harness.geometry.zone_active_max;
    let Some(limit) = reachable(harness, limit) else { return Ok(Outcome::Skipped) };
    for n in 0..limit {
        let start = harness.start(harness.sequential(n)?);
        let buffer = harness.pattern(14, unit);
        harness.write(start, buffer).map_err(text)?;
    }
    let zone = harness.sequential(limit)?;
    let start = harness.start(zone);
    let buffer = harness.pattern(15, unit);
    let wanted = DeviceError::TooManyOpenZones { zone: zone.index };
    expect("a write", harness.write(start, buffer), Err(wanted))?;
    // The zone written last is open still: finishing a closed one may take room that a drive has not.
    let last = harness.sequential(limit - 1)?.index;
    harness.order(last, ZoneOperation::Finish).map_err(text)?;
    let buffer = harness.pattern(15, unit);
    harness.write(start, buffer).map_err(text)?;
    harness.expect_pattern(start, 15, unit)?;
    Ok(Outcome::Passed)
}

pub(super) fn conventional(harness: &mut Harness<'_>) -> Checked {
    let Some(zone) = harness.conventional() else { return Ok(Outcome::Skipped) };
    let (start, unit) = (harness.start(zone), harness.unit());
    for place in [7, 2, 5, 2] {
        let buffer = harness.pattern(place, unit);
        harness.write(start + place * unit, buffer).map_err(text)?;
    }
    for place in [2, 5, 7] {
        harness.expect_pattern(start + place * unit, place, unit)?;
    }
    let condition = Condition::NotWritePointer;
    let wanted = DeviceError::ZoneCondition { zone: zone.index, condition };
    for operation in [ZoneOperation::Open, ZoneOperation::Close, ZoneOperation::Finish, ZoneOperation::Reset]
    {
        expect("an order", harness.order(zone.index, operation), Err(wanted.clone()))?;
    }
    harness.expect_pattern(start + 7 * unit, 7, unit)?;
    Ok(Outcome::Passed)
}

pub(super) fn order_out_of_bounds(harness: &mut Harness<'_>) -> Checked {
    let (zone, offset_bytes) = (harness.geometry.zone_count, harness.geometry.device_bytes);
    // The last zone of a disk may be shorter than the others, so that the drive ends before its place does.
    let place = harness.geometry.zone_start_bytes(zone);
    let wanted = DeviceError::OutOfBounds { offset_bytes: place.max(offset_bytes), length_bytes: 0 };
    expect("a reset", harness.order(zone, ZoneOperation::Reset), Err(wanted))?;
    Ok(Outcome::Passed)
}
