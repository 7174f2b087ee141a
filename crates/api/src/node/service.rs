//! The services that init keeps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/services`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// Every service that init keeps.
    pub services: Vec<Service>,
}

/// One service that init keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its name, for example `agent` or `drive@5000c500a1b2c3d4`.
    pub name: String,
    /// What it does now.
    pub state: ServiceState,
    /// Its process, where one runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// When it came into this state, in milliseconds since the kernel started.
    pub since_ms: Option<u64>,
    /// How its last process ended, for example `killed by signal 9`.
    pub last_exit: Option<String>,
    /// Resident memory of its process, in bytes.
    pub rss_bytes: Option<u64>,
    /// Where the kernel kills it, in mebibytes; `null` where nothing bounds it.
    #[serde(default)]
    pub memory_max_mib: Option<u64>,
    /// How often the kernel has killed it for want of memory since the boot.
    #[serde(default)]
    pub oom_kills: u64,
    /// Lines of its log that were thrown away: it said more than is kept.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// Why it is down, in one sentence, where it is.
    #[serde(default)]
    pub reason: Option<String>,
    /// The last lines that it wrote, where it is down.
    #[serde(default)]
    pub last_lines: Vec<String>,
}

/// What a service does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Started, and not yet ready.
    Starting,
    /// Ready.
    Ready,
    /// It ended, and waits before it is started again.
    Backoff,
    /// It ended too often: it stays down until a person starts it.
    Maintenance,
    /// Asked to stop, and still running.
    Stopping,
    /// Not running, as ordered.
    Stopped,
    /// Not known, or a state that this version has no name for.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ServiceState {
    /// The word for it in JSON, in metrics and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Maintenance => "maintenance",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}
