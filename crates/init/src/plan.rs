//! What a node is to run: the helper works it out of manifests, configuration and drives, and PID 1
//! makes what runs equal to it. A service that is in the plan runs, one that is not is stopped.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the helper leaves the plan.
pub const FILE: &str = "/run/imbrex/plan.json";
/// Where the node's configuration is, once it was fetched.
pub const NODE_TOML: &str = "/run/imbrex/node.toml";
/// Name of the management API's service.
pub const AGENT: &str = "agent";
/// What the names of the drives' services begin with.
pub const DRIVE: &str = "drive@";

/// Everything that init is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The services that are to run.
    pub services: Vec<Specification>,
    /// The drives that are there, and those that were.
    pub drives: Vec<Drive>,
    /// The drives of the boot have their ports, or never will for want of a configuration.
    pub settled: bool,
    /// Why no drive is served, where their budgets do not fit: the arithmetic.
    pub refused: Option<String>,
    /// When to make another although nothing has happened, in milliseconds since boot: a drive could not be read.
    pub again_ms: Option<u64>,
    /// Lines for init's log.
    pub record: Vec<String>,
    /// Lines for the console too.
    pub announce: Vec<String>,
}

/// A drive that is there, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// WWN, else serial, else the kernel's name.
    pub id: String,
    /// The device file.
    pub device: String,
    /// Its data port; none before the node has a configuration.
    pub port: Option<u16>,
    /// Its data API's Unix socket.
    pub socket: String,
    /// The name of its service.
    pub service: String,
    /// Model, empty where the drive has none.
    pub model: String,
    /// Serial number, empty where the drive has none.
    pub serial: String,
    /// How much it holds, in bytes.
    pub capacity_bytes: u64,
    /// The kernel's number of this appearance of it: a drive that was away has another one when it comes back.
    pub sequence: u64,
    /// Whether it is there.
    pub present: bool,
    /// Why it alone is not served.
    pub refused: Option<String>,
}

/// What makes a service start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The boot, as soon as it can.
    #[default]
    Boot,
    /// The network's turn.
    Network,
    /// A configuration that wants it.
    Configuration,
    /// A drive that appears.
    Drive,
}

/// How a service tells that it is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It writes `READY` to the descriptor that `IMBREX_READY_FD` names.
    Pipe,
    /// It sends `READY=1` to the socket that `NOTIFY_SOCKET` names: sd_notify(3).
    SdNotify,
    /// It is taken to be ready as soon as it runs.
    #[default]
    Started,
}

/// What becomes of a service that fails again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashLoop {
    /// It stays down, says why, and waits for a person.
    #[default]
    Maintenance,
    /// It is started again for ever. Only for services without which no person could reach the
    /// node to clear a maintenance: the management API and the network.
    RetryForEver,
}

/// How a service shows that it lives: a command that succeeds, or `WATCHDOG=1` of sd_notify(3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Program and arguments; none where the service tells by itself.
    #[serde(default)]
    pub command: Vec<String>,
    /// How often the command runs, in seconds; it is killed after as long.
    #[serde(default)]
    pub every_s: u64,
    /// With no sign of life for so long, the service is killed and starts again, in seconds.
    pub within_s: u64,
}

/// How a service is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// At shutdown lower numbers stop first, equal ones at the same time.
    pub order: u8,
    /// From SIGTERM to SIGKILL, in seconds: 60 at most, so that a shutdown stays bounded.
    pub deadline_s: u64,
}

impl Default for Stop {
    fn default() -> Self {
        Self { order: 20, deadline_s: 5 }
    }
}

/// What a service may use; what is not given is the kernel's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory that is kept for it, in mebibytes: its budget, which counts in the node's sum.
    pub memory_min_mib: Option<u64>,
    /// Where the kernel begins to slow it down, in mebibytes.
    pub memory_high_mib: Option<u64>,
    /// Where the kernel kills it, in mebibytes.
    pub memory_max_mib: Option<u64>,
    /// The most processes and threads.
    pub pids_max: Option<u64>,
    /// Its share of each drive, 1 to 10000. With one in any manifest the helper has the kernel heed them.
    pub io_weight: Option<u64>,
    /// Its share of the processors, 1 to 10000.
    pub cpu_weight: Option<u64>,
    /// Added to its badness when memory runs out, -1000 to 1000.
    pub oom_score: i16,
}

/// A service: what the supervisor keeps running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Specification {
    /// Its name, for example `drive@naa.5000c500a1b2c3d4`; unique.
    pub name: String,
    /// Absolute path of the program, and its arguments.
    pub command: Vec<String>,
    /// Its whole environment, save what init itself has to tell it.
    pub environment: BTreeMap<String, String>,
    /// What makes it start.
    pub start: Start,
    /// Services whose first start must have been tried before this one starts: an order, not a
    /// condition on their health, so that none that fails takes another down.
    pub needs: Vec<String>,
    /// Services that must be ready for this one to run: it stops when one of them is not.
    pub binds_to: Vec<String>,
    /// How it tells that it is ready.
    pub readiness: Readiness,
    /// Not ready for so long after its start, in seconds, it is killed: that is a failure.
    pub ready_within_s: Option<u64>,
    /// How it shows that it lives, where it is asked to.
    pub health: Option<Health>,
    /// Not well for so long, in seconds, the hardware watchdog is no longer fed on its behalf.
    pub watchdog_s: Option<u64>,
    /// What becomes of it when it fails again and again.
    pub crash_loop: CrashLoop,
    /// How it is stopped.
    pub stop: Stop,
    /// What it may use.
    pub limits: Limits,
}
