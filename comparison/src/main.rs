//! `compare`: one workload over Imbrex's engine and over what a user would pick instead. `cargo xtask bench` runs it.
//!
//! - A process runs one contender, so that CPU and memory are its own.
//! - Every result is a line of JSON on standard output; what a person may want to see meanwhile is on standard error.
//! - A seed names the run: the same keys, payloads and choices come again.

#![forbid(unsafe_code)]

mod contender;
mod drive_file;
mod engine_run;
mod file_per_block;
mod fjall_store;
mod imbrex;
mod latency;
mod meters;
mod noise;
mod random;
mod rocks;
mod suite;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::contender::Contender;
use crate::drive_file::{Backend, Shape};

/// All of the engine's buffers together where it is compared, in bytes: the default of `imbrex-drive`.
const POOL_BYTES: usize = 64 << 20;
/// A zone has this many blocks where it is compared, within bounds in bytes. With zones of 256 MiB, as disks have them, a
/// small drive file would have so few that those which are kept free were a large part of it.
const BLOCKS_PER_ZONE: u64 = 16;
const ZONE_BYTES_MIN: u64 = 4 << 20;
const ZONE_BYTES_MAX: u64 = 64 << 20;

/// Runs one workload over one store and prints what it cost.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every phase over one contender, in a folder of a file system that it has to itself.
    Store(StoreArguments),
    /// Imbrex's engine alone: streams of puts, then reads.
    Engine(EngineArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    Xfs,
    Ext4,
    Rocksdb,
    Fjall,
    Imbrex,
}

#[derive(Args)]
struct StoreArguments {
    #[arg(long)]
    contender: Name,
    /// A folder in an empty file system.
    #[arg(long)]
    folder: PathBuf,
    /// The name in /sys/block of the device below it, whose traffic is counted.
    #[arg(long)]
    block_device: String,
    #[arg(long)]
    block_bytes: usize,
    /// How long a phase lasts at most.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fill the disk to 80 % afterwards, delete and rewrite at random, and measure again.
    #[arg(long)]
    aged: bool,
    /// How Imbrex reaches its drive file.
    #[arg(long, default_value = "io-uring")]
    backend: Backend,
}

#[derive(Args)]
struct EngineArguments {
    /// The drive file, which must not exist.
    #[arg(long)]
    file: PathBuf,
    #[arg(long)]
    size_bytes: u64,
    #[arg(long, default_value = "io-uring")]
    backend: Backend,
    #[arg(long)]
    block_bytes: usize,
    #[arg(long)]
    streams: u64,
    /// Bytes that all streams together have under way.
    #[arg(long, default_value_t = 32 << 20)]
    window_bytes: u64,
    #[arg(long)]
    ingest_bytes: u64,
    /// Reads of present keys afterwards, and as many of absent ones.
    #[arg(long, default_value_t = 0)]
    gets: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
    match command {
        Command::Store(arguments) => store(arguments),
        Command::Engine(arguments) => engine_run::run(&engine_run::Plan {
            file: arguments.file,
            size_bytes: arguments.size_bytes,
            backend: arguments.backend,
            block_bytes: arguments.block_bytes,
            streams: arguments.streams,
            window_bytes: arguments.window_bytes,
            ingest_bytes: arguments.ingest_bytes,
            gets: arguments.gets,
            seed: arguments.seed,
        }),
    }
}

fn store(arguments: StoreArguments) -> Result<()> {
    let folder = arguments.folder.join("blocks");
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = arguments.contender.to_possible_value().map(|value| value.get_name().to_owned());
    let plan = suite::Plan {
        name: name.unwrap_or_default(),
        folder,
        block_device: arguments.block_device,
        block_bytes: arguments.block_bytes,
        seconds: arguments.seconds,
        seed: arguments.seed,
        aged: arguments.aged,
    };
    let contender = make(arguments.contender, &plan, arguments.backend)?;
    println!("{}", json!({ "contender": plan.name, "what": contender.describe() }));
    let mut suite = suite::Suite::new(&plan, &*contender)?;
    suite.run(|line| {
        println!("{}", serde_json::to_string(line)?);
        Ok(())
    })
}

fn make(name: Name, plan: &suite::Plan, backend: Backend) -> Result<Box<dyn Contender>> {
    let folder = &plan.folder;
    Ok(match name {
        Name::Xfs => Box::new(file_per_block::FilePerBlock::create(folder, "XFS", plan.block_bytes)?),
        Name::Ext4 => Box::new(file_per_block::FilePerBlock::create(folder, "ext4", plan.block_bytes)?),
        Name::Rocksdb => Box::new(rocks::Rocks::create(folder)?),
        Name::Fjall => Box::new(fjall_store::Fjall::create(folder)?),
        Name::Imbrex => {
            let status = nix::sys::statvfs::statvfs(folder)?;
            let free_bytes = status.blocks_available() * status.fragment_size();
            // The drive file takes all but a hundredth of the file system: its own metadata stay small.
            let size_bytes = free_bytes / 100 * 99;
            let blocks_max = size_bytes / plan.block_bytes as u64 + 1;
            let zone_bytes =
                (plan.block_bytes as u64 * BLOCKS_PER_ZONE).clamp(ZONE_BYTES_MIN, ZONE_BYTES_MAX);
            let shape = Shape { size_bytes, zone_bytes, pool_bytes: POOL_BYTES, blocks_max };
            Box::new(imbrex::create(&folder.join("drive"), backend, &shape)?)
        }
    })
}
