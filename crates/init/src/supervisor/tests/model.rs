//! The supervisor against a model: random events, and what must hold after each.

mod liveness;
mod orders;

use super::{NAMES, service};
use crate::supervisor::backoff::{DELAY_MS_MAX, DELAY_MS_MIN, FAILURES_WINDOW_MS, GOOD_RUN_MS};
use crate::supervisor::orders::Order;
use crate::supervisor::*;
use imbrex_init::plan::{AGENT, DRIVE};
use std::collections::VecDeque;

/// The processes of a machine, and every rule that the supervisor must keep.
struct Model {
    supervisor: Supervisor,
    random: Random,
    now_ms: u64,
    pid_last: i32,
    /// Living processes: name, process, and whether even SIGKILL leaves it.
    processes: BTreeMap<String, (i32, bool)>,
    asked: BTreeSet<String>,
    killed: BTreeSet<String>,
    withdrawn: BTreeSet<String>,
    ever_spawned: BTreeSet<String>,
    failures_ms: BTreeMap<String, VecDeque<u64>>,
    failed_last_ms: BTreeMap<String, u64>,
    /// Who was seen in maintenance, and nobody has cleared or withdrawn since.
    maintained: BTreeSet<String>,
    /// Since when each process is ready.
    ready_ms: BTreeMap<String, u64>,
    /// Failures after a good run, and processes whose specification was changed.
    good_runs: u64,
    changes: u64,
    shutdown_ms: Option<u64>,
    finished: bool,
    spawns: u64,
    crash_loops: u64,
    /// Starts since the last tick, and how often there were as many as there may be.
    spawns_in_turn: usize,
    full_turns: u64,
    /// Processes that were killed because they did not become ready, or gave no sign of life.
    silences: u64,
    /// When each service last gave a sign of life or was wanted anew.
    sound_ms: BTreeMap<String, u64>,
    /// Events after which the watchdog would not have been fed.
    overdue: u64,
    /// From now on every process starts, and none is stuck.
    well: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            supervisor: Supervisor::new(seed),
            random: Random::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            now_ms: 1_000,
            pid_last: 100,
            processes: BTreeMap::new(),
            asked: BTreeSet::new(),
            killed: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            ever_spawned: BTreeSet::new(),
            failures_ms: BTreeMap::new(),
            failed_last_ms: BTreeMap::new(),
            maintained: BTreeSet::new(),
            ready_ms: BTreeMap::new(),
            good_runs: 0,
            changes: 0,
            shutdown_ms: None,
            finished: false,
            spawns: 0,
            crash_loops: 0,
            spawns_in_turn: 0,
            full_turns: 0,
            silences: 0,
            sound_ms: BTreeMap::new(),
            overdue: 0,
            well: false,
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.next() % 100 < percent
    }

    fn give(&mut self, event: Event) {
        let state = |name: &String| self.supervisor.services().get(name).map(|service| service.state);
        match &event {
            Event::Alive { name } if state(name) == Some(State::Ready) => {
                self.sound_ms.insert(name.clone(), self.now_ms);
            }
            Event::Declare(one) if matches!(state(&one.name), None | Some(State::Stopped)) => {
                self.sound_ms.insert(one.name.clone(), self.now_ms);
            }
            Event::Tick => self.spawns_in_turn = 0,
            _ => {}
        }
        let actions = self.supervisor.handle(event, self.now_ms);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Spawn { name } => self.spawn(name),
                Action::Terminate { name, pid } => {
                    assert_eq!(self.processes.get(&name).unwrap().0, pid);
                    self.asked.insert(name);
                }
                Action::Kill { name, pid } => {
                    assert_eq!(self.processes.get(&name).unwrap().0, pid);
                    self.killed.insert(name);
                }
                Action::Finish => {
                    assert!(!self.finished, "finished twice");
                    let killed = |name: &String| self.killed.contains(name);
                    assert!(self.processes.keys().all(killed), "finished without killing what lives");
                    self.finished = true;
                }
                Action::GiveUp { name, .. } => {
                    let failures = self.failures_ms.get(&name).map_or(0, VecDeque::len);
                    assert!(failures >= FAILURES_MAX, "{name} is given up after {failures} failures");
                    self.crash_loops += 1;
                }
                Action::Record(_) | Action::Announce(_) => {}
            }
        }
        self.check();
    }

    fn spawn(&mut self, name: String) {
        assert!(!self.processes.contains_key(&name), "two processes of {name}");
        assert!(self.shutdown_ms.is_none(), "{name} started while the node stops");
        assert!(!self.withdrawn.contains(&name), "{name} started although it was withdrawn");
        assert!(!self.maintained.contains(&name), "{name} left maintenance by itself");
        for need in &self.supervisor.services()[&name].specification.needs {
            assert!(self.ever_spawned.contains(need), "{name} started before {need}");
        }
        if let Some(failed_ms) = self.failed_last_ms.remove(&name) {
            assert!(self.now_ms - failed_ms >= DELAY_MS_MIN, "{name} started again at once");
        }
        self.ever_spawned.insert(name.clone());
        self.spawns += 1;
        self.spawns_in_turn += 1;
        self.full_turns += u64::from(self.spawns_in_turn == SPAWNS_MAX);
        assert!(self.spawns_in_turn <= SPAWNS_MAX, "{} starts in one turn", self.spawns_in_turn);
        if !self.well && self.chance(10) {
            self.note_failure(&name);
            return self.give(Event::SpawnFailed { name, reason: "no such file".to_owned() });
        }
        self.pid_last += 1;
        let stuck = !self.well && self.chance(3);
        self.processes.insert(name.clone(), (self.pid_last, stuck));
        self.killed.remove(&name);
        self.asked.remove(&name);
        self.ready_ms.remove(&name);
        self.give(Event::Started { name, pid: self.pid_last });
    }

    fn note_failure(&mut self, name: &str) {
        let failures_ms = self.failures_ms.entry(name.to_owned()).or_default();
        failures_ms.push_back(self.now_ms);
        while failures_ms.front().is_some_and(|then_ms| self.now_ms - then_ms > FAILURES_WINDOW_MS) {
            failures_ms.pop_front();
        }
        self.failed_last_ms.insert(name.to_owned(), self.now_ms);
    }

    fn exit(&mut self, name: &str) {
        let service = &self.supervisor.services()[name];
        let stopping = matches!(service.state, State::Stopping { .. });
        // Killed for its silence, and not told to stop for good since: that is a failure.
        let silent =
            service.unwell.is_some() && matches!(service.state, State::Stopping { next: Next::Start, .. });
        self.silences += u64::from(silent);
        self.processes.remove(name);
        let failed = !stopping || silent;
        if failed {
            self.note_failure(name);
        }
        self.give(Event::Exited { name: name.to_owned(), exit: "exited with status 1".to_owned() });
        let ready_ms = self.ready_ms.get(name).map_or(0, |since_ms| self.now_ms - since_ms);
        if let (State::Backoff { until_ms }, true) = (self.supervisor.services()[name].state, failed)
            && ready_ms >= GOOD_RUN_MS
        {
            let wait_ms = until_ms - self.now_ms;
            assert!(wait_ms <= DELAY_MS_MIN * 5 / 4, "{name} waits {wait_ms} ms after a good run");
            self.good_runs += 1;
        }
    }

    fn forgive(&mut self, name: &str) {
        self.failures_ms.remove(name);
        self.failed_last_ms.remove(name);
        self.maintained.remove(name);
    }

    fn step(&mut self) {
        let choice = self.random.next() % NAMES.len() as u64;
        let name = NAMES[usize::try_from(choice).unwrap()];
        match self.random.next() % 12 {
            0 => self.declare(name),
            1 if self.chance(20) => {
                self.withdrawn.insert(name.to_owned());
                self.forgive(name);
                self.give(Event::Withdraw {
                    name: name.to_owned(),
                    reason: "the drive disappeared".to_owned(),
                });
            }
            2 => self.give(Event::Ready { name: name.to_owned() }),
            3 if self.chance(50) => self.give(Event::Ready { name: name.to_owned() }),
            3 => self.give(Event::Alive { name: name.to_owned() }),
            4..=6 if self.processes.get(name).is_some_and(|process| !process.1) => self.exit(name),
            7 if self.chance(30) => self.order(name),
            8 if self.chance(1) => self.shut_down(),
            _ => {
                let jump_ms = [1, 50, 1_000, 70_000][usize::try_from(self.random.next() % 4).unwrap()];
                self.now_ms += self.random.next() % jump_ms;
                self.give(Event::Tick);
            }
        }
    }

    fn shut_down(&mut self) {
        self.shutdown_ms.get_or_insert(self.now_ms);
        self.give(Event::Shutdown);
    }

    fn check(&mut self) {
        let agent = self.supervisor.services().get(AGENT);
        let wanted = agent.is_some_and(|agent| agent.state != State::Stopped) && self.shutdown_ms.is_none();
        let ill = wanted && self.now_ms - self.sound_ms[AGENT] > 900_000;
        assert_eq!(self.supervisor.overdue(self.now_ms).is_some(), ill, "the watchdog is told wrongly");
        self.overdue += u64::from(ill);
        for (name, service) in self.supervisor.services() {
            let pid = self.processes.get(name).map(|process| process.0);
            assert_eq!(service.pid, pid, "{name} is {:?}", service.state);
            let may_run = matches!(service.state, State::Starting | State::Ready | State::Stopping { .. });
            assert!(pid.is_none() || may_run, "{name} runs and is {:?}", service.state);
            if let Some(health) =
                service.specification.health.as_ref().filter(|_| service.state == State::Ready)
            {
                let silent_ms = self.now_ms - service.well_ms;
                assert!(
                    silent_ms < health.within_s * 1_000,
                    "{name} is silent for {silent_ms} ms and still ready"
                );
            }
            if let (Some(_), State::Starting, Some(within_s)) =
                (pid, service.state, service.specification.ready_within_s)
            {
                let waited_ms = self.now_ms - service.started_ms;
                assert!(waited_ms < within_s * 1_000, "{name} has been starting for {waited_ms} ms");
            }
            let bound_to = |other: &String| {
                self.supervisor.services().get(other).is_some_and(|one| one.state == State::Ready)
            };
            let runs = matches!(service.state, State::Starting | State::Ready) && pid.is_some();
            assert!(
                !runs || self.shutdown_ms.is_some() || service.specification.binds_to.iter().all(bound_to),
                "{name} runs without what it is bound to"
            );
            if let State::Backoff { until_ms } = service.state {
                let wait_ms = until_ms - service.since_ms;
                assert!((DELAY_MS_MIN..=DELAY_MS_MAX).contains(&wait_ms), "{name} waits {wait_ms} ms");
                let few =
                    self.failures_ms.get(name).is_none_or(|failures_ms| failures_ms.len() < FAILURES_MAX);
                let forever = service.specification.crash_loop == CrashLoop::RetryForEver;
                assert!(few || forever, "{name} failed too often and is not in maintenance");
            }
            if matches!(service.state, State::Starting | State::Ready) {
                assert_eq!(service.reason(), None, "{name} runs and says why it is down");
            }
            let down = service.state == State::Stopped;
            assert!(
                down || pid.is_some() || self.shutdown_ms.is_none(),
                "{name} is {:?} at shutdown",
                service.state
            );
            if service.state == State::Ready {
                self.ready_ms.entry(name.clone()).or_insert(self.now_ms);
            }
            if service.state == State::Maintenance {
                self.maintained.insert(name.clone());
                assert!(service.reason().is_some(), "{name} is in maintenance without a reason");
                assert_eq!(service.specification.crash_loop, CrashLoop::Maintenance, "{name}");
            }
        }
    }

    /// Lets the shutdown come to its end: whatever can die, dies of SIGKILL, and nothing of SIGTERM but the drives, where
    /// they are well. Whether they were.
    fn run_out(&mut self) -> bool {
        let drive = |name: &str| name.starts_with(DRIVE);
        let sound = self.processes.iter().all(|(name, process)| !drive(name) || !process.1);
        let well = sound && self.shutdown_ms.is_none() && self.chance(50);
        if self.shutdown_ms.is_none() {
            self.shut_down();
        }
        let began_ms = self.now_ms;
        if well {
            self.now_ms += self.random.next() % WELL_MS;
        }
        while !self.finished {
            let stops = |name: &String| well && drive(name) && self.asked.contains(name);
            let dead: Vec<String> = self
                .processes
                .iter()
                .filter(|(name, p)| !p.1 && (self.killed.contains(*name) || stops(name)))
                .map(|(n, _)| n.clone())
                .collect();
            if dead.is_empty() {
                self.now_ms = self
                    .supervisor
                    .deadline_ms()
                    .expect("a shutdown that waits has a deadline")
                    .max(self.now_ms);
                self.give(Event::Tick);
            }
            for name in dead {
                self.exit(&name);
            }
            let bound_ms = KILL_DEADLINE_FORCED_MS + if well { WELL_MS } else { ILL_MS };
            let took_ms = self.now_ms - began_ms;
            assert!(took_ms <= bound_ms, "the shutdown takes {took_ms} ms; the drives well: {well}");
        }
        well
    }
}

#[test]
fn millions_of_random_events_break_no_rule() {
    let (mut events, mut spawns, mut crash_loops, mut shutdowns) = (0_u64, 0, 0, 0_u64);
    let (mut silences, mut overdue, mut full_turns) = (0, 0, 0);
    let (mut good_runs, mut changes) = (0, 0);
    for seed in 1..=4_000 {
        let mut model = Model::new(seed);
        for _ in 0..2_500 {
            if model.finished {
                break;
            }
            model.step();
            events += 1;
        }
        if !model.finished {
            model.run_out();
        }
        shutdowns += 1;
        spawns += model.spawns;
        crash_loops += model.crash_loops;
        silences += model.silences;
        overdue += model.overdue;
        full_turns += model.full_turns;
        good_runs += model.good_runs;
        changes += model.changes;
    }
    println!(
        "{events} events: {spawns} starts, {crash_loops} crash loops, {silences} killed for their silence, \
         {overdue} times without food for the watchdog, {shutdowns} shutdowns, {good_runs} failures after a good run, \
         {changes} changed specifications"
    );
    let much =
        events > 2_000_000 && spawns > 200_000 && crash_loops > 10_000 && silences > 1_000 && overdue > 1_000;
    assert!(much && full_turns > 100, "the events reach too little: {full_turns} full turns");
    assert!(good_runs > 1_000 && changes > 1_000, "{good_runs} good runs, {changes} changes");
}

#[test]
fn a_shutdown_with_well_drives_ends_in_its_time_whatever_has_happened_before() {
    let mut well = 0;
    for seed in 1..=4_000 {
        let mut model = Model::new(seed);
        for _ in 0..100 {
            model.step();
        }
        well += u64::from(!model.finished && model.run_out());
    }
    assert!(well > 500, "{well} of them were well");
}
