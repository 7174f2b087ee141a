//! Runs the checks that every device passes over a real drive, and destroys what it holds.
//!
//! `conformance --destroy-data /dev/nvme0n1`. It exits with 0 where the drive passed by every backend that was compiled
//! in: by the ring, and with the feature `tokio-uring` by that too.

#[path = "../tests/conformance/mod.rs"]
mod conformance;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use imbrex_zoned::kernel::KernelDevice;
use imbrex_zoned::{Backend, BufferPool, Device};

const POOL_BYTES: usize = 32 << 20;
const BACKENDS: &[Backend] = &[
    Backend::Ring,
    #[cfg(feature = "tokio-uring")]
    Backend::TokioUring,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, path] = arguments.as_slice() else { return usage() };
    if flag != "--destroy-data" {
        return usage();
    }
    match BACKENDS.iter().try_for_each(|&backend| check(backend, Path::new(path))) {
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

fn open(backend: Backend, path: &Path) -> Result<KernelDevice, String> {
    let pool = BufferPool::new(POOL_BYTES).map_err(|error| format!("no memory for buffers: {error}"))?;
    KernelDevice::open_by(backend, path, pool).map_err(|error| error.to_string())
}

fn check(backend: Backend, path: &Path) -> Result<(), String> {
    let mut device = open(backend, path)?;
    println!("{backend:?}: {:?}", device.identity());
    println!("{:?}", device.geometry());
    let tell = &mut |name: &str| {
        println!("  {name}");
        // A console that cannot be written does not stop the checks.
        let _ = std::io::stdout().flush();
    };
    let summary = conformance::run(&mut device, tell)?;
    drop(device);
    for waits in [false, true] {
        tell("a device dropped with operations in flight gives its memory back");
        conformance::drop_in_flight(Box::new(open(backend, path)?), waits)?;
    }
    println!(
        "{}: {backend:?}: {} checks passed, {} skipped {:?}, {} operations",
        path.display(),
        summary.checks,
        summary.skipped.len(),
        summary.skipped,
        summary.operations
    );
    Ok(())
}
