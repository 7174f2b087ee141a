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

fn empty_all(harness: &mut Harness<'_>) -> Result<(), String> {
    for zone in harness.report()? {
        let empty = zone.write_pointer_bytes == Some(0) && zone.condition == imbrex_zoned::Condition::Empty;
        if zone.kind == ZoneKind::SequentialWriteRequired && !empty {
            harness.order(zone.index, ZoneOperation::Reset).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
