//! Random operations on an engine over a simulated drive, held against a model: puts, gets, deletions, listings,
//! restarts, and power cuts while requests are under way.
//!
//! Every run has a seed. A failure prints it; `IMBREX_SIMULATION_SEED=n cargo test --release -p imbrex-engine
//! simulation` replays that run alone, and `IMBREX_SIMULATION_RUNS=n` sets how many runs there are.

mod model;
mod random;
mod world;

use std::env;

use random::Random;
use world::{Counts, World};

const RUNS: u64 = 250;
const STEPS: u32 = 300;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Prints the seed of a run that ends in a panic.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay this run with IMBREX_SIMULATION_SEED={}", self.0);
        }
    }
}

fn run(seed: u64, counts: &mut Counts) {
    let guard = SeedOnPanic(seed);
    let mut world = World::new(Random::new(seed));
    for _ in 0..STEPS {
        world.step();
    }
    world.end(counts);
    drop(guard);
}

#[test]
fn no_acknowledged_block_is_lost_and_no_acknowledged_deletion_comes_back() {
    let mut counts = Counts::default();
    match number("IMBREX_SIMULATION_SEED") {
        Some(seed) => run(seed, &mut counts),
        None => (0..number("IMBREX_SIMULATION_RUNS").unwrap_or(RUNS)).for_each(|seed| run(seed, &mut counts)),
    }
    println!("simulation: {counts}");
    if number("IMBREX_SIMULATION_SEED").is_none() {
        counts.assert_everything_happened();
    }
}
