//! What is in flight together, and what ends a wait.

use std::time::Duration;

use imbrex_zoned::{DeviceError, Token};

use super::super::{Harness, Outcome};
use super::{Checked, expect, text};

pub(super) fn one_write_in_flight(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn queue_bound(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn flushes_together(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn reads_beside_write(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn zones_written_together(harness: &mut Harness<'_>) -> Checked {
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

pub(super) fn wakes(harness: &mut Harness<'_>) -> Checked {
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
