//! The management API: the node, its drives and its services.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod drive;
mod service;

/// Body of `POST /v1/drives/{id}/format`: the agent hands it on to the drive as it is.
pub use crate::drive::FormatOrder;
pub use drive::{Bus, Drive, DriveState, Drives, Smart, SmartStatus, ZoneConditions, Zones};
pub use service::{Service, ServiceState, Services};

/// The word in [`FormatOrder::replace`] for a drive that holds data which is not Imbrex's.
pub const REPLACE_FOREIGN: &str = "foreign";

/// The node: what it is, how it booted and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// The node's name, from its configuration; `null` before it has one.
    pub name: Option<String>,
    /// The version of Imbrex that runs.
    pub version: String,
    /// What the node does now.
    pub state: NodeState,
    /// Why it is in that state, in one sentence, where that needs a reason.
    pub reason: Option<String>,
    /// Where its configuration came from.
    pub config_url: Option<String>,
    /// Milliseconds since the kernel started.
    pub uptime_ms: Option<u64>,
    /// The stages of the boot, in order.
    pub boot: Vec<BootStage>,
    /// SHA-256 of the management API's certificate: upper-case hex pairs with colons.
    pub certificate_sha256: Option<String>,
    /// The kernel's release, as `uname -r` says it.
    pub kernel_release: Option<String>,
    /// The node's memory.
    pub memory: Memory,
    /// Resident memory of the agent that answers, in bytes.
    pub agent_rss_bytes: Option<u64>,
    /// The hardware watchdog that init feeds; `null` where the machine has none.
    #[serde(default)]
    pub watchdog: Option<Watchdog>,
    /// What the machine wrote into its persistent store before it died last: the telling lines.
    #[serde(default)]
    pub last_crash: Vec<String>,
    /// How often the clock was stepped since the boot, by half a second or more.
    #[serde(default)]
    pub clock_steps: u64,
    /// How many of init's helpers were killed because they took too long, and have not died: they are stuck in the kernel.
    #[serde(default)]
    pub helpers_stuck: u64,
}

/// The hardware watchdog, which resets the machine when init no longer feeds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Watchdog {
    /// Its name in `/dev`.
    pub device: String,
    /// What it calls itself.
    pub identity: String,
    /// How long it waits for its food, in seconds.
    pub timeout_s: u32,
    /// How long before its end the kernel panics, in seconds; `null` where it cannot.
    pub pretimeout_s: Option<u32>,
    /// Why the machine started, as its driver tells: the flags of linux/watchdog.h.
    pub boot_status: u32,
    /// Whether it has reset the machine before this boot.
    pub reset_by_watchdog: bool,
    /// Why it is not fed any more, in one sentence.
    pub starved: Option<String>,
}

/// What a node does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// The stages of the boot are still under way.
    Booting,
    /// Booted; the drives' processes are kept running.
    Running,
    /// Up, but it waits for a person: the reason says for what.
    Maintenance,
    /// On its way to power off or reboot.
    Stopping,
    /// Init did not answer, so that nobody can say.
    #[default]
    #[serde(other)]
    Unknown,
}

impl NodeState {
    /// The word for it in JSON, in metrics and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Running => "running",
            Self::Maintenance => "maintenance",
            Self::Stopping => "stopping",
            Self::Unknown => "unknown",
        }
    }
}

/// One named stage of the boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BootStage {
    /// The stage's name.
    pub stage: String,
    /// When it started, in milliseconds since the kernel started.
    pub started_ms: u64,
    /// How long it took; `null` while it runs.
    pub took_ms: Option<u64>,
    /// How it ended.
    pub outcome: BootOutcome,
    /// More about it, in one sentence.
    pub detail: Option<String>,
}

/// How a stage of the boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootOutcome {
    /// It did what it is for.
    Done,
    /// It did not; the detail says why.
    Failed,
    /// It is under way.
    Running,
    /// An outcome that this version has no name for.
    #[serde(other)]
    Unknown,
}

/// The node's memory, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    /// All memory that the kernel manages, in bytes.
    pub total_bytes: Option<u64>,
    /// What could be given to programs without swapping, in bytes.
    pub available_bytes: Option<u64>,
}
/// Body of `POST /v1/drives/{id}/restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartOrder {
    /// `false` stops the process in order and starts it again, `true` kills it and starts it again.
    #[serde(default)]
    pub force: bool,
}

/// Body of `POST /v1/node/kexec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KexecOrder {
    /// Where the kernel is: `http://HOST[:PORT]/PATH`.
    pub kernel_url: String,
    /// Where its initrd is: `http://HOST[:PORT]/PATH`.
    pub initrd_url: String,
}

/// Answer to an order that was taken and is carried out after the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// What happens next, in one sentence.
    pub detail: String,
}
