//! What every device must do, whatever is behind it: one list of checks, run over the simulated drives by the tests
//! and over a real one by the example `conformance`.
//!
//! The checks reset every sequential zone.

mod checks;
mod harness;

use imbrex_zoned::{Device, ZoneKind, ZoneOperation};

pub(crate) use harness::Harness;

/// What a run has done.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) checks: usize,
    pub(crate) skipped: Vec<&'static str>,
    pub(crate) operations: u64,
}

/// What became of a check that did not fail.
pub(crate) enum Outcome {
    Passed,
    /// The drive has not what the check is about.
    Skipped,
}

type Check = (&'static str, fn(&mut Harness<'_>) -> Result<Outcome, String>);

/// Runs all checks, each on a drive whose sequential zones are empty, and tells of each before it begins.
pub(crate) fn run(device: &mut dyn Device, tell: &mut dyn FnMut(&str)) -> Result<Summary, String> {
    let mut harness = Harness::new(device)?;
    let mut summary = Summary { checks: 0, skipped: Vec::new(), operations: 0 };
    for (name, check) in checks::ALL {
        tell(name);
        empty_all(&mut harness).map_err(|error| format!("before {name:?}: {error}"))?;
        match check(&mut harness).map_err(|error| format!("{name}: {error}"))? {
            Outcome::Passed => summary.checks += 1,
            Outcome::Skipped => summary.skipped.push(name),
        }
    }
    empty_all(&mut harness)?;
    summary.operations = harness.operations;
    Ok(summary)
}

/// Drops a device with operations in flight: none of its memory may be lost, and none reached by the drive afterwards.
///
/// The device is dropped once as it was opened, or once after it has waited (`waits`): its thread is then known.
pub(crate) fn drop_in_flight(mut device: Box<dyn Device>, waits: bool) -> Result<(), String> {
    let pool = device.pool().clone();
    let mut harness = Harness::new(&mut *device)?;
    if waits {
        empty_all(&mut harness)?;
    }
    let (unit, zone) = (harness.unit(), harness.sequential(0)?);
    let start = harness.start(zone);
    let length = usize::try_from(unit).map_err(|error| error.to_string())?;
    let (write, flush) = (harness.token(), harness.token());
    let buffer = harness.pattern(1, 16 * unit);
    harness.device.submit_write(write, start, buffer).map_err(|(error, _)| error.to_string())?;
    for _ in 0..16 {
        let (token, buffer) = (harness.token(), harness.buffer(unit));
        let submitted = harness.device.submit_read(token, start, buffer, length);
        submitted.map_err(|(error, _)| error.to_string())?;
    }
    harness.device.submit_flush(flush).map_err(|error| error.to_string())?;
    drop(device);
    // Memory that the drive still wrote to would change under its next owner.
    let mut next = pool.try_allocate(pool.bytes_total()).ok_or("a device that was dropped kept memory")?;
    next.fill(0x5a);
    std::thread::sleep(std::time::Duration::from_millis(20));
    match next.iter().position(|&byte| byte != 0x5a) {
        Some(byte) => Err(format!("byte {byte} was written after the device had been dropped")),
        None => Ok(()),
    }
}

fn empty_all(harness: &mut Harness<'_>) -> Result<(), String> {
    for zone in harness.report()? {
        let empty = zone.write_pointer_bytes == Some(0) && zone.condition == imbrex_zoned::Condition::Empty;
        if zone.kind == ZoneKind::SequentialWriteRequired && !empty {
            harness.order(zone.index, ZoneOperation::Reset).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
