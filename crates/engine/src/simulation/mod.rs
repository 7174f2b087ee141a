//! Random operations on an engine over a simulated drive, held against a model: puts, gets, deletions, listings, scrubs,
//! reclaim, checkpoints, restarts, power cuts at any instant, and faults of every kind.
//!
//! A run is a seed: it gives the drive, the options, the faults and the operations. A run that fails is run again with
//! fewer and fewer operations, and the shortest list that fails is printed with its seed;
//! `IMBREX_SIMULATION_SEED=n cargo test --release -p imbrex-engine --lib simulation::suite` repeats it.
//! `IMBREX_SIMULATION_OPERATIONS=n` sets how many operations a suite has, `IMBREX_SIMULATION_SECONDS=n` how long it goes
//! on instead, and `IMBREX_SIMULATION_FIRST_SEED=n` where it begins.

mod answers;
mod books;
mod counts;
mod drive;
mod hiding;
mod listing;
mod model;
mod mutations;
mod operation;
mod random;
mod recovery;
mod restart;
mod setup;
mod shrink;
mod suite;
mod verifying;
mod world;

use std::env;

/// A number that an environment variable gives.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}
