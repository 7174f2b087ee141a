//! The data API of one drive: its status, its listings, its figures and its one order.
//!
//! Blocks themselves travel as bytes, not as JSON: `PUT`, `GET`, `HEAD` and `DELETE` on
//! `/v1/blocks/{key}`. Everything else that a drive's process says is here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::ZoneConditions;

mod stats;

pub use stats::{DriveStats, GETS_BUCKETS, Load, gets_bucket_us_max};

/// The status with which a drive's process ends where the device could not be opened, or its zones not be read, though it
/// is there and nobody else has it (`sysexits.h`: EX_IOERR).
pub const EXIT_DEVICE_FAILED: u8 = 74;

/// Answer of `GET /v1/drive`: who the drive is and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriveStatus {
    /// The drive's name on its node and in paths: the WWN, or the serial, or the kernel's name.
    pub id: String,
    /// The 32 hex digits that formatting wrote in its label; `null` where no label was read.
    pub drive_id: Option<String>,
    /// World-wide name, as the kernel writes it.
    pub wwn: Option<String>,
    /// Serial number: what a format order has to name. `null` where the drive tells none; its `id` is
    /// named instead.
    pub serial: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// How it is attached: `nvme`, `scsi`, `null_blk` or `simulated`.
    pub bus: String,
    /// The device file, or the file of a simulated drive.
    pub path: String,
    /// Size of the whole drive in bytes, labels, headers and the unusable ends of zones included.
    pub capacity_bytes: u64,
    /// Its shape.
    pub geometry: Geometry,
    /// How many of its zones are in each condition; `null` before they were counted.
    pub zones: Option<ZoneConditions>,
    /// What it does now.
    pub state: State,
    /// Why it is in that state, in one sentence, where that needs a reason.
    pub state_reason: Option<String>,
    /// The address of its data API as the process sees it, for example `[::]:7500`.
    pub data_address: Option<String>,
    /// The TCP port of that address.
    pub data_port: Option<u16>,
    /// Blocks that can be read; `null` where the drive is not mounted, as are the four sizes below.
    pub blocks: Option<u64>,
    /// The number of blocks that the index holds at most.
    pub blocks_max: Option<u64>,
    /// Bytes of stored blocks that can be read. Rounded up to whole units of 4 KiB for blocks that were
    /// found when the drive was mounted.
    pub live_bytes: Option<u64>,
    /// Bytes of deleted blocks whose zone has not been reclaimed.
    pub dead_bytes: Option<u64>,
    /// Bytes in which new blocks can be written.
    pub free_bytes: Option<u64>,
    /// Blocks known to be damaged; `GET /v1/damage` lists them.
    pub damaged_blocks: u64,
    /// Why the drive keeps no checkpoints of its index now, in one sentence; `null` where it keeps them. Without
    /// them its next mount takes long: every zone's footer is read.
    pub without_checkpoints: Option<String>,
    /// Zones that cannot be read and may hold blocks that nothing else tells of. As long as there is one, a key that is not
    /// found is answered 500 `block-unknown`, not 404.
    #[serde(default)]
    pub unknown_zones: u32,
    /// Since when the drive is many times slower than it was before, in seconds since 1970: its scrub and what else can wait
    /// is held back, for an hour at the most. `null` where it is not.
    #[serde(default)]
    pub slow_since_unix_s: Option<u64>,
    /// Memory that the engine took at start, in bytes: index, buffers and tables.
    pub memory_bytes: u64,
    /// How long the last mount took, in microseconds; `null` where the drive is not mounted.
    pub mount_us: Option<u64>,
    /// When the drive was formatted, in seconds since 1970.
    pub formatted_at_unix_s: Option<u64>,
    /// The version of Imbrex that runs the drive.
    pub version: String,
}

/// The shape of a zoned drive, as the drive itself tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Geometry {
    /// The number of zones.
    pub zone_count: u32,
    /// From one zone's start to the next, in bytes. What can be written to a zone may be less.
    pub zone_size_bytes: u64,
    /// How many zones may be open at once; `null` where the drive sets no limit.
    pub zone_open_max: Option<u32>,
    /// How many zones may be open or closed at once; `null` where the drive sets no limit.
    pub zone_active_max: Option<u32>,
    /// The unit of writing in bytes.
    pub write_unit_bytes: u32,
    /// The unit of addressing in bytes.
    pub logical_block_bytes: u32,
    /// Whether the medium rotates.
    pub rotational: bool,
}

/// What a drive does now. Also the `state` of a problem that the state explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its label and log are being read.
    Mounting,
    /// Nothing is written on it: it waits for a format order.
    Unformatted,
    /// It holds data that is not Imbrex's; the reason says how that was seen.
    Foreign,
    /// Another version of Imbrex formatted it, or its label cannot be trusted.
    Incompatible,
    /// It is being formatted.
    Formatting,
    /// It serves.
    Serving,
    /// It answers reads; writes are refused for the reason given.
    #[serde(alias = "read_only")]
    ReadOnly,
    /// It has stopped; the reason says why.
    Failed,
    /// It finishes what it has begun and takes no more.
    Draining,
    /// Not known, or a state that this version has no name for.
    #[default]
    #[serde(other)]
    Unknown,
}

impl State {
    /// Every state, in the order of this page.
    pub const ALL: [Self; 10] = [
        Self::Mounting,
        Self::Unformatted,
        Self::Foreign,
        Self::Incompatible,
        Self::Formatting,
        Self::Serving,
        Self::ReadOnly,
        Self::Failed,
        Self::Draining,
        Self::Unknown,
    ];

    /// The word for it in JSON, in metrics and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mounting => "mounting",
            Self::Unformatted => "unformatted",
            Self::Foreign => "foreign",
            Self::Incompatible => "incompatible",
            Self::Formatting => "formatting",
            Self::Serving => "serving",
            Self::ReadOnly => "read-only",
            Self::Failed => "failed",
            Self::Draining => "draining",
            Self::Unknown => "unknown",
        }
    }
}

/// Body of `POST /v1/format`, which a drive takes on its Unix socket only. Formatting destroys everything
/// on the drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatOrder {
    /// The drive's serial number, or its `id` where it tells none: the proof that this drive is meant.
    pub serial: String,
    /// For a drive that holds data: its present `drive_id` (32 hex digits), or the word
    /// [`foreign`](crate::node::REPLACE_FOREIGN) where the data is not Imbrex's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<String>,
    /// How many blocks the index is to hold. Where absent: one for each MiB of the drive, at least 65,536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_max: Option<u64>,
}

/// Answer of `GET /v1/blocks` and of `GET /v1/zones/{n}/blocks`: a part of the list of blocks, in the
/// drive's own order.
///
/// A block that is there from the first page to the last is listed. One that reclaim moves meanwhile may be listed
/// twice, and one that is put or deleted meanwhile may be listed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListPage {
    /// The blocks of this page. It may be shorter than the limit, even empty, and yet not be the last.
    pub blocks: Vec<ListedBlock>,
    /// What to give as `cursor` for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// One line of a list of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedBlock {
    /// The block's key, 64 hex digits.
    pub key: String,
    /// Its length in bytes.
    pub payload_bytes: u32,
    /// The zone in which it stands.
    pub zone: u32,
    /// Where its record begins, in bytes from the start of the zone.
    pub zone_offset_bytes: u64,
}

/// Answer of `GET /v1/zones`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneList {
    /// Every zone, in order.
    pub zones: Vec<ZoneStatus>,
}

/// One zone. Answer of `GET /v1/zones/{n}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneStatus {
    /// The zone's number, from 0.
    pub zone: u32,
    /// Which rules its writes obey: `conventional` or `sequential`.
    pub kind: String,
    /// Its condition: `conventional`, `empty`, `open`, `closed`, `full`, `read-only` or `offline`.
    pub condition: String,
    /// What the engine uses it for: `label`, `free`, `open`, `sealed`, `fenced`, `trash`, `reset`, `checkpoint` or
    /// `lost`.
    pub role: String,
    /// Bytes that can be written to it.
    pub capacity_bytes: u64,
    /// How far it is written, in bytes from its start.
    pub written_bytes: u64,
    /// Bytes of records in it that can still be read.
    pub live_bytes: u64,
    /// Which life of the zone this is; 0 before its first.
    pub incarnation: u64,
}

/// Answer of `GET /v1/scrub`, and of `POST /v1/scrub`, which orders a full pass now: how far the drive is with reading
/// and checking every block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScrubStatus {
    /// Within how many seconds every block is read once.
    pub period_s: u64,
    /// Since when an ordered pass runs, in seconds since 1970; `null` where none was ordered since the drive was
    /// mounted. It is done when `covered_zones` is `zones`.
    pub pass_since_unix_s: Option<u64>,
    /// The zone that is being read; `null` where none is.
    pub zone: Option<u32>,
    /// Zones in which blocks live, or deletions stand.
    pub zones: u32,
    /// Those of them that were read whole within the period, and since the pass that was ordered.
    pub covered_zones: u32,
    /// Those that are due now.
    pub overdue_zones: u32,
    /// Bytes of records that live, their headers included.
    pub live_bytes: u64,
    /// Those of them in covered zones.
    pub covered_bytes: u64,
    /// When the zone that has waited longest was last read whole, in seconds since 1970; `null` where one never was,
    /// or there is none.
    pub oldest_unix_s: Option<u64>,
    /// When the labels and the newest checkpoint were last read whole, in seconds since 1970; `null` where that was when the
    /// drive was mounted.
    #[serde(default)]
    pub slots_unix_s: Option<u64>,
    /// Records read and checked since the drive was mounted.
    pub records: u64,
    /// Bytes read since then.
    pub bytes: u64,
    /// Damaged records found since then; `GET /v1/damage` lists them.
    pub errors: u64,
}

/// Body of `POST /v1/quiet`, which a drive takes over its Unix socket: for this time its engine does nothing of its
/// own accord, so that somebody can ask the drive how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietOrder {
    /// For how long, in milliseconds; more than 10,000 are not granted, and 0 ends the quiet time.
    pub for_ms: u64,
}

/// Answer of `POST /v1/quiet`. Where clients wait for the drive, it is a 503 with `Retry-After` instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuietGrant {
    /// For how long it is granted from now on, in milliseconds.
    pub granted_ms: u64,
}

/// Answer of `GET /v1/damage`: the blocks that cannot be given back, so that they can be restored from
/// elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagePage {
    /// The damaged blocks, at most 10,000 of them.
    pub blocks: Vec<DamagedBlock>,
    /// How many are known, those included whose keys are not; where so many are listed as can be, there may be more.
    pub damaged_blocks: u64,
    /// Zones of which neither is known what they held: as in the drive's status. What a control plane knows to be on this
    /// drive and the drive does not list may have stood there.
    #[serde(default)]
    pub unknown_zones: u32,
}

/// A block that cannot be given back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedBlock {
    /// The block's key, 64 hex digits.
    pub key: String,
    /// The zone in which it stands.
    pub zone: u32,
    /// Where its record begins, in bytes from the start of the zone.
    pub zone_offset_bytes: u64,
    /// What is wrong: `checksum` where the bytes are not those that were written, `medium` where the drive
    /// could not read them.
    pub kind: String,
    /// When it was first seen, in microseconds since the engine started.
    pub seen_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_written_as_the_word_for_it_and_read_back() {
        for state in State::ALL {
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("{:?}", state.as_str()));
            assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
        }
        assert_eq!(serde_json::from_str::<State>("\"of-another-version\"").unwrap(), State::Unknown);
    }

    #[test]
    fn a_format_order_names_no_field_that_is_not_known() {
        let order: FormatOrder = serde_json::from_str(r#"{"serial":"S1"}"#).unwrap();
        assert_eq!(order, FormatOrder { serial: "S1".to_owned(), ..FormatOrder::default() });
        assert!(serde_json::from_str::<FormatOrder>(r#"{"serial":"S1","force":true}"#).is_err());
    }
}
