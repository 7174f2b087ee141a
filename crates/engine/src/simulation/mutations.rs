//! Whether the suite notices deliberate defects: each is switched on in a process of its own, which must fail.

use std::env;
use std::process::{Command, Stdio};

use super::setup::CONVENTIONAL;
use crate::mutation::Mutation;

/// How long the suite looks for one, in seconds. Most are found within one; on a busy machine it takes longer.
const SECONDS: u64 = 90;

const SUITE: &str = "simulation::suite::what_was_acknowledged_is_there_and_what_was_deleted_is_not";

/// The sentence with which the suite fails; `None` where it passes.
fn caught_by(mutation: Mutation) -> Option<String> {
    let mut suite = Command::new(env::current_exe().expect("this program"));
    if mutation == Mutation::SkipBarrier {
        suite.env(CONVENTIONAL, "1");
    }
    let suite = suite
        .args([SUITE, "--exact", "--nocapture"])
        .env("IMBREX_MUTATION", format!("{mutation:?}"))
        .env("IMBREX_SIMULATION_SECONDS", SECONDS.to_string())
        .env("IMBREX_SIMULATION_SHRINK", "0")
        .env("IMBREX_SIMULATION_FAILURES", "1")
        .env_remove("IMBREX_SIMULATION_SEED")
        .stdin(Stdio::null())
        .output()
        .expect("the suite in a process of its own");
    if suite.status.success() {
        return None;
    }
    let output = String::from_utf8_lossy(&suite.stderr).into_owned();
    let sentence = output.lines().find(|line| line.contains(" fails: ")).unwrap_or("it ended otherwise");
    Some(sentence.chars().take(150).collect())
}

#[test]
fn every_deliberate_defect_is_noticed() {
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        match caught_by(mutation) {
            Some(sentence) => println!("mutation {mutation:?}: caught: {sentence}"),
            None => {
                println!("mutation {mutation:?}: NOT caught");
                missed.push(mutation);
            }
        }
    }
    let count = Mutation::ALL.len();
    println!("mutations: {} of {count} caught", count - missed.len());
    assert!(missed.is_empty(), "nobody notices {missed:?}");
}
