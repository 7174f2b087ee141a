//! One random sequence of operations over a real zoned drive and over a simulated one of the same shape: the same
//! answers, the same zones, the same bytes. It destroys what the real drive holds.
//!
//! `differential --destroy-data DRIVE [--seed N] [--operations N] [--wear-out FOLDER]`. The folder is that of a
//! `null_blk` drive in configfs, by which single zones are set read-only or offline. It exits with 0 where both drives
//! agreed on everything but the differences that the standards leave open, which are counted by name.

#![forbid(unsafe_code)]

mod differences;
mod operation;
mod random;
mod run;
mod side;
mod steps;
mod twin;
mod wear;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use imbrex_zoned::kernel::KernelDevice;
use imbrex_zoned::{BufferPool, Device};

use run::{Run, Summary};
use wear::Wear;

/// The buffers of each drive, in bytes.
const POOL_BYTES: usize = 16 << 20;

const USAGE: &str = "usage: differential --destroy-data DRIVE [--seed N] [--operations N] [--wear-out FOLDER] (all \
                     that the drive holds is lost)";

struct Arguments {
    drive: PathBuf,
    seed: u64,
    operations: u64,
    wear_out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(arguments) = arguments(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let at = format!("{}, seed {}", arguments.drive.display(), arguments.seed);
    match compare(&arguments) {
        Ok(summary) => {
            println!("{at}: {summary}");
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
    let mut arguments = Arguments { drive: PathBuf::new(), seed: 1, operations: 1000, wear_out: None };
    for [name, value] in pairs {
        match name.as_str() {
            "--destroy-data" => arguments.drive = value.into(),
            "--seed" => arguments.seed = value.parse().ok()?,
            "--operations" => arguments.operations = value.parse().ok()?,
            "--wear-out" => arguments.wear_out = Some(value.into()),
            _ => return None,
        }
    }
    (rest.is_empty() && arguments.drive != Path::new("")).then_some(arguments)
}

fn compare(arguments: &Arguments) -> Result<Summary, String> {
    let pool = || BufferPool::new(POOL_BYTES).map_err(|error| format!("no memory for buffers: {error}"));
    let mut kernel = KernelDevice::open(&arguments.drive, pool()?).map_err(|error| error.to_string())?;
    println!("{:?}", kernel.geometry());
    let mut simulated = twin::of(&mut kernel, pool()?)?;
    let wear = arguments.wear_out.clone().map(|folder| Wear::new(folder, simulated.drive()));
    let mut run = Run::new(&mut kernel, &mut simulated, wear, arguments.seed)?;
    run.go(arguments.operations)
}
