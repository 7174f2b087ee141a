//! The supervisor: which service runs, which waits, which stops. A pure function: events and the
//! time go in, actions come out; it starts no process, reads no clock and keeps no descriptor.
//!
//! Invariants, each held up by the random test beside it:
//! - a service never has two processes: nothing is started while a process of it may still live,
//!   not even one that SIGKILL has not ended;
//! - nothing is started while the node stops, nor a service that was withdrawn or is in maintenance;
//! - after a failure a service waits 0.1 s to 60 s, and five failures in ten minutes end in
//!   maintenance until a person clears it, save for the services that a person needs in order to;
//! - a service that does not become ready in its time, or whose manifest asks for signs of life and that gives
//!   none, is killed, and that is a failure;
//! - a service takes another down only where that one is bound to it;
//! - a shutdown ends in bounded time, whatever the processes do: soon after [`WELL_MS`] where every drive's process has
//!   ended by then, and soon after [`ILL_MS`] where one never does.
//!
//! The caller carries out the actions in order, at once, and answers each [`Action::Spawn`] with
//! [`Event::Started`] or [`Event::SpawnFailed`] before it hands in anything else.

pub(crate) mod backoff;
pub(crate) mod orders;
mod service;
#[cfg(test)]
mod tests;

use backoff::{Backoff, FAILURES_MAX, Random, Verdict};
use imbrex_init::plan::{CrashLoop, Readiness, Specification, Start};
pub(crate) use service::{Next, Service, State};
use std::collections::{BTreeMap, BTreeSet};

/// From SIGKILL to the moment at which a process counts as stuck in the kernel, in milliseconds.
pub(crate) const KILL_DEADLINE_MS: u64 = 5_000;
/// The same when the shutdown was ordered twice.
pub(crate) const KILL_DEADLINE_FORCED_MS: u64 = 2_000;
/// Drives that are well have stopped within this time of the order, in milliseconds: then nobody else is waited for, so
/// that 30 s are enough for all of it, the last kills and the end of init itself (`shutdown.rs`) included.
pub(crate) const WELL_MS: u64 = 24_000;
/// The same where one is not: the drives have 30 s and are killed, the others have what is left. The kernel's part included,
/// the end takes 90 s then.
pub(crate) const ILL_MS: u64 = 45_000;
/// The most processes that are started from one [`Event::Tick`] to the next: each keeps the caller busy.
pub(crate) const SPAWNS_MAX: usize = 4;

/// What happened. Everywhere `name` is the service, `pid` its process, and `reason` one clause.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// This service is to run, with this specification.
    Declare(Box<Specification>),
    /// This service is to stop and not to start again, for this reason.
    Withdraw { name: String, reason: String },
    /// The service's process was started.
    Started { name: String, pid: i32 },
    /// The service's process could not be started.
    SpawnFailed { name: String, reason: String },
    /// The service says that it is ready.
    Ready { name: String },
    /// The service shows that it lives.
    Alive { name: String },
    /// The service's process ended and was reaped.
    Exited {
        name: String,
        /// How, for example `killed by signal 9`.
        exit: String,
    },
    /// Time has passed: deadlines may be due.
    Tick,
    /// The node is to stop. Told again, it stops without waiting for anybody.
    Shutdown,
}

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process of this service.
    Spawn { name: String },
    /// Send SIGTERM to the process.
    Terminate { name: String, pid: i32 },
    /// Send SIGKILL to the process and everything that it started.
    Kill { name: String, pid: i32 },
    /// Write a line into init's own log.
    Record(String),
    /// The same, and on the console too: a person should see it.
    Announce(String),
    /// Announce that this service is in maintenance, with what it said last.
    GiveUp { name: String, reason: String },
    /// Every service has stopped or was given up: the node can stop.
    Finish,
}

/// All services and the state of the shutdown.
#[derive(Debug)]
pub(crate) struct Supervisor {
    services: BTreeMap<String, Service>,
    shutdown: Shutdown,
    /// When a shutdown stops waiting, in milliseconds since boot, the latest first: at that one whatever lives, at the one
    /// behind it where every drive has stopped.
    bounds_ms: Vec<u64>,
    random: Random,
    /// How many processes may be started before the next tick.
    spawns_left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    No,
    Orderly,
    Forced,
    Finished,
}

impl Supervisor {
    /// No services yet. The seed moves restarts apart between nodes.
    pub(crate) fn new(seed: u64) -> Self {
        let (services, bounds_ms, random) = (BTreeMap::new(), Vec::new(), Random::new(seed));
        Self { services, shutdown: Shutdown::No, bounds_ms, random, spawns_left: SPAWNS_MAX }
    }

    /// Every service, by name.
    pub(crate) fn services(&self) -> &BTreeMap<String, Service> {
        &self.services
    }

    /// Whether the node stops.
    pub(crate) fn stopping(&self) -> bool {
        self.shutdown != Shutdown::No
    }

    /// When the next [`Event::Tick`] is due, in milliseconds since boot.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let more = (self.spawns_left == 0 && !self.stopping() && self.startable().is_some()).then_some(0);
        more.or_else(|| {
            let services = self.services.values().filter_map(Service::deadline_ms);
            services.chain(self.bounds_ms.last().copied()).min()
        })
    }

    /// Why the machine should rather start again: a service that matters has not been well for too long.
    pub(crate) fn overdue(&self, now_ms: u64) -> Option<String> {
        self.services.iter().filter(|_| !self.stopping()).find_map(|(name, service)| {
            let ill_ms = service.overdue_ms(now_ms)?;
            Some(format!("{name} has not been well for {} s", ill_ms / 1_000))
        })
    }

    /// Takes one event and says what to do.
    pub(crate) fn handle(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Declare(specification) => self.declare(*specification, now_ms, &mut actions),
            Event::Withdraw { name, reason } => self.withdraw(&name, reason, now_ms, &mut actions),
            Event::Started { name, pid } => self.started(&name, pid, now_ms),
            Event::SpawnFailed { name, reason } => self.failed(&name, reason, now_ms, &mut actions),
            Event::Ready { name } => self.show_well(&name, State::Starting, now_ms),
            Event::Alive { name } => self.show_well(&name, State::Ready, now_ms),
            Event::Exited { name, exit } => self.exited(&name, exit, now_ms, &mut actions),
            Event::Tick => self.spawns_left = SPAWNS_MAX,
            Event::Shutdown => self.shut_down(now_ms, &mut actions),
        }
        self.pass_deadlines(now_ms, &mut actions);
        if self.stopping() {
            self.bound_shutdown(now_ms, &mut actions);
            self.advance_shutdown(now_ms, &mut actions);
        } else {
            self.stop_unbound(now_ms, &mut actions);
            self.start_waiting(now_ms, &mut actions);
        }
        actions
    }

    fn declare(&mut self, specification: Specification, now_ms: u64, actions: &mut Vec<Action>) {
        if self.stopping() {
            return;
        }
        let name = specification.name.clone();
        let service =
            self.services.entry(name).or_insert_with(|| Service::new(specification.clone(), now_ms));
        let changed = service.specification != specification;
        service.specification = specification;
        match service.state {
            State::Stopped => {
                service.sound_ms = now_ms;
                service.enter(State::Waiting, now_ms);
            }
            State::Stopping { ref mut next, .. } => *next = Next::Start,
            State::Starting | State::Ready if changed => service.stop(Next::Start, now_ms, actions),
            _ => {}
        }
    }

    fn withdraw(&mut self, name: &str, reason: String, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(service) = self.services.get_mut(name) else { return };
        match service.state {
            State::Stopping { ref mut next, .. } => *next = Next::Stop,
            State::Starting | State::Ready => service.stop(Next::Stop, now_ms, actions),
            _ => service.enter(State::Stopped, now_ms),
        }
        service.backoff.clear();
        service.reason = Some(reason);
    }

    fn started(&mut self, name: &str, pid: i32, now_ms: u64) {
        let Some(service) = self.services.get_mut(name) else { return };
        service.pid = Some(pid);
        service.started_ms = now_ms;
        service.ready_ms = None;
        service.starts = service.starts.saturating_add(1);
        if service.specification.readiness == Readiness::Started {
            self.show_well(name, State::Starting, now_ms);
        }
    }

    /// One that was in this state is well: it has become ready, or gives a sign of life.
    fn show_well(&mut self, name: &str, was: State, now_ms: u64) {
        let Some(service) = self.services.get_mut(name).filter(|service| service.state == was) else {
            return;
        };
        service.well_ms = now_ms;
        match was {
            State::Starting => {
                service.ready_ms = Some(now_ms);
                service.enter(State::Ready, now_ms);
            }
            _ => service.sound_ms = now_ms,
        }
    }

    fn exited(&mut self, name: &str, exit: String, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(service) = self.services.get_mut(name) else { return };
        service.pid = None;
        let unwell = service.unwell.take();
        match (service.state, unwell) {
            (State::Stopping { next: Next::Start, .. }, Some(why)) => {
                self.failed(name, format!("{why} ({exit})"), now_ms, actions);
            }
            (State::Stopping { next, .. }, _) => {
                service.last_exit = Some(exit);
                let state = if next == Next::Start { State::Waiting } else { State::Stopped };
                service.enter(state, now_ms);
            }
            _ => self.failed(name, exit, now_ms, actions),
        }
    }

    fn failed(&mut self, name: &str, exit: String, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(service) = self.services.get_mut(name) else { return };
        let run_ms = service.ready_ms.take().map_or(0, |ready_ms| now_ms.saturating_sub(ready_ms));
        let forever = service.specification.crash_loop == CrashLoop::RetryForEver;
        let until_ms = match service.backoff.fail(now_ms, run_ms, &mut self.random) {
            Verdict::Retry(until_ms) => Some(until_ms),
            Verdict::CrashLoop => forever.then(|| now_ms + service.backoff.delay_ms(&mut self.random)),
        };
        if self.shutdown != Shutdown::No {
            service.enter(State::Stopped, now_ms);
        } else if let Some(until_ms) = until_ms {
            let wait_ms = until_ms.saturating_sub(now_ms);
            actions.push(Action::Record(format!("{name}: {exit}; it starts again in {wait_ms} ms")));
            service.enter(State::Backoff { until_ms }, now_ms);
        } else {
            let reason = format!("it failed {FAILURES_MAX} times within 10 minutes; the last: {exit}");
            actions.push(Action::GiveUp { name: name.to_owned(), reason: reason.clone() });
            service.reason = Some(reason);
            service.enter(State::Maintenance, now_ms);
        }
        service.last_exit = Some(exit);
    }

    /// Restarts that are due, kills that are due, and processes that even SIGKILL did not end.
    fn pass_deadlines(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        for service in self.services.values_mut() {
            match service.state {
                State::Backoff { until_ms } if until_ms <= now_ms => service.enter(State::Waiting, now_ms),
                State::Stopping { .. } => service.press(now_ms, actions),
                _ => service.check_alive(now_ms, actions),
            }
        }
    }

    /// Stops what runs although something that it is bound to does not. It waits for that, then.
    fn stop_unbound(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let ready = self.services.iter().filter(|(_, one)| one.state == State::Ready);
        let ready: BTreeSet<String> = ready.map(|(name, _)| name.clone()).collect();
        for service in self.services.values_mut() {
            let runs = matches!(service.state, State::Starting | State::Ready) && service.pid.is_some();
            let Specification { name, binds_to, .. } = &service.specification;
            if let Some(other) = binds_to.iter().find(|other| runs && !ready.contains(*other)) {
                let line = format!("{name} stops: it is bound to {other}, which is not ready");
                actions.push(Action::Record(line));
                service.stop(Next::Start, now_ms, actions);
            }
        }
    }

    /// Starts what waits for nothing any more, in the order of the needs.
    fn start_waiting(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        while let Some(name) = self.startable().filter(|_| self.spawns_left > 0) {
            self.spawns_left -= 1;
            if let Some(service) = self.services.get_mut(&name) {
                service.tried = true;
                service.enter(State::Starting, now_ms);
            }
            actions.push(Action::Spawn { name });
        }
    }

    fn startable(&self) -> Option<String> {
        let was_tried = |need: &String| self.services.get(need).is_some_and(|service| service.tried);
        let is_ready = |name: &String| self.services.get(name).is_some_and(|one| one.state == State::Ready);
        let services = self.services.values();
        let waiting = services.filter(|service| service.state == State::Waiting && service.pid.is_none());
        let mut waiting = waiting.map(|service| &service.specification);
        let first = waiting.find(|one| one.needs.iter().all(was_tried) && one.binds_to.iter().all(is_ready));
        first.map(|specification| specification.name.clone())
    }

    fn shut_down(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        match self.shutdown {
            Shutdown::No => {
                self.shutdown = Shutdown::Orderly;
                self.bounds_ms = vec![now_ms + ILL_MS, now_ms + WELL_MS];
            }
            Shutdown::Orderly => {
                self.shutdown = Shutdown::Forced;
                self.bounds_ms.clear();
            }
            Shutdown::Forced | Shutdown::Finished => return,
        }
        let forced = self.shutdown == Shutdown::Forced;
        for service in self.services.values_mut() {
            match service.state {
                State::Stopping { ref mut next, .. } => *next = Next::Stop,
                State::Starting | State::Ready if service.pid.is_some() => {}
                _ => service.enter(State::Stopped, now_ms),
            }
            if forced && service.pid.is_some() {
                service.kill(Next::Stop, KILL_DEADLINE_FORCED_MS, now_ms, actions);
            }
        }
    }

    /// Kills whatever is left when drives that are well have stopped; where one has not, each service has its own time, up to
    /// the last bound.
    fn bound_shutdown(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let drive = |service: &Service| service.specification.start == Start::Drive && service.pid.is_some();
        while self.bounds_ms.pop_if(|bound_ms| *bound_ms <= now_ms).is_some() {
            if self.bounds_ms.is_empty() || !self.services.values().any(drive) {
                actions.push(Action::Announce("the time to stop is over: what has not is killed".to_owned()));
                self.shut_down(now_ms, actions);
            }
        }
    }

    /// Stops the services of the lowest stop order that still live; when none is left, finishes.
    fn advance_shutdown(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let alive = |service: &Service| service.pid.is_some() && !service.stuck;
        let living = self.services.values().filter(|&service| alive(service));
        let Some(order) = living.map(|service| service.specification.stop.order).min() else {
            if self.shutdown != Shutdown::Finished {
                self.shutdown = Shutdown::Finished;
                self.bounds_ms.clear();
                actions.push(Action::Finish);
            }
            return;
        };
        for service in self.services.values_mut().filter(|s| alive(s) && s.specification.stop.order == order)
        {
            if !matches!(service.state, State::Stopping { .. }) {
                service.stop(Next::Stop, now_ms, actions);
            }
        }
    }
}
