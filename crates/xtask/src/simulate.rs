//! `cargo xtask simulate`: the engine's simulation for as long as is wanted, with seeds that nobody has tried.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::command::run_shown;
use crate::workspace::Workspace;

/// The test that runs it, in the crate `imbrex-engine`.
const SUITE: &str = "simulation::suite::what_was_acknowledged_is_there_and_what_was_deleted_is_not";

/// The longest run, in minutes: a week.
const MINUTES_MAX: u64 = 7 * 24 * 60;

/// Runs seed after seed for `minutes`. The seeds that were tried, and what happened in them, are printed; of a run that
/// fails, the shortest list of operations that fails too, and its seed.
///
/// # Errors
/// Where `minutes` is 0 or above a week, or a run fails.
pub fn run(workspace: &Workspace, minutes: u64) -> Result<()> {
    ensure!((1..=MINUTES_MAX).contains(&minutes), "give 1 to {MINUTES_MAX} minutes, not {minutes}");
    // A million seeds for each second since 1970: two runs never try the same ones.
    let first_seed =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() * 1_000_000);
    let arguments = ["test", "--locked", "--release", "--package", "imbrex-engine", "--lib", "--"];
    run_shown(
        Command::new("cargo")
            .current_dir(workspace.root())
            .args(arguments)
            .args([SUITE, "--exact", "--nocapture"])
            .env("IMBREX_SIMULATION_SECONDS", (minutes * 60).to_string())
            .env("IMBREX_SIMULATION_FIRST_SEED", first_seed.to_string()),
    )
}
