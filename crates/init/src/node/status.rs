//! The answers of the control socket.

use super::{INIT, Node, platform};
use crate::boot::NO_CONFIGURATION;
use crate::logs::Ring;
use crate::supervisor::{Service, State};
use serde_json::{Value, json};

/// How many of its last lines stand in the status of a service that is down.
const LAST_LINES: usize = 3;

impl Node {
    /// The answer to `status`, as one line.
    pub(super) fn status(&self) -> Vec<u8> {
        let (state, reason) = self.state();
        let init = json!({
            "name": INIT,
            "state": "ready",
            "pid": 1,
            "restarts": 0,
            "since_ms": self.boot.records().first().map_or(0, |record| record.started_ms),
            "rss_bytes": platform::rss_bytes(1),
            "log_lines_lost": self.logs.get(INIT).map_or(0, Ring::lost),
        });
        let others = self.supervisor.services().values().map(|service| self.service(service));
        let status = json!({
            "ok": true,
            "node": {
                "state": state,
                "reason": reason,
                "config_url": self.command_line.config_url,
                "uptime_ms": platform::now_ms(),
                "clock_steps": self.clock.steps,
                "watchdog": self.watchdog,
                "last_crash": self.last_crash,
                "helpers_stuck": self.helpers.stuck(),
            },
            "boot": self.boot.records(),
            "services": std::iter::once(init).chain(others).collect::<Vec<Value>>(),
            "drives": self.plan.drives,
            "logs": self.logs.keys().collect::<Vec<_>>(),
        });
        status.to_string().into_bytes()
    }

    fn state(&self) -> (&'static str, Option<&str>) {
        if self.supervisor.stopping() {
            ("stopping", Some(self.ending.verb()))
        } else if self.command_line.config_url.is_none() {
            ("maintenance", Some(NO_CONFIGURATION))
        } else if self.plan.refused.is_some() {
            ("maintenance", self.plan.refused.as_deref())
        } else if self.boot.finished() {
            ("running", None)
        } else {
            ("booting", None)
        }
    }

    fn service(&self, service: &Service) -> Value {
        let name = &service.specification.name;
        let down = matches!(service.state, State::Backoff { .. } | State::Maintenance);
        let ring = self.logs.get(name);
        json!({
            "name": name,
            "state": state_name(service.state),
            "pid": service.pid,
            "restarts": service.starts.saturating_sub(1),
            "since_ms": service.since_ms,
            "last_exit": service.last_exit,
            "rss_bytes": service.pid.and_then(platform::rss_bytes),
            "memory_max_mib": service.specification.limits.memory_max_mib,
            "oom_kills": self.out_of_memory.get(name).map_or(0, |memory| memory.kills),
            "log_lines_lost": ring.map_or(0, Ring::lost),
            "reason": service.reason(),
            "last_lines": ring.filter(|_| down).map(|ring| ring.last(LAST_LINES)).unwrap_or_default(),
        })
    }

    /// The answer to `log`, as one line.
    pub(super) fn log(&mut self, service: &str, from: u64) -> Vec<u8> {
        let known = service == INIT || self.supervisor.services().contains_key(service);
        let mut empty = Ring::default();
        let Some(ring) = self.logs.get_mut(service).or_else(|| known.then_some(&mut empty)) else {
            return refusal(&crate::supervisor::orders::unknown(service));
        };
        ring.tell_dropped();
        let (first, lines) = ring.lines_from(from);
        let (times_ms, lines): (Vec<u64>, Vec<String>) = lines.into_iter().unzip();
        let log =
            json!({ "ok": true, "first": first, "lines": lines, "times_ms": times_ms, "lost": ring.lost() });
        log.to_string().into_bytes()
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Waiting | State::Starting => "starting",
        State::Ready => "ready",
        State::Backoff { .. } => "backoff",
        State::Maintenance => "maintenance",
        State::Stopping { .. } => "stopping",
        State::Stopped => "stopped",
    }
}

/// The answer that says why not, as one line.
pub(super) fn refusal(error: &str) -> Vec<u8> {
    json!({ "ok": false, "error": error }).to_string().into_bytes()
}
