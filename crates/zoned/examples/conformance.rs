//! Runs the checks that every device passes over a real drive, and destroys what it holds.
//!
//! `conformance --destroy-data /dev/nvme0n1`. It exits with 0 where the drive passed.

#[path = "../tests/conformance/mod.rs"]
mod conformance;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use imbrex_zoned::kernel::KernelDevice;
use imbrex_zoned::{BufferPool, Device};

const POOL_BYTES: usize = 32 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, path] = arguments.as_slice() else { return usage() };
    if flag != "--destroy-data" {
        return usage();
    }
    match check(Path::new(path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: conformance --destroy-data DRIVE (all that the drive holds is lost)");
    ExitCode::from(2)
}

fn check(path: &Path) -> Result<(), String> {
    let pool = BufferPool::new(POOL_BYTES).map_err(|error| format!("no memory for buffers: {error}"))?;
    let mut device = KernelDevice::open(path, pool).map_err(|error| error.to_string())?;
    println!("{:?}", device.identity());
    println!("{:?}", device.geometry());
    let tell = &mut |name: &str| {
        println!("  {name}");
        // A console that cannot be written does not stop the checks.
        let _ = std::io::stdout().flush();
    };
    let summary = conformance::run(&mut device, tell)?;
    println!(
        "{}: {} checks passed, {} skipped {:?}, {} operations",
        path.display(),
        summary.checks,
        summary.skipped.len(),
        summary.skipped,
        summary.operations
    );
    Ok(())
}
