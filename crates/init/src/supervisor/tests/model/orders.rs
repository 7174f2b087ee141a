//! What a person or a new plan asks of one service, and what must come of it at once.

use super::*;

impl Model {
    /// Declares a service, now and then with another specification than before: its process is told to end then.
    pub(super) fn declare(&mut self, name: &str) {
        if self.shutdown_ms.is_none() {
            self.withdrawn.remove(name);
        }
        let mut specification = service(name);
        if self.chance(10) {
            specification.environment.extend([("CHANGED".to_owned(), self.now_ms.to_string())]);
        }
        let known = self.supervisor.services().get(name).filter(|_| self.shutdown_ms.is_none());
        let runs = |one: &&Service| matches!(one.state, State::Starting | State::Ready);
        let changed = known.filter(runs).is_some_and(|one| one.specification != specification);
        self.give(Event::Declare(Box::new(specification)));
        let told = self.asked.contains(name) || self.killed.contains(name);
        assert!(!changed || told, "{name} runs with a specification that is not its own any more");
        self.changes += u64::from(changed);
    }

    /// Orders something of a service. A restart asks its process to end; only force kills it.
    pub(super) fn order(&mut self, name: &str) {
        let order = if self.chance(50) { Order::Start } else { Order::Restart { force: self.chance(50) } };
        let before = self.supervisor.services().get(name).map(|one| one.state);
        let Ok(actions) = self.supervisor.order(name, order, self.now_ms) else { return };
        let is_kill = |action: &Action| matches!(action, Action::Kill { name: one, .. } if one == name);
        let is_ask = |action: &Action| matches!(action, Action::Terminate { name: one, .. } if one == name);
        let (kills, asks) = (actions.iter().any(is_kill), actions.iter().any(is_ask));
        match (before, order) {
            (
                Some(State::Starting | State::Ready | State::Stopping { killed: false, .. }),
                Order::Restart { force: true },
            ) => assert!(kills, "{name} is not killed by force"),
            (Some(State::Starting | State::Ready), Order::Restart { force: false }) => {
                assert!(asks && !kills, "{name} is not asked to start again: {actions:?}");
            }
            _ => assert!(!kills, "{name} is killed without need"),
        }
        self.forgive(name);
        self.carry_out(actions);
    }
}
