//! `imbrexctl`: the command line of Imbrex. It holds no state: what it knows, it asks.

#![forbid(unsafe_code)]

mod byte_text;
mod calendar;
mod commands;
mod data_client;
mod error;
mod fleet;
mod http;
mod key;
mod manifest;
mod node_client;
mod options;
mod output;
mod placement;
mod progress;
mod relative_path;
mod session;
mod size;
mod table;
mod tls;
mod transfer;
mod tree;

use std::process::ExitCode;

use clap::Parser;

use error::Error;
use options::Options;

/// Exit status after Ctrl-C, as shells count it: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        // A command that is dropped takes its temporary files with it.
        tokio::select! {
            outcome = commands::run(options) => conclude(outcome),
            _ = tokio::signal::ctrl_c() => {
                output::complain("interrupted");
                ExitCode::from(INTERRUPTED)
            }
        }
    });
    // A thread that still waits for a slow disk or a closed terminal does not hold up the end.
    runtime.shutdown_background();
    code
}

fn conclude(outcome: Result<(), Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, Error::BrokenPipe) {
                output::complain(&error.to_string());
            }
            error.exit_code()
        }
    }
}
