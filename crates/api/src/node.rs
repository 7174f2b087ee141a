//! The management API: the node, its drives and its services.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/drives/{id}/format`: the agent hands it on to the drive as it is.
pub use crate::drive::FormatOrder;
use crate::drive::State;

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

/// Answer of `GET /v1/drives`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drives {
    /// Every drive that the node has or had since it booted, by ID.
    pub drives: Vec<Drive>,
}

/// One drive, as the node knows it from init, the drive's own process, sysfs and smartctl.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drive {
    /// Its name on this node and in paths: the WWN, or the serial, or the kernel's name.
    pub id: String,
    /// The device file, for example `/dev/nvme0n1`.
    pub device: Option<String>,
    /// World-wide name, as the kernel writes it.
    pub wwn: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// How it is attached.
    pub bus: Bus,
    /// Whole size in bytes, zones' unusable ends included.
    pub capacity_bytes: Option<u64>,
    /// Bytes in a logical block, the unit of addressing.
    pub logical_block_bytes: Option<u64>,
    /// Bytes in a physical block, the unit of writing.
    pub physical_block_bytes: Option<u64>,
    /// Its zones.
    pub zones: Zones,
    /// What it does now.
    pub state: DriveState,
    /// Why it is in that state, in one sentence, where that needs a reason.
    pub state_reason: Option<String>,
    /// The 32 hex digits that formatting wrote in its label; `null` where it has none.
    pub drive_id: Option<String>,
    /// TCP port of its data API on this node.
    pub data_port: Option<u16>,
    /// Blocks stored.
    pub blocks_stored: Option<u64>,
    /// Bytes of stored blocks, deleted ones not counted.
    pub bytes_live: Option<u64>,
    /// Bytes that can still be written.
    pub bytes_free: Option<u64>,
    /// Blocks known to be damaged; the drive's data API lists them under `/v1/damage`.
    pub blocks_damaged: Option<u64>,
    /// Milliseconds since the drive's process said the above; `null` where it never did.
    pub answered_ms_ago: Option<u64>,
    /// The service that runs it, for example `drive@5000c500a1b2c3d4`.
    pub service: Option<String>,
    /// What that service does now.
    pub service_state: Option<ServiceState>,
    /// SMART's overall status.
    pub smart: Smart,
}

/// How a drive is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bus {
    /// NVMe.
    Nvme,
    /// SCSI: SAS, or SATA behind the kernel's translation.
    Scsi,
    /// The kernel's null block device: a test drive.
    #[serde(rename = "null_blk")]
    NullBlock,
    /// A file that simulates a drive.
    Simulated,
    /// Not known, or one that this version has no name for.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a drive does now: what its own process says, or why that says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DriveState {
    /// Its process was started and has not answered yet.
    Starting,
    /// Its label and log are being read.
    Mounting,
    /// Nothing is written on it: it waits for a format order.
    Unformatted,
    /// It holds data that is not Imbrex's.
    Foreign,
    /// Another version of Imbrex formatted it, or its label cannot be trusted.
    Incompatible,
    /// It is being formatted.
    Formatting,
    /// Reads and writes are served.
    Serving,
    /// Reads are served, writes refused.
    #[serde(alias = "read_only")]
    ReadOnly,
    /// Its process is stopping and takes no new work.
    Draining,
    /// Neither reads nor writes can be served.
    Failed,
    /// Its process runs but did not answer in time: what is told of it is the last that was known.
    Unresponsive,
    /// Its process does not run.
    Stopped,
    /// It was there and went away.
    Missing,
    /// Not known, or a state that this version has no name for.
    #[default]
    #[serde(other)]
    Unknown,
}

impl DriveState {
    /// Every state, in the order of this page.
    pub const ALL: [Self; 14] = [
        Self::Starting,
        Self::Mounting,
        Self::Unformatted,
        Self::Foreign,
        Self::Incompatible,
        Self::Formatting,
        Self::Serving,
        Self::ReadOnly,
        Self::Draining,
        Self::Failed,
        Self::Unresponsive,
        Self::Stopped,
        Self::Missing,
        Self::Unknown,
    ];

    /// The word for it in JSON, in metrics and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Mounting => "mounting",
            Self::Unformatted => "unformatted",
            Self::Foreign => "foreign",
            Self::Incompatible => "incompatible",
            Self::Formatting => "formatting",
            Self::Serving => "serving",
            Self::ReadOnly => "read-only",
            Self::Draining => "draining",
            Self::Failed => "failed",
            Self::Unresponsive => "unresponsive",
            Self::Stopped => "stopped",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

impl From<State> for DriveState {
    /// What a drive's own process says, in the words of the node.
    fn from(state: State) -> Self {
        match state {
            State::Mounting => Self::Mounting,
            State::Unformatted => Self::Unformatted,
            State::Foreign => Self::Foreign,
            State::Incompatible => Self::Incompatible,
            State::Formatting => Self::Formatting,
            State::Serving => Self::Serving,
            State::ReadOnly => Self::ReadOnly,
            State::Failed => Self::Failed,
            State::Draining => Self::Draining,
            State::Unknown => Self::Unknown,
        }
    }
}

/// A drive's zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Zones {
    /// How many there are.
    pub count: Option<u64>,
    /// Size of one, in bytes: the step from one zone's start to the next.
    pub size_bytes: Option<u64>,
    /// What can be written to one, in bytes; less than its size on some drives.
    pub capacity_bytes: Option<u64>,
    /// How many are conventional: written anywhere, in any order.
    pub conventional: Option<u64>,
    /// How many may be open at a time; 0 where the drive states no limit.
    pub open_max: Option<u64>,
    /// How many may be active (open or closed) at a time; 0 where the drive states no limit.
    pub active_max: Option<u64>,
    /// How many are in each condition.
    pub conditions: Option<ZoneConditions>,
}

/// How many zones are in each condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneConditions {
    /// Conventional: without a write pointer.
    pub conventional: u64,
    /// Nothing written.
    pub empty: u64,
    /// Open, by a write or by an explicit command.
    pub open: u64,
    /// Partly written and not open.
    pub closed: u64,
    /// Full.
    pub full: u64,
    /// Can be read only.
    pub read_only: u64,
    /// Can be neither read nor written.
    pub offline: u64,
}

/// SMART's overall status as smartctl gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Smart {
    /// The status.
    pub status: SmartStatus,
    /// Why, in smartctl's own words where it gave some.
    pub reason: Option<String>,
    /// When smartctl was last asked, in seconds since 1970 by the node's clock.
    pub checked_at_unix_s: Option<u64>,
}

/// SMART's overall status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmartStatus {
    /// The drive says that it is well.
    Passed,
    /// The drive says that it fails.
    Failed,
    /// Nobody could tell: never taken for either of the others.
    #[default]
    #[serde(other)]
    Unknown,
}

impl SmartStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Failed, Self::Unknown];

    /// The word for it in JSON, in metrics and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_drive_is_written_as_the_word_for_it_and_read_back() {
        for state in DriveState::ALL {
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("{:?}", state.as_str()));
            assert_eq!(serde_json::from_str::<DriveState>(&json).unwrap(), state);
        }
        assert_eq!(
            serde_json::from_str::<DriveState>("\"of-another-version\"").unwrap(),
            DriveState::Unknown
        );
    }

    #[test]
    fn every_state_that_a_drive_says_keeps_its_word() {
        for state in State::ALL {
            assert_eq!(DriveState::from(state).as_str(), state.as_str());
        }
    }
}
