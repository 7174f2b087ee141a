//! `imbrex-agent`: the management API of a node.
//!
//! Rules that hold throughout:
//!
//! - The agent is not in the data path: when it dies, blocks are still served.
//! - It never opens a disk. It asks init, the drives' processes, smartctl and sysfs, and answers for
//!   all of them.
//! - Nobody it asks can hold it up: every question has a deadline, every answer a length, every list a bound.
//! - What it does not know is `null` or `unknown`.

#![forbid(unsafe_code)]

mod certificate;
mod configuration;
mod drive_client;
mod enclosure;
mod fetch_config;
mod file;
mod format_rules;
mod health;
mod http_client;
mod init_client;
mod inventory;
mod next_kernel;
mod options;
mod procfs;
mod readiness;
mod redfish;
mod routes;
mod serve;
mod server;
mod sysfs;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use options::{Command, Options};

/// Threads for what may block: name look-ups and sysfs.
const BLOCKING_THREADS_MAX: usize = 8;

/// When the agent ends, threads that hang in the kernel are left behind after this.
const BLOCKING_GRACE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let result = match &runtime {
        Ok(runtime) => runtime.block_on(run(&options)),
        Err(error) => Err(format!("the runtime could not be started: {error}")),
    };
    if let Ok(runtime) = runtime {
        runtime.shutdown_timeout(BLOCKING_GRACE);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("imbrex-agent: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), String> {
    match &options.command {
        None => serve::run(&options.serve).await,
        Some(Command::FetchConfig(fetch)) => {
            println!("{}", fetch_config::run(fetch).await?);
            Ok(())
        }
    }
}
