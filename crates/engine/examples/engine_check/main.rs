//! The engine over a real zoned drive and over a simulated one of the same shape: one random sequence of puts, gets,
//! heads, deletions, listings and restarts on each, held against a model, and every answer the same on both.
//!
//! `engine_check --destroy-data DRIVE [--seed N] [--operations N]`; over a drive of which some sectors cannot be read,
//! `engine_check --destroy-data DRIVE --media-errors yes`; and without any drive, over a simulated one of so many zones of
//! 2 MiB, `engine_check --simulated ZONES`. It exits with 0 where all was as it must be.

#![forbid(unsafe_code)]

mod client;
mod digest;
mod drives;
mod media_errors;
mod model;
mod random;
mod run;
#[path = "../../../zoned/examples/differential/twin.rs"]
mod twin;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drives::{Drive, KernelDrive, Twin};
use run::{Run, Summary};

const USAGE: &str = "usage: engine_check --destroy-data DRIVE | --simulated ZONES [--seed N] [--operations N] \
                     [--media-errors yes] (all that the drive holds is lost)";

struct Arguments {
    drive: PathBuf,
    simulated_zones: Option<u32>,
    seed: u64,
    operations: u64,
    media_errors: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(arguments) = arguments(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let name = match arguments.simulated_zones {
        Some(zones) => format!("{zones} simulated zones"),
        None => arguments.drive.display().to_string(),
    };
    let at = format!("{name}, seed {}", arguments.seed);
    match check(&arguments) {
        Ok(said) => {
            println!("{at}: {said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{at}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(words: &[String]) -> Option<Arguments> {
    let (pairs, rest) = words.as_chunks::<2>();
    let mut arguments = Arguments {
        drive: PathBuf::new(),
        simulated_zones: None,
        seed: 1,
        operations: 2000,
        media_errors: false,
    };
    for [name, value] in pairs {
        match name.as_str() {
            "--destroy-data" => arguments.drive = value.into(),
            "--simulated" => arguments.simulated_zones = Some(value.parse().ok()?),
            "--seed" => arguments.seed = value.parse().ok()?,
            "--operations" => arguments.operations = value.parse().ok()?,
            "--media-errors" => arguments.media_errors = value == "yes",
            _ => return None,
        }
    }
    let is_named = arguments.drive != Path::new("");
    (rest.is_empty() && is_named != arguments.simulated_zones.is_some()).then_some(arguments)
}

fn check(arguments: &Arguments) -> Result<String, String> {
    if let Some(zones) = arguments.simulated_zones {
        let summary = run_on("the simulated drive", &mut Twin::of_zones(zones)?, arguments)?;
        return Ok(format!(
            "{} answers as the model has them, digest {:016x}",
            summary.answers, summary.digest
        ));
    }
    let mut real = KernelDrive::new(&arguments.drive);
    if arguments.media_errors {
        return media_errors::check(&mut real, arguments.seed);
    }
    let mut twin = Twin::of(&real)?;
    let on_real = run_on("the kernel's drive", &mut real, arguments)?;
    let on_twin = run_on("the simulated drive", &mut twin, arguments)?;
    if on_real.digest != on_twin.digest {
        return Err(format!(
            "the answers differ: their digest is {:016x} on the kernel's drive and {:016x} on the simulated one",
            on_real.digest, on_twin.digest
        ));
    }
    Ok(format!("{on_real}; the same {} answers on both, digest {:016x}", on_real.answers, on_real.digest))
}

fn run_on(name: &str, drive: &mut dyn Drive, arguments: &Arguments) -> Result<Summary, String> {
    let told = |error: String| format!("{name}: {error}");
    let summary =
        Run::start(drive, arguments.seed).and_then(|run| run.go(arguments.operations)).map_err(told)?;
    println!("  {name}: {summary}");
    Ok(summary)
}
