//! A wake that crosses threads and is kept until somebody waits.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::Waker;
use crate::sync::{Condvar, Mutex};

/// A flag that one thread raises and another waits for.
#[derive(Default)]
pub(crate) struct Wakeup {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Wakeup {
    /// A waker that raises the flag.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        let wakeup = Arc::clone(self);
        Waker::new(move || {
            *wakeup.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
            wakeup.changed.notify_one();
        })
    }

    /// Waits until the flag is raised or `timeout` has passed (`None`: for ever), and lowers it.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raised = match timeout {
            Some(Duration::ZERO) => raised,
            Some(timeout) => {
                let waited = self.changed.wait_timeout_while(raised, timeout, |raised| !*raised);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                self.changed.wait_while(raised, |raised| !*raised).unwrap_or_else(PoisonError::into_inner)
            }
        };
        *raised = false;
    }
}
