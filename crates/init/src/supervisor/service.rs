//! One service under supervision.

use super::{Action, Backoff, KILL_DEADLINE_MS};
use imbrex_init::plan::Specification;

/// Where a service stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// To be started as soon as what it needs has been.
    #[default]
    Waiting,
    /// Its process runs, or is just being made, and is not ready yet.
    Starting,
    /// Its process is ready.
    Ready,
    /// It failed and is started again later.
    Backoff {
        /// When, in milliseconds since boot.
        until_ms: u64,
    },
    /// It failed too often: a person must clear it.
    Maintenance,
    /// It was told to stop and its process still lives.
    Stopping {
        /// When it is pressed harder, in milliseconds since boot.
        press_ms: u64,
        /// Whether SIGKILL was sent already.
        killed: bool,
        /// What comes afterwards.
        next: Next,
    },
    /// It does not run and is not to.
    Stopped,
}

/// What comes after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It starts again.
    Start,
    /// It stays down.
    Stop,
}

/// One service: its specification, and what became of it so far.
#[derive(Debug, Default)]
pub(crate) struct Service {
    pub(crate) specification: Specification,
    pub(crate) state: State,
    /// When it came into that state, in milliseconds since boot.
    pub(crate) since_ms: u64,
    /// Its process: present exactly while one lives that was not reaped.
    pub(crate) pid: Option<i32>,
    /// How many processes of it were started.
    pub(crate) starts: u64,
    /// How its last process ended.
    pub(crate) last_exit: Option<String>,
    /// Why it is down or not to start, where that needs a reason.
    pub(super) reason: Option<String>,
    /// Not even SIGKILL ended it: it is stuck in the kernel, and nobody waits for it any longer.
    pub(crate) stuck: bool,
    pub(super) backoff: Backoff,
    pub(super) started_ms: u64,
    /// When its process became ready, in milliseconds since boot: only from then on is a run a good one.
    pub(super) ready_ms: Option<u64>,
    pub(super) tried: bool,
    /// When it last was taken to be alive, in milliseconds since boot: ready, or a sign of life.
    pub(super) well_ms: u64,
    /// When it last has shown to be well, in milliseconds since boot. For a service with a health check
    /// only a sign of life shows it: one that starts again and again and never gives any is not well.
    pub(super) sound_ms: u64,
    /// Why its process was killed on its own account: its end is a failure.
    pub(super) unwell: Option<String>,
}

impl Service {
    pub(super) fn new(specification: Specification, now_ms: u64) -> Self {
        Self { specification, since_ms: now_ms, well_ms: now_ms, sound_ms: now_ms, ..Self::default() }
    }

    /// Why it is down, where that needs a reason.
    pub(crate) fn reason(&self) -> Option<&str> {
        let stuck = self.stuck.then_some("it was killed and has not died: it is stuck in the kernel");
        stuck.or(self.reason.as_deref())
    }

    /// When it must have become ready, or shown that it lives, in milliseconds since boot.
    fn alive_deadline_ms(&self) -> Option<u64> {
        let (since_ms, within_s) = match self.state {
            State::Starting => (self.started_ms, self.pid.and(self.specification.ready_within_s)?),
            State::Ready => (self.well_ms, self.specification.health.as_ref()?.within_s),
            _ => return None,
        };
        Some(since_ms.saturating_add(within_s.saturating_mul(1_000)))
    }

    /// Kills a process that has not become ready, or not shown that it lives. Its end counts as a failure.
    pub(super) fn check_alive(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.alive_deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            let silent_s = |since_ms| now_ms.saturating_sub(since_ms) / 1_000;
            let why = match self.state {
                State::Starting => format!("it was not ready within {} s", silent_s(self.started_ms)),
                _ => format!("it gave no sign of life for {} s", silent_s(self.well_ms)),
            };
            actions.push(Action::Announce(format!("{}: {why} and is killed", self.specification.name)));
            self.unwell = Some(why);
            self.kill(Next::Start, KILL_DEADLINE_MS, now_ms, actions);
        }
    }

    /// For how long it has not been well, in milliseconds, where the watchdog is to know.
    pub(super) fn overdue_ms(&self, now_ms: u64) -> Option<u64> {
        let patience_ms = self.specification.watchdog_s?.saturating_mul(1_000);
        if self.state == State::Stopped || self.is_sound() {
            return None;
        }
        Some(now_ms.saturating_sub(self.sound_ms)).filter(|ill_ms| *ill_ms > patience_ms)
    }

    /// Whether being ready is all that can be asked of it, and it is.
    fn is_sound(&self) -> bool {
        self.specification.health.is_none() && self.state == State::Ready
    }

    /// From SIGTERM to SIGKILL, in milliseconds.
    fn stop_deadline_ms(&self) -> u64 {
        self.specification.stop.deadline_s.saturating_mul(1_000)
    }

    pub(super) fn enter(&mut self, state: State, now_ms: u64) {
        if self.is_sound() {
            self.sound_ms = now_ms;
        }
        self.state = state;
        self.since_ms = now_ms;
        if !matches!(state, State::Stopping { .. }) {
            self.stuck = false;
        }
        if matches!(state, State::Waiting | State::Starting | State::Ready) {
            self.reason = None;
        }
    }

    /// When something is due, in milliseconds since boot.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        match self.state {
            State::Backoff { until_ms } => Some(until_ms),
            State::Stopping { press_ms, .. } if !self.stuck => Some(press_ms),
            _ => self.alive_deadline_ms(),
        }
    }

    /// Asks the process to end.
    pub(super) fn stop(&mut self, next: Next, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(pid) = self.pid else {
            self.enter(if next == Next::Start { State::Waiting } else { State::Stopped }, now_ms);
            return;
        };
        actions.push(Action::Terminate { name: self.specification.name.clone(), pid });
        let press_ms = now_ms.saturating_add(self.stop_deadline_ms());
        self.enter(State::Stopping { press_ms, killed: false, next }, now_ms);
    }

    /// Makes the process end.
    pub(super) fn kill(&mut self, next: Next, deadline_ms: u64, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(pid) = self.pid else { return };
        actions.push(Action::Kill { name: self.specification.name.clone(), pid });
        let press_ms = now_ms.saturating_add(deadline_ms);
        let since_ms = if matches!(self.state, State::Stopping { .. }) { self.since_ms } else { now_ms };
        self.enter(State::Stopping { press_ms, killed: true, next }, since_ms);
    }

    /// Presses a stopping process harder where its deadline has passed.
    pub(super) fn press(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let State::Stopping { press_ms, killed, next } = self.state else { return };
        if press_ms > now_ms || self.stuck {
            return;
        }
        let name = &self.specification.name;
        if killed {
            let line = format!("{name} does not die of SIGKILL: it is stuck in the kernel");
            actions.push(Action::Announce(line));
            self.stuck = true;
        } else {
            let line = format!("{name} did not stop within {} ms and is killed", self.stop_deadline_ms());
            actions.push(Action::Announce(line));
            self.kill(next, KILL_DEADLINE_MS, now_ms, actions);
        }
    }
}
