//! A fake smartctl, for tests of what asks it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Answer, Failure, FailureKind, Question, Smartctl};

/// Gives the answers that it was told to give, and remembers what it was asked.
#[derive(Debug, Default)]
pub struct FakeSmartctl {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    asked: Vec<(String, Question)>,
}

impl FakeSmartctl {
    /// From now on the drive behind `device` answers this.
    pub fn set(&self, device: &str, answer: Answer) {
        self.state().answers.insert(device.to_owned(), answer);
    }

    /// Every question so far, the first first.
    pub fn asked(&self) -> Vec<(String, Question)> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Smartctl for FakeSmartctl {
    fn ask_drive(&self, _: &str, device: &str, question: Question) -> Answer {
        let mut state = self.state();
        state.asked.push((device.to_owned(), question));
        let nothing = || {
            let sentence = format!("Smartctl open device: {device} failed: No such device");
            Answer::Failed(Failure { kind: FailureKind::NoData, sentence })
        };
        state.answers.get(device).cloned().unwrap_or_else(nothing)
    }

    fn left_behind(&self) -> usize {
        0
    }
}
