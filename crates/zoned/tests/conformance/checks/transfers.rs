//! What is written comes back, and what cannot be written or read is refused.

use imbrex_zoned::{Condition, DeviceError};

use super::super::{Harness, Outcome};
use super::{Checked, expect, text};

pub(super) fn write_moves_pointer(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn large_write(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn read_beyond_pointer(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn unaligned_is_refused(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn misplaced_write_is_refused(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn bounds_are_kept(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn flush(harness: &mut Harness<'_>) -> Checked {
    harness.flush().map_err(text)?;
    let zone = harness.sequential(0)?;
    let (start, unit) = (harness.start(zone), harness.unit());
    let buffer = harness.pattern(19, unit);
    harness.write(start, buffer).map_err(text)?;
    harness.flush().map_err(text)?;
    harness.expect_pattern(start, 19, unit)?;
    Ok(Outcome::Passed)
}
