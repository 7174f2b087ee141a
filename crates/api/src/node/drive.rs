//! The drives, as a node tells of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::ServiceState;
use crate::drive::{ScrubStatus, State};

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
    /// Zones that cannot be read and may hold blocks that nothing else tells of. As long as there is one, the blocks that
    /// should stand on this drive and are not listed have to be repaired from their copies.
    #[serde(default)]
    pub unknown_zones: Option<u64>,
    /// Since when the drive is many times slower than it was before, in seconds since 1970; `null` where it is not, or nobody
    /// knows.
    #[serde(default)]
    pub slow_since_unix_s: Option<u64>,
    /// Why the drive keeps no checkpoints of its index now, in one sentence: its next mount takes long. `null` where it keeps
    /// them, or nobody knows.
    #[serde(default)]
    pub without_checkpoints: Option<String>,
    /// How far its scrub is, as its process said within the last minute or so; `null` where it did not.
    #[serde(default)]
    pub scrub: Option<ScrubStatus>,
    /// The firmware note by which the drive must not hold data, with its title: the node does not format it. `null` where
    /// there is none.
    #[serde(default)]
    pub refused_by: Option<String>,
    /// Milliseconds since the drive's process said the above, but for the scrub; `null` where it never did.
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
