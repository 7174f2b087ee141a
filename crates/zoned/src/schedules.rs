//! For tests with the feature `shuttle`: a test run under many schedules, and a bell to wait by.
//!
//! * `IMBREX_SCHEDULES=N` runs N schedules of each kind instead of the number that the test names.
//! * `IMBREX_SEED=N` chooses other schedules than those of seed 1.
//! * `IMBREX_SCHEDULE=TEXT` runs the one schedule that a failure has printed, once more.
//!
//! What is not in shuttle's hands happens in one step: a tokio primitive, for one, is seen before or after what another
//! thread does, never in the middle of it.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test ends by a panic")]

use std::env;
use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::sync::{Condvar, Mutex};
use shuttle::{Config, Runner};

use crate::Waker;

/// How often the priorities of threads change within one schedule of the second kind: most errors that were found with
/// this method need fewer than three changes (Burckhardt and others, "A randomized scheduler with probabilistic
/// guarantees of finding bugs", ASPLOS 2010).
const PRIORITY_CHANGES: usize = 3;

/// The stack of a thread under test, in bytes: an engine mounts on one.
const STACK_BYTES: usize = 512 << 10;

/// Runs `test` under `count` schedules chosen step by step at random, and `count` more in which threads have random
/// priorities; says how many were run.
pub fn explore(name: &str, count: usize, test: impl Fn() + Clone + Send + Sync + 'static) {
    if let Ok(schedule) = env::var("IMBREX_SCHEDULE") {
        run(ReplayScheduler::new_from_encoded(&schedule), test);
        return;
    }
    let number = |name: &str, otherwise: u64| match env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => otherwise,
    };
    let count = usize::try_from(number("IMBREX_SCHEDULES", count as u64)).unwrap();
    let seed = number("IMBREX_SEED", 1);
    let random = run(RandomScheduler::new_from_seed(seed, count), test.clone());
    let prioritised = run(PctScheduler::new_from_seed(seed, PRIORITY_CHANGES, count), test);
    println!("{name}: {random} random schedules and {prioritised} by priority (seed {seed})");
}

fn run(scheduler: impl Scheduler + 'static, test: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(test)
}

/// Something to wait by: whoever changes what others wait for rings it afterwards.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<u64>,
    ringing: Condvar,
}

impl Bell {
    /// Rings it.
    pub fn ring(&self) {
        *self.rung.lock().unwrap() += 1;
        self.ringing.notify_all();
    }

    /// A waker that rings it.
    pub fn waker(self: &Arc<Self>) -> Waker {
        let bell = Arc::clone(self);
        Waker::new(move || bell.ring())
    }

    /// Waits until `attempt` gives something; it is made once at first, and then once for each time that the bell rings.
    pub fn wait_for<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        loop {
            let heard = *self.rung.lock().unwrap();
            if let Some(found) = attempt() {
                return found;
            }
            let rung = self.rung.lock().unwrap();
            drop(self.ringing.wait_while(rung, |rung| *rung == heard).unwrap());
        }
    }
}
