//! From a run that fails to a short one that fails: parts of its operations are left out as long as it still does.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use super::operation::Operation;
use super::setup::Setup;
use super::{counts::Counts, world::World};

/// How many runs shrinking may take.
const RUNS_MAX: u32 = 1500;

thread_local! {
    /// Where this thread last panicked.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on a panic is noted and not printed: a run that fails says so by one, and is then run many times.
pub(super) fn note_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        PANICKED_AT.with_borrow_mut(|at| *at = place);
    }));
}

/// Runs the operations; the sentence with which it failed, if so.
pub(super) fn run(setup: &Setup, operations: &[Operation]) -> Result<Counts, String> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(setup.clone());
        operations.iter().for_each(|operation| world.step(operation));
        world.end()
    }));
    outcome.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        PANICKED_AT.with_borrow(|at| format!("{text} ({at})"))
    })
}

/// A short list of operations that fails with this setup, as `operations` does, and the sentence with which it fails.
pub(super) fn shrink(
    setup: &Setup,
    operations: Vec<Operation>,
    sentence: String,
) -> (Vec<Operation>, String) {
    let (mut shortest, mut sentence) = (operations, sentence);
    let mut runs_left = RUNS_MAX;
    let mut length = shortest.len() / 2;
    while length > 0 && runs_left > 0 {
        let mut begin = 0;
        let before = shortest.len();
        while begin < shortest.len() && runs_left > 0 {
            let end = (begin + length).min(shortest.len());
            let candidate = [&shortest[..begin], &shortest[end..]].concat();
            runs_left -= 1;
            match run(setup, &candidate) {
                Err(found) => (shortest, sentence) = (candidate, found),
                Ok(_) => begin = end,
            }
        }
        if length > 1 || shortest.len() == before {
            length /= 2;
        }
    }
    (shortest, sentence)
}
