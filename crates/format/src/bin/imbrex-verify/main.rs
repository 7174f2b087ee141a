//! `imbrex-verify`: checks a drive that nothing serves, structure by structure, and writes nothing.
#![forbid(unsafe_code)]

mod failure;
mod options;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use imbrex_format::verify::{Report, Verdict, verify};
use imbrex_zoned::read_only;

use crate::failure::{Failure, USAGE};
use crate::options::Options;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Where the terminal has gone there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match check(&options).and_then(|report| print(&report, options.json).map(|()| report.verdict)) {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Damaged) => ExitCode::from(1),
        Ok(Verdict::Lying) => ExitCode::from(2),
        Ok(Verdict::Unsure) => ExitCode::from(3),
        Err(failure) => {
            eprintln!("imbrex-verify: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn check(options: &Options) -> Result<Report, Failure> {
    let mut drive = read_only::open(&options.drive).map_err(Failure::Open)?;
    let report = verify(&mut *drive, &options.to_verify());
    report.map_err(|error| Failure::Verify { path: options.drive.clone(), error })
}

fn print(report: &Report, as_json: bool) -> Result<(), Failure> {
    let text = if as_json {
        let json = serde_json::to_string_pretty(report);
        json.map_err(std::io::Error::other).map(|json| json + "\n")
    } else {
        Ok(report.to_string())
    };
    text.and_then(|text| std::io::stdout().write_all(text.as_bytes())).map_err(Failure::Output)
}
