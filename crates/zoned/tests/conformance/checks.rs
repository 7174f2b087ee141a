//! The checks, each one sentence that it proves.

use std::fmt::Debug;
use std::time::Duration;

use imbrex_zoned::{Condition, DeviceError, Token, ZoneKind, ZoneOperation};

use super::{Check, Harness, Outcome};

type Checked = Result<Outcome, String>;

/// All checks.
pub(crate) const ALL: [Check; 22] = [
    ("the report describes every zone in order", report_is_whole),
    ("a write at the pointer moves it and comes back", write_moves_pointer),
    ("a write of many MiB comes back whole and in pieces", large_write),
    ("a read beyond the write pointer succeeds", read_beyond_pointer),
    ("a range that is not made of whole units is refused", unaligned_is_refused),
    ("a write elsewhere than at the pointer is refused and moves nothing", misplaced_write_is_refused),
    ("nothing goes beyond a zone's capacity or the drive's end", bounds_are_kept),
    ("a zone written to its capacity is full", written_full),
    ("a finished zone keeps its data and takes no more", finished),
    ("a reset zone is empty and can be written anew", reset),
    ("a zone is opened and closed by order", open_and_close),
    ("one zone more than may be open is refused", open_limit),
    ("writes to one zone more than may be active are refused", active_limit),
    ("a conventional zone is written anywhere and takes no orders", conventional),
    ("an order to a zone that is not there is refused", order_out_of_bounds),
    ("a second write in flight in a zone is refused", one_write_in_flight),
    ("as many operations as promised are in flight, and no more", queue_bound),
    ("a flush succeeds with and without writes before it", flush),
    ("flushes beside a write and beside each other all succeed", flushes_together),
    ("many reads beside a write in flight return what was there before it", reads_beside_write),
    ("writes to several zones in flight together all come back", zones_written_together),
    ("a wake ends a wait, is kept for the next, and a timeout ends one too", wakes),
];

#[expect(clippy::needless_pass_by_value, reason = "a check compares values that it makes for the purpose")]
fn expect<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: found {found:?} instead of {wanted:?}")) }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn text(error: DeviceError) -> String {
    error.to_string()
}

fn report_is_whole(harness: &mut Harness<'_>) -> Checked {
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

fn write_moves_pointer(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    for n in 0..5 {
        let buffer = harness.pattern(n, unit);
        harness.write(start + n * unit, buffer).map_err(text)?;
    }
    let found = harness.zone(zone.index)?;
    let wanted = (Condition::ImplicitOpen, Some(5 * unit));
    expect("the zone", (found.condition, found.write_pointer_bytes), wanted)?;
    for n in (0..5).rev() {
        harness.expect_pattern(start + n * unit, n, unit)?;
    }
    Ok(Outcome::Passed)
}

fn large_write(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let room = zone.capacity_bytes / unit - 1;
    let bytes = (room * unit).min((5 << 20) + unit);
    let first = harness.pattern(1, unit);
    harness.write(start, first).map_err(text)?;
    let buffer = harness.pattern(2, bytes);
    harness.write(start + unit, buffer).map_err(text)?;
    harness.expect_pattern(start + unit, 2, bytes)?;
    let wanted = harness.pattern(2, bytes);
    for at in (0..bytes).step_by(96 << 10) {
        let length = (96 << 10).min(bytes - at);
        let piece = harness.read(start + unit + at, length).map_err(text)?;
        let at = usize::try_from(at).map_err(|error| error.to_string())?;
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        expect("a piece", piece[..length] == wanted[at..at + length], true)?;
    }
    Ok(Outcome::Passed)
}

fn read_beyond_pointer(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    harness.read(start, unit).map_err(text)?;
    let buffer = harness.pattern(3, unit);
    harness.write(start, buffer).map_err(text)?;
    let both = harness.read(start, 2 * unit).map_err(text)?;
    let wanted = harness.pattern(3, unit);
    expect("the written part", both[..wanted.len()] == wanted[..], true)?;
    harness.read(start + zone.capacity_bytes - unit, unit).map_err(text)?;
    Ok(Outcome::Passed)
}

fn unaligned_is_refused(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let block = u64::from(harness.geometry.logical_block_bytes);
    for (offset, length) in [(block / 2, unit), (0, block / 2)] {
        let wanted = DeviceError::Unaligned { offset_bytes: start + offset, length_bytes: length };
        expect("a read", harness.read(start + offset, length).err(), Some(wanted))?;
    }
    let buffer = harness.pattern(4, unit);
    let wanted = DeviceError::Unaligned { offset_bytes: start + block / 2, length_bytes: unit };
    expect("a write", harness.write(start + block / 2, buffer), Err(wanted))?;
    Ok(Outcome::Passed)
}

fn misplaced_write_is_refused(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let buffer = harness.pattern(5, 2 * unit);
    harness.write(start, buffer).map_err(text)?;
    for at in [0, unit, 3 * unit] {
        let wanted = DeviceError::NotAtWritePointer {
            zone: zone.index,
            write_pointer_bytes: 2 * unit,
            offset_bytes: at,
        };
        let buffer = harness.pattern(6, unit);
        expect("a write elsewhere", harness.write(start + at, buffer), Err(wanted))?;
    }
    expect("the pointer", harness.zone(zone.index)?.write_pointer_bytes, Some(2 * unit))?;
    harness.expect_pattern(start, 5, 2 * unit)?;
    Ok(Outcome::Passed)
}

fn bounds_are_kept(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let last_unit = start + zone.capacity_bytes - unit;
    for offset in [last_unit, harness.geometry.device_bytes - unit, harness.geometry.device_bytes] {
        let wanted = DeviceError::OutOfBounds { offset_bytes: offset, length_bytes: 2 * unit };
        expect("a read", harness.read(offset, 2 * unit).err(), Some(wanted.clone()))?;
        let buffer = harness.pattern(7, 2 * unit);
        expect("a write", harness.write(offset, buffer), Err(wanted))?;
    }
    Ok(Outcome::Passed)
}

fn written_full(harness: &mut Harness<'_>) -> Checked {
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

fn finished(harness: &mut Harness<'_>) -> Checked {
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

fn reset(harness: &mut Harness<'_>) -> Checked {
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

fn open_and_close(harness: &mut Harness<'_>) -> Checked {
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

fn open_limit(harness: &mut Harness<'_>) -> Checked {
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

fn active_limit(harness: &mut Harness<'_>) -> Checked {
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

fn conventional(harness: &mut Harness<'_>) -> Checked {
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

fn order_out_of_bounds(harness: &mut Harness<'_>) -> Checked {
    let (zone, offset_bytes) = (harness.geometry.zone_count, harness.geometry.device_bytes);
    // The last zone of a disk may be shorter than the others, so that the drive ends before its place does.
    let place = harness.geometry.zone_start_bytes(zone);
    let wanted = DeviceError::OutOfBounds { offset_bytes: place.max(offset_bytes), length_bytes: 0 };
    expect("a reset", harness.order(zone, ZoneOperation::Reset), Err(wanted))?;
    Ok(Outcome::Passed)
}

fn one_write_in_flight(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let (first, second) = (harness.token(), harness.token());
    let buffer = harness.pattern(16, unit);
    harness.device.submit_write(first, start, buffer).map_err(|(error, _)| text(error))?;
    let buffer = harness.pattern(17, unit);
    harness.device.submit_write(second, start + unit, buffer).map_err(|(error, _)| text(error))?;
    let mut completions = harness.complete(2)?;
    completions.sort_by_key(|completion| completion.token.0);
    expect("the first write", completions[0].result.clone(), Ok(()))?;
    let refused = matches!(completions[1].result, Err(DeviceError::NotAtWritePointer { .. }));
    expect("the second write is refused", refused, true)?;
    drop(completions);
    harness.expect_pattern(start, 16, unit)?;
    expect("the pointer", harness.zone(zone.index)?.write_pointer_bytes, Some(unit))?;
    Ok(Outcome::Passed)
}

fn queue_bound(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let buffer = harness.pattern(18, 8 * unit);
    harness.write(start, buffer).map_err(text)?;
    let bound = harness.device.in_flight_max();
    let mut wanted: Vec<(Token, u64)> = Vec::new();
    for n in 0..bound as u64 {
        let token = harness.token();
        let (place, length) = (n % 8, usize::try_from(unit).unwrap_or(usize::MAX));
        let buffer = harness.buffer(unit);
        let submitted = harness.device.submit_read(token, start + place * unit, buffer, length);
        submitted.map_err(|(error, _)| format!("read {n} of {bound}: {error}"))?;
        wanted.push((token, place));
    }
    let token = harness.token();
    expect("a flush too many", harness.device.submit_flush(token), Err(DeviceError::QueueFull))?;
    let buffer = harness.buffer(unit);
    let refused = harness.device.submit_read(token, start, buffer, 0).map_err(|(error, _)| error);
    expect("a read too many", refused, Err(DeviceError::QueueFull))?;
    let pattern = harness.pattern(18, 8 * unit);
    let mut completions = harness.complete(bound)?;
    completions.sort_by_key(|completion| completion.token.0);
    let unit = usize::try_from(unit).map_err(|error| error.to_string())?;
    for (completion, (token, place)) in completions.iter().zip(wanted) {
        expect("each token once", completion.token, token)?;
        expect("a read", completion.result.clone(), Ok(()))?;
        let at = usize::try_from(place).map_err(|error| error.to_string())? * unit;
        let buffer = completion.buffer.as_ref().ok_or("a read hands its buffer back")?;
        expect("its bytes", buffer[..unit] == pattern[at..at + unit], true)?;
    }
    Ok(Outcome::Passed)
}

fn flush(harness: &mut Harness<'_>) -> Checked {
    harness.flush().map_err(text)?;
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let buffer = harness.pattern(19, unit);
    harness.write(start, buffer).map_err(text)?;
    harness.flush().map_err(text)?;
    harness.expect_pattern(start, 19, unit)?;
    Ok(Outcome::Passed)
}

fn flushes_together(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let token = harness.token();
    let buffer = harness.pattern(20, 4 * unit);
    harness.device.submit_write(token, start, buffer).map_err(|(error, _)| text(error))?;
    for _ in 0..4 {
        let token = harness.token();
        harness.device.submit_flush(token).map_err(text)?;
    }
    for completion in harness.complete(5)? {
        expect("an operation", completion.result, Ok(()))?;
    }
    harness.expect_pattern(start, 20, 4 * unit)?;
    Ok(Outcome::Passed)
}

fn reads_beside_write(harness: &mut Harness<'_>) -> Checked {
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let before = harness.pattern(21, 8 * unit);
    harness.write(start, before).map_err(text)?;
    let bytes = ((zone.capacity_bytes / unit - 8) * unit).min(4 << 20);
    let write = harness.token();
    let buffer = harness.pattern(22, bytes);
    harness.device.submit_write(write, start + 8 * unit, buffer).map_err(|(error, _)| text(error))?;
    let reads = harness.device.in_flight_max().min(64) - 1;
    let length = usize::try_from(unit).map_err(|error| error.to_string())?;
    let mut places = std::collections::BTreeMap::new();
    for n in 0..reads {
        let (token, place) = (harness.token(), n % 8);
        let buffer = harness.buffer(unit);
        let offset = start + place as u64 * unit;
        harness.device.submit_read(token, offset, buffer, length).map_err(|(error, _)| text(error))?;
        places.insert(token.0, place);
    }
    let pattern = harness.pattern(21, 8 * unit);
    for completion in harness.complete(reads + 1)? {
        expect("an operation", completion.result, Ok(()))?;
        let buffer = completion.buffer.ok_or("a transfer hands its buffer back")?;
        if let Some(place) = places.remove(&completion.token.0) {
            let wanted = &pattern[place * length..(place + 1) * length];
            expect("what was read", buffer[..length] == *wanted, true)?;
        }
    }
    expect("reads that never completed", places.len(), 0)?;
    drop(pattern);
    harness.expect_pattern(start + 8 * unit, 22, bytes)?;
    Ok(Outcome::Passed)
}

fn zones_written_together(harness: &mut Harness<'_>) -> Checked {
    let (open, active) = (harness.geometry.zone_open_max, harness.geometry.zone_active_max);
    let limit = open.into_iter().chain(active).min().map_or(4, |limit| limit as usize).min(4);
    let unit = harness.unit();
    let mut starts = Vec::new();
    for n in 0..limit {
        starts.push(harness.start(harness.sequential(n)?));
    }
    for round in 0..4 {
        for (seed, start) in (30..).zip(&starts) {
            let token = harness.token();
            let buffer = harness.pattern(seed + 10 * round, 4 * unit);
            let submitted = harness.device.submit_write(token, start + round * 4 * unit, buffer);
            submitted.map_err(|(error, _)| text(error))?;
        }
        for completion in harness.complete(limit)? {
            expect("a write", completion.result, Ok(()))?;
        }
    }
    for (seed, start) in (30..).zip(starts) {
        for round in 0..4 {
            harness.expect_pattern(start + round * 4 * unit, seed + 10 * round, 4 * unit)?;
        }
    }
    Ok(Outcome::Passed)
}

fn wakes(harness: &mut Harness<'_>) -> Checked {
    let mut completions = Vec::new();
    let waker = harness.device.waker();
    waker.wake();
    harness.device.wait(None, &mut completions).map_err(text)?;
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        waker.wake();
    });
    harness.device.wait(None, &mut completions).map_err(text)?;
    thread.join().map_err(|_| "the waking thread panicked")?;
    for timeout in [Duration::ZERO, Duration::from_millis(5)] {
        harness.device.wait(Some(timeout), &mut completions).map_err(text)?;
    }
    expect("completions", completions.len(), 0)?;
    Ok(Outcome::Passed)
}
