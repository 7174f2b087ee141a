//! Many runs, on all processors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::number;
use super::operation::operations;
use super::setup::{FLUSHES_FAIL, Setup};
use super::shrink::{note_panics, run, shrink};

/// How many operations a suite has where nothing else is said.
const OPERATIONS: u64 = 1_000_000;

/// From how many operations on each kind of fault must have struck: the rarest strikes about once in 11,000 (93
/// times in the million of seeds 0 to 1667), so that no suite misses it by chance.
const OPERATIONS_WITH_EVERY_FAULT: u64 = 200_000;

/// How many runs may fail before a suite ends where nothing else is said.
const FAILURES_MAX: u64 = 3;

/// When a suite ends.
#[derive(Clone, Copy)]
enum Until {
    Operations(u64),
    Over(Instant),
}

impl Until {
    #[expect(clippy::disallowed_methods, reason = "how long the suite goes on is no part of a run")]
    fn is_reached(self, operations: u64) -> bool {
        match self {
            Self::Operations(wanted) => operations >= wanted,
            Self::Over(end) => Instant::now() >= end,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how long the suite goes on is no part of a run")]
    fn of_environment() -> Self {
        match number("IMBREX_SIMULATION_SECONDS") {
            Some(seconds) => Self::Over(Instant::now() + Duration::from_secs(seconds)),
            None => Self::Operations(number("IMBREX_SIMULATION_OPERATIONS").unwrap_or(OPERATIONS)),
        }
    }
}

struct Suite {
    until: Until,
    failures_max: u64,
    next_seed: AtomicU64,
    operations: AtomicU64,
    counts: Mutex<Counts>,
    failures: Mutex<Vec<String>>,
}

impl Suite {
    fn new(first_seed: u64, until: Until) -> Self {
        Self {
            until,
            failures_max: number("IMBREX_SIMULATION_FAILURES").unwrap_or(FAILURES_MAX),
            next_seed: AtomicU64::new(first_seed),
            operations: AtomicU64::new(0),
            counts: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Runs seed after seed until the suite is over.
    fn work(&self) {
        let mut counts = Counts::default();
        while !self.until.is_reached(self.operations.load(Ordering::Relaxed))
            && (self.failures.lock().unwrap().len() as u64) < self.failures_max
        {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            match run_seed(seed) {
                Ok(run) => {
                    self.operations.fetch_add(run.operations, Ordering::Relaxed);
                    counts += &run;
                }
                Err(failure) => self.failures.lock().unwrap().push(failure),
            }
        }
        *self.counts.lock().unwrap() += &counts;
    }
}

/// Runs one seed; where it fails, says how, with the shortest run found that fails too.
fn run_seed(seed: u64) -> Result<Counts, String> {
    let setup = Setup::of_seed(seed);
    let all = operations(seed, &setup);
    let sentence = match run(&setup, &all) {
        Ok(counts) => return Ok(counts),
        Err(sentence) => sentence,
    };
    let (shortest, sentence) = match number("IMBREX_SIMULATION_SHRINK") {
        Some(0) => (all, sentence),
        _ => shrink(&setup, all, sentence),
    };
    let list: Vec<String> = shortest.iter().map(|operation| format!("  {operation:?}")).collect();
    Err(format!(
        "seed {seed} fails: {sentence}\nwith {setup:?}\nand these {} operations:\n{}\nrepeat it with\n\
         IMBREX_SIMULATION_SEED={seed} cargo test --release -p imbrex-engine --lib simulation::suite",
        shortest.len(),
        list.join("\n")
    ))
}

#[test]
fn what_was_acknowledged_is_there_and_what_was_deleted_is_not() {
    note_panics();
    if let Some(seed) = number("IMBREX_SIMULATION_SEED") {
        match run_seed(seed) {
            Ok(counts) => println!("simulation: seed {seed}: {counts}"),
            Err(failure) => fail(&[failure]),
        }
        return;
    }
    let first_seed = number("IMBREX_SIMULATION_FIRST_SEED").unwrap_or(0);
    let until = Until::of_environment();
    let suite = Suite::new(first_seed, until);
    let threads = thread::available_parallelism().map_or(2, usize::from).min(16);
    thread::scope(|scope| {
        (0..threads).for_each(|_| {
            scope.spawn(|| suite.work());
        });
    });
    let last_seed = suite.next_seed.load(Ordering::Relaxed);
    let counts = suite.counts.into_inner().unwrap();
    println!("simulation: seeds {first_seed} to {}: {counts}", last_seed - 1);
    let failures = suite.failures.into_inner().unwrap();
    if !failures.is_empty() {
        fail(&failures);
    }
    counts.assert_little_is_forgiven();
    let is_whole = counts.operations >= OPERATIONS;
    // Where flushes alone fail, much else never happens.
    if std::env::var_os(FLUSHES_FAIL).is_none() {
        assert_enough_happened(&counts, is_whole);
    }
    let is_bounded = number("IMBREX_SIMULATION_OPERATIONS").or(number("IMBREX_SIMULATION_SECONDS"));
    assert!(is_whole || is_bounded.is_some(), "a suite has {OPERATIONS} operations");
}

fn assert_enough_happened(counts: &Counts, is_whole: bool) {
    if is_whole {
        counts.assert_everything_happened();
    }
    if counts.operations >= OPERATIONS_WITH_EVERY_FAULT {
        counts.assert_every_fault_struck();
    } else {
        println!(
            "too short to tell whether every kind of fault strikes: fewer than {OPERATIONS_WITH_EVERY_FAULT} operations"
        );
    }
}

fn fail(failures: &[String]) {
    eprintln!("{}", failures.join("\n\n"));
    let _ = std::panic::take_hook();
    panic!("{} runs of the simulation fail", failures.len());
}
