//! The developer's commands: `cargo xtask image | up | test | bench`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::demonstration::{self, Request};
use xtask::workspace::Workspace;
use xtask::{bench, binaries, host_packages, image, simulate, test_run};

/// The developer's commands of Imbrex.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the programs and the image: target/imbrex/image.
    Image,
    /// Boot a node in QEMU, store files on it, cut its power, and read every byte back.
    Up {
        /// The file or folder to store [default: target/doc, or a part of /usr/share].
        path: Option<PathBuf>,
        /// Stop at the end, with a status, instead of leaving the node running.
        #[arg(long)]
        check: bool,
        /// Boot over the network, by iPXE and TFTP.
        #[arg(long)]
        pxe: bool,
        /// Port of 127.0.0.1 that leads to the node's management API.
        #[arg(long, default_value_t = 7400)]
        port: u16,
        /// Port of 127.0.0.1 of the first drive's data API; the others follow.
        #[arg(long, default_value_t = 7500)]
        port_first: u16,
        /// Boot the image in this folder, and build none.
        #[arg(long, value_name = "FOLDER")]
        image: Option<PathBuf>,
    },
    /// Run every test: formatting, lints, unit, simulation and end-to-end.
    Test,
    /// Run the engine's simulation with fresh seeds for some minutes.
    Simulate {
        /// For how many minutes.
        #[arg(long)]
        minutes: u64,
    },
    /// Measure every target of the design, and what a user would pick instead, on the same disk.
    Bench {
        /// Write what was found to this file, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Run this part alone (ingest, reads, backends, loopback, simulated-ingest, index, churn, mounts, scrub, comparison); may be given several times.
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Take small sizes: some 5 minutes instead of 25, after the programs are built.
        #[arg(long)]
        quick: bool,
        /// A folder on the disk under test [default: below target/].
        #[arg(long, value_name = "FOLDER")]
        directory: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    if !matches!(command, Command::Bench { .. } | Command::Simulate { .. }) {
        host_packages::ensure()?;
    }
    match command {
        Command::Image => {
            binaries::build(&workspace)?;
            let image = image::build(&workspace)?;
            println!("{}", image.folder.display());
            Ok(())
        }
        Command::Up { path, check, pxe, port, port_first, image } => {
            let request = Request { path, check, network_boot: pxe, agent_port: port, port_first, image };
            demonstration::run(&workspace, &request)
        }
        Command::Test => test_run::run(&workspace),
        Command::Simulate { minutes } => simulate::run(&workspace, minutes),
        Command::Bench { json, only, quick, directory } => {
            bench::run(&workspace, &bench::Request { json, only, quick, directory })
        }
    }
}
