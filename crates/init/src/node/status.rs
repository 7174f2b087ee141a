//! The answers of the control socket.

use super::{INIT, Node, platform};
use crate::boot::{NO_CONFIGURATION, Record};
use crate::logs::Ring;
use crate::supervisor::{Service, State};
use serde::Serialize;

/// How many of its last lines stand in the reason of a service that is down.
const LAST_LINES: usize = 3;

#[derive(Debug, Serialize)]
struct Status<'a> {
    ok: bool,
    node: NodeStatus<'a>,
    boot: &'a [Record],
    services: Vec<ServiceStatus>,
    drives: Vec<DriveStatus>,
}

#[derive(Debug, Serialize)]
struct NodeStatus<'a> {
    state: &'static str,
    reason: Option<&'static str>,
    config_url: Option<&'a str>,
    uptime_ms: u64,
}

#[derive(Debug, Serialize)]
struct ServiceStatus {
    name: String,
    state: &'static str,
    pid: Option<i32>,
    restarts: u64,
    since_ms: u64,
    last_exit: Option<String>,
    rss_bytes: Option<u64>,
    /// Why it is down.
    reason: Option<String>,
    /// What it said last, where it is down.
    last_lines: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DriveStatus {
    id: String,
    device: String,
    /// None before the node has a configuration.
    port: Option<u16>,
    socket: String,
    service: String,
    model: String,
    serial: String,
    /// Whether it is there.
    present: bool,
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    ok: bool,
    lines: Vec<&'a str>,
    lost: u64,
}

impl Node {
    /// The answer to `status`, as one line.
    pub(super) fn status(&self) -> Vec<u8> {
        let (state, reason) = self.state();
        let config_url = self.command_line.config_url.as_deref();
        let status = Status {
            ok: true,
            node: NodeStatus { state, reason, config_url, uptime_ms: platform::now_ms() },
            boot: self.boot.records(),
            services: self.service_statuses(),
            drives: self.drive_statuses(),
        };
        serde_json::to_vec(&status).unwrap_or_else(|error| refusal(&error.to_string()))
    }

    fn state(&self) -> (&'static str, Option<&'static str>) {
        if self.supervisor.stopping() {
            ("stopping", Some(self.ending.verb()))
        } else if self.command_line.config_url.is_none() {
            ("maintenance", Some(NO_CONFIGURATION))
        } else if self.boot.finished() {
            ("running", None)
        } else {
            ("booting", None)
        }
    }

    fn service_statuses(&self) -> Vec<ServiceStatus> {
        let init = ServiceStatus {
            name: INIT.to_owned(),
            state: "ready",
            pid: Some(1),
            restarts: 0,
            since_ms: self.boot.records().first().map_or(0, |record| record.started_ms),
            last_exit: None,
            rss_bytes: platform::rss_bytes(1),
            reason: None,
            last_lines: Vec::new(),
        };
        let others = self.supervisor.services().values().map(|service| self.service_status(service));
        std::iter::once(init).chain(others).collect()
    }

    fn service_status(&self, service: &Service) -> ServiceStatus {
        let name = service.specification.name.clone();
        let down = matches!(service.state, State::Backoff { .. } | State::Maintenance);
        let ring = self.logs.get(&name).filter(|_| down);
        let mut last_lines: Vec<String> = ring
            .map(|ring| ring.lines().rev().take(LAST_LINES).map(str::to_owned).collect())
            .unwrap_or_default();
        last_lines.reverse();
        ServiceStatus {
            state: state_name(service.state),
            pid: service.pid,
            restarts: service.starts.saturating_sub(1),
            since_ms: service.since_ms,
            last_exit: service.last_exit.clone(),
            rss_bytes: service.pid.and_then(platform::rss_bytes),
            reason: service.reason.clone(),
            last_lines,
            name,
        }
    }

    fn drive_statuses(&self) -> Vec<DriveStatus> {
        let status = |drive: &crate::drives::Drive| DriveStatus {
            id: drive.found.id.clone(),
            device: drive.found.device.clone(),
            port: drive.port,
            socket: drive.socket(),
            service: drive.service(),
            model: drive.found.model.clone(),
            serial: drive.found.serial.clone(),
            present: drive.present,
        };
        self.drives.drives().map(status).collect()
    }

    /// The answer to `log`, as one line.
    pub(super) fn log(&self, service: &str) -> Vec<u8> {
        let known = service == INIT || self.supervisor.services().contains_key(service);
        let empty = Ring::default();
        let Some(ring) = self.logs.get(service).or_else(|| known.then_some(&empty)) else {
            return refusal(&crate::supervisor::orders::unknown(service));
        };
        let log = Log { ok: true, lines: ring.lines().collect(), lost: ring.lost() };
        serde_json::to_vec(&log).unwrap_or_else(|error| refusal(&error.to_string()))
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
    serde_json::json!({ "ok": false, "error": error }).to_string().into_bytes()
}
