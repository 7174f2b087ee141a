//! Whether the suite notices deliberate defects: each is switched on in a process of its own, which must fail.

use std::env;
use std::process::{Command, Stdio};

use super::setup::{CONVENTIONAL, FLUSHES_FAIL};
use crate::mutation::Mutation;

/// In how many operations the suite looks for one, so that a busy machine tries as many as an idle one. Most are found within
/// some thousand.
const OPERATIONS: u64 = 600_000;

const SUITE: &str = "simulation::suite::what_was_acknowledged_is_there_and_what_was_deleted_is_not";

/// What became of the suite with a defect switched on.
enum Outcome {
    /// It says by which sentence a run contradicts the model, and that run passes without the defect.
    Caught(String),
    /// It passes.
    Missed,
    /// It ended without a word of a run, or that run fails without the defect too: that proves nothing of it.
    Broken(String),
}

/// The suite in a process of its own, with the drives by which a defect shows, which is not switched on yet.
fn suite_for(mutation: Mutation) -> Command {
    let mut suite = Command::new(env::current_exe().expect("this program"));
    match mutation {
        Mutation::SkipBarrier => _ = suite.env(CONVENTIONAL, "1"),
        Mutation::SkipMoveBarrier | Mutation::ReuseAbandonedPlace => _ = suite.env(FLUSHES_FAIL, "1"),
        _ => {}
    }
    suite
        .args([SUITE, "--exact", "--nocapture"])
        .env("IMBREX_SIMULATION_OPERATIONS", OPERATIONS.to_string())
        .env("IMBREX_SIMULATION_SHRINK", "0")
        .env("IMBREX_SIMULATION_FAILURES", "1")
        .env_remove("IMBREX_MUTATION")
        .env_remove("IMBREX_SIMULATION_SEED")
        .env_remove("IMBREX_SIMULATION_SECONDS")
        .env_remove("IMBREX_SIMULATION_FIRST_SEED")
        .stdin(Stdio::null());
    suite
}

fn outcome_with(mutation: Mutation) -> Outcome {
    let suite = suite_for(mutation)
        .env("IMBREX_MUTATION", format!("{mutation:?}"))
        .output()
        .expect("the suite in a process of its own");
    if suite.status.success() {
        return Outcome::Missed;
    }
    let output = String::from_utf8_lossy(&suite.stderr).into_owned();
    let Some(verdict) = output.lines().find(|line| is_verdict(line)) else {
        return Outcome::Broken(output.lines().last().unwrap_or("no word").chars().take(150).collect());
    };
    let sentence: String = verdict.chars().take(150).collect();
    let seed = verdict.split(' ').nth(1).expect("a seed");
    let without = suite_for(mutation).env("IMBREX_SIMULATION_SEED", seed).output().expect("the seed alone");
    if without.status.success() {
        Outcome::Caught(sentence)
    } else {
        Outcome::Broken(format!("without the defect too {sentence}"))
    }
}

/// Whether a line of the suite tells of a run that failed by a check: of the model's, or one that the engine makes of
/// itself. A run that could not be set up, or for which memory was short, is no verdict.
fn is_verdict(line: &str) -> bool {
    let is_of_harness =
        ["(crates/engine/src/simulation/setup.rs", "(crates/engine/src/simulation/drive.rs", "small block"]
            .into_iter()
            .any(|part| line.contains(part));
    line.starts_with("seed ") && line.contains(" fails: ") && !is_of_harness
}

#[test]
fn every_deliberate_defect_is_noticed() {
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        match outcome_with(mutation) {
            Outcome::Caught(sentence) => println!("mutation {mutation:?}: caught: {sentence}"),
            Outcome::Missed => {
                println!("mutation {mutation:?}: NOT caught");
                missed.push(mutation);
            }
            Outcome::Broken(word) => panic!("mutation {mutation:?}: the suite ended otherwise: {word}"),
        }
    }
    let count = Mutation::ALL.len();
    println!("mutations: {} of {count} caught", count - missed.len());
    assert!(missed.is_empty(), "nobody notices {missed:?}");
}
