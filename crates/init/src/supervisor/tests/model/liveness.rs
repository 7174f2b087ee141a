//! What must come in the end, whatever has happened: whoever is wanted and does what it should runs.

use super::*;

/// The longest wait before a restart comes up to three times in a row: the service's own, that of a process which ends only
/// now, and that of what it is bound to. In milliseconds, with what lies between.
const RECOVERY_MS_MAX: u64 = 4 * DELAY_MS_MAX;

impl Model {
    fn names_in(&self, wanted: impl Fn(State) -> bool) -> Vec<String> {
        let services = self.supervisor.services().iter();
        services.filter(|(_, one)| wanted(one.state)).map(|(name, _)| name.clone()).collect()
    }

    /// All services are wanted, a person clears what is in maintenance, the kernel lets go of whatever is stuck, and from now
    /// on every process does what it should: until all of them are ready.
    fn recover(&mut self) {
        self.well = true;
        for name in NAMES {
            self.withdrawn.remove(name);
            self.give(Event::Declare(Box::new(service(name))));
        }
        let began_ms = self.now_ms;
        while self.names_in(|state| state == State::Ready).len() < NAMES.len() {
            let told = |name: &&String| self.asked.contains(*name) || self.killed.contains(*name);
            for name in self.processes.keys().filter(told).cloned().collect::<Vec<_>>() {
                self.exit(&name);
            }
            for name in self.names_in(|state| state == State::Maintenance) {
                let actions = self.supervisor.order(&name, Order::Start, self.now_ms).unwrap();
                self.forgive(&name);
                self.carry_out(actions);
            }
            for name in self.names_in(|state| state == State::Starting) {
                self.give(Event::Ready { name });
            }
            for name in self.names_in(|state| state == State::Ready) {
                self.give(Event::Alive { name });
            }
            let took_ms = self.now_ms - began_ms;
            let waiting = self.names_in(|state| state != State::Ready);
            assert!(took_ms <= RECOVERY_MS_MAX, "{waiting:?} do not run after {took_ms} ms");
            if !waiting.is_empty() {
                let deadline_ms = self.supervisor.deadline_ms().unwrap_or(self.now_ms + 1_000);
                self.now_ms = deadline_ms.max(self.now_ms);
                self.give(Event::Tick);
            }
        }
    }
}

#[test]
fn whatever_has_happened_a_service_that_is_wanted_and_well_runs_in_the_end() {
    let (mut recovered, mut hard) = (0, 0);
    for seed in 1..=4_000 {
        let mut model = Model::new(seed);
        for _ in 0..400 {
            model.step();
        }
        if model.shutdown_ms.is_none() {
            let down = |state| matches!(state, State::Maintenance | State::Stopped | State::Backoff { .. });
            hard += u64::from(model.names_in(down).len() >= NAMES.len() / 2);
            model.recover();
            recovered += 1;
        }
    }
    println!("{recovered} of 4000 nodes recovered, {hard} of them with half their services down");
    assert!(recovered > 1_000 && hard > 100, "{recovered} recovered, {hard} of them from much");
}
