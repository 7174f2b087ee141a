//! What a person may order of one service.

use super::{Action, KILL_DEADLINE_MS, Next, State, Supervisor};

/// An order for one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Start it, and forget its failures: the way out of maintenance.
    Start,
    /// Stop it and start it again.
    Restart {
        /// By SIGKILL, without asking it first.
        force: bool,
    },
}

impl Supervisor {
    /// Carries out an order, or says in one sentence why not.
    pub(crate) fn order(&mut self, name: &str, order: Order, now_ms: u64) -> Result<Vec<Action>, String> {
        if self.stopping() {
            return Err("the node is stopping: nothing is started any more".to_owned());
        }
        let mut actions = Vec::new();
        let service = self.services.get_mut(name).ok_or_else(|| unknown(name))?;
        if matches!(service.state, State::Stopped | State::Stopping { next: Next::Stop, .. }) {
            let reason = service.reason.as_deref().unwrap_or("it was told to stop");
            return Err(format!("{name} cannot be started: {reason}"));
        }
        service.backoff.clear();
        service.unwell = None;
        match (service.state, order) {
            (State::Waiting | State::Backoff { .. } | State::Maintenance, _) => {
                service.enter(State::Waiting, now_ms);
            }
            (State::Stopping { killed: false, .. }, Order::Restart { force: true })
            | (State::Starting | State::Ready, Order::Restart { force: true }) => {
                service.kill(Next::Start, KILL_DEADLINE_MS, now_ms, &mut actions);
            }
            (State::Starting | State::Ready, Order::Restart { force: false }) => {
                service.stop(Next::Start, now_ms, &mut actions);
            }
            // It runs, or is on its way down and up again: there is nothing more to do.
            (State::Starting | State::Ready | State::Stopping { .. }, _) | (State::Stopped, _) => {}
        }
        self.stop_unbound(now_ms, &mut actions);
        self.start_waiting(now_ms, &mut actions);
        Ok(actions)
    }
}

/// The sentence for a name that no service has.
pub(crate) fn unknown(name: &str) -> String {
    format!("there is no service {name:?}: the op \"status\" lists them")
}
