//! `imbrex-drive`: serves the blocks of one drive.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use imbrex_drive::failure::{Failure, USAGE};
use imbrex_drive::options::Options;
use imbrex_drive::process::run;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Where the terminal has gone there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("imbrex-drive: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// One thread for all of HTTP: a drive is slower than a core, and a node has many drives. The engine has its own.
fn serve(options: Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::System { operation: "starting the runtime", source })?;
    let outcome = runtime.block_on(run(options));
    // What has not ended by now waits for a drive that does not answer.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}
