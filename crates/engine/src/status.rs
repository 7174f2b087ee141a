//! What an engine says of its drive.

use imbrex_format::{DriveId, Key};
use imbrex_zoned::{Condition, ZoneKind};

use crate::budget::MemoryBudget;

/// What a drive is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its label and log are being read.
    Mounting,
    /// Nothing is written on it: it waits for a format order.
    Unformatted,
    /// It holds data that is not Imbrex's; the reason says how that was seen.
    Foreign {
        /// How it was seen.
        reason: String,
    },
    /// It was formatted by another version of Imbrex, or its label cannot be trusted.
    Incompatible {
        /// What the label says.
        reason: String,
    },
    /// It is being formatted.
    Formatting,
    /// It serves.
    Serving,
    /// It answers reads; writes are refused for the reason given.
    ReadOnly {
        /// Why nothing is written any more.
        reason: String,
    },
    /// It has stopped: the reason says why.
    Failed {
        /// Why it has stopped.
        reason: String,
    },
    /// It finishes what it has begun and takes no more.
    Draining,
}

impl State {
    /// The state's stable name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mounting => "mounting",
            Self::Unformatted => "unformatted",
            Self::Foreign { .. } => "foreign",
            Self::Incompatible { .. } => "incompatible",
            Self::Formatting => "formatting",
            Self::Serving => "serving",
            Self::ReadOnly { .. } => "read-only",
            Self::Failed { .. } => "failed",
            Self::Draining => "draining",
        }
    }

    /// Why the drive is in this state, where the state has a reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Foreign { reason }
            | Self::Incompatible { reason }
            | Self::ReadOnly { reason }
            | Self::Failed { reason } => Some(reason),
            _ => None,
        }
    }
}

/// How a drive is, for its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Who it is, once a label has been read.
    pub drive_id: Option<DriveId>,
    /// When it was formatted, in seconds since 1970.
    pub formatted_at_unix_s: Option<u64>,
    /// Blocks that can be read.
    pub blocks: u64,
    /// The number of blocks that the index holds at most.
    pub blocks_max: u64,
    /// The bytes of payload that can be read. Rounded up to whole units for blocks found at mount.
    pub live_bytes: u64,
    /// Bytes in which new records can be written.
    pub free_bytes: u64,
    /// Bytes taken by records that were deleted and whose zone has not been reclaimed.
    pub dead_bytes: u64,
    /// Records known to be damaged, those included that mounting could not read and whose keys are not known. Of the others
    /// no more than [`crate::DAMAGE_LISTED_MAX`] are counted: there may be more then.
    pub damaged_blocks: u64,
    /// Why the drive keeps no checkpoints of its index now, in one sentence; `None` where it keeps them. Without them the next
    /// mount reads every zone's footer.
    pub without_checkpoints: Option<&'static str>,
    /// Zones that cannot be read and may hold blocks that nothing else tells of. As long as there is one, a key that is
    /// not found is answered as unknown.
    pub unknown_zones: u32,
    /// Zones by condition, with how many there are of each.
    pub zones_by_condition: Vec<(Condition, u32)>,
    /// Since when the drive is many times slower than it was, in seconds since 1970.
    pub slow_since_unix_s: Option<u64>,
    /// How long the last mount took, in microseconds of the engine's clock.
    pub mount_us: u64,
    /// The memory that the engine took at start, in bytes: the sum of `memory`.
    pub memory_bytes: u64,
    /// The same, part by part.
    pub memory: MemoryBudget,
}

/// One zone, for its listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneStatus {
    /// The zone's number.
    pub zone: u32,
    /// Its kind.
    pub kind: ZoneKind,
    /// Its condition, as the drive reported it at mount or as it has become by our own orders.
    pub condition: Condition,
    /// What the engine uses it for.
    pub role: ZoneRole,
    /// The bytes that can be written to it.
    pub capacity_bytes: u64,
    /// How far it is written, in bytes from its start.
    pub written_bytes: u64,
    /// The bytes of records in it that can still be read.
    pub live_bytes: u64,
    /// Which life of the zone this is; 0 before its first.
    pub incarnation: u64,
}

/// What the engine uses a zone for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneRole {
    /// It holds a label.
    Label,
    /// It is empty and can be taken.
    Free,
    /// Records are being written to it.
    Open,
    /// It is complete and ends with a footer.
    Sealed,
    /// It was written and cannot be trusted for more: its records are read, nothing is added.
    Fenced,
    /// Nothing lives in it any more: it rests before it is reset.
    Trash,
    /// It was reset, and is free as soon as the checkpoints say so.
    Reset,
    /// It holds a part of a checkpoint of the index, or is kept for one.
    Checkpoint,
    /// It cannot be used at all.
    Lost,
}

impl ZoneRole {
    /// The role's stable name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Free => "free",
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Fenced => "fenced",
            Self::Trash => "trash",
            Self::Reset => "reset",
            Self::Checkpoint => "checkpoint",
            Self::Lost => "lost",
        }
    }
}

/// How far the scrub is: what it has read and checked, and what it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// Within how many seconds every record is read once.
    pub period_s: u64,
    /// Since when an ordered pass runs, in seconds since 1970; 0 where none was ordered since the mount.
    pub pass_since_unix_s: u64,
    /// The zone that is being read.
    pub zone: Option<u32>,
    /// Zones in which something lives, or tombstones stand.
    pub zones: u32,
    /// Those of them that were read whole within the period, and since the pass that was ordered.
    pub covered_zones: u32,
    /// Those that are due now.
    pub overdue_zones: u32,
    /// Bytes of records that live.
    pub live_bytes: u64,
    /// Those of them in covered zones.
    pub covered_bytes: u64,
    /// When the zone that has waited longest was last read whole, in seconds since 1970; 0: one never was, or none is
    /// there.
    pub oldest_unix_s: u64,
    /// When the labels and the newest checkpoint were last read whole, in seconds since 1970; 0: not since the mount, which
    /// reads them.
    pub slots_unix_s: u64,
    /// Records read and checked since the mount.
    pub records: u64,
    /// Bytes read since the mount.
    pub bytes: u64,
    /// Damaged records found since the mount.
    pub errors: u64,
}

/// A record that cannot be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The block's name.
    pub key: Key,
    /// Where it stands.
    pub zone: u32,
    /// Its first unit within the zone.
    pub unit_offset: u32,
    /// What is wrong with it.
    pub kind: DamageKind,
    /// When it was first seen, in microseconds of the engine's clock.
    pub seen_us: u64,
}

/// What is wrong with a damaged record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DamageKind {
    /// It was read, and is not what was written.
    Checksum,
    /// The drive could not read it.
    Medium,
}

/// What an engine has done since it started. Every figure only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Puts that stored a block.
    pub puts: u64,
    /// Puts that found the same bytes under the same key.
    pub puts_already_stored: u64,
    /// Gets that gave a block.
    pub gets: u64,
    /// Gets and heads of an absent key.
    pub gets_absent: u64,
    /// Deletions.
    pub deletes: u64,
    /// Requests refused because a queue or the memory was full.
    pub refused_overloaded: u64,
    /// Requests whose client had gone before they reached the disk.
    pub cancelled: u64,
    /// Groups committed.
    pub groups: u64,
    /// Flushes that the drive completed.
    pub flushes: u64,
    /// Reads of the device for gets, heads and puts.
    pub device_reads: u64,
    /// Bytes read for them.
    pub device_read_bytes: u64,
    /// Writes to the device.
    pub device_writes: u64,
    /// Bytes written to the device, headers, padding and footers included.
    pub device_written_bytes: u64,
    /// Bytes of payload stored.
    pub payload_written_bytes: u64,
    /// Bytes of payload given back.
    pub payload_read_bytes: u64,
    /// Reads that found another key behind a matching tag of the index.
    pub index_false_matches: u64,
    /// Records that failed their checksum.
    pub checksum_failures: u64,
    /// Reads that the drive failed.
    pub read_errors: u64,
    /// Writes that the drive failed.
    pub write_errors: u64,
    /// Flushes that the drive failed.
    pub flush_errors: u64,
    /// Resets of zones that the drive failed, those for checkpoints and labels left out.
    pub reset_errors: u64,
    /// How often the drive has become many times slower than it was.
    pub slowdowns: u64,
    /// Zones sealed.
    pub zones_sealed: u64,
    /// Zones to which nothing more is written because a write or a flush has failed.
    pub zones_fenced: u64,
    /// Blocks that were written elsewhere after a write or a flush had failed.
    pub rewritten_blocks: u64,
    /// Zones that reclaim has emptied, wholly dead ones included.
    pub zones_reclaimed: u64,
    /// Zones that were reset.
    pub zones_reset: u64,
    /// Resets that the referee has refused: each is a defect of this program, and the zone was kept.
    pub resets_refused: u64,
    /// Blocks that reclaim has moved.
    pub moved_blocks: u64,
    /// Bytes of records that it has moved.
    pub moved_bytes: u64,
    /// Bytes that reclaim has read.
    pub reclaim_read_bytes: u64,
    /// Tombstones that it has carried on.
    pub carried_tombstones: u64,
    /// Checkpoints of the index that were completed.
    pub checkpoints: u64,
    /// Checkpoints that were given up.
    pub checkpoints_failed: u64,
    /// Bytes written for checkpoints.
    pub checkpoint_bytes: u64,
    /// How often other zones were named for checkpoints, or none.
    pub slots_moved: u64,
    /// Labels that the mount has found stale or unreadable, and has written anew.
    pub labels_renewed: u64,
    /// Records that the scrub has read and checked.
    pub scrubbed_records: u64,
    /// Bytes that it has read.
    pub scrubbed_bytes: u64,
    /// What it has found damaged: blocks that were not listed as damaged yet, and what stands beside blocks.
    pub scrub_errors: u64,
    /// Headers, footers, commits, tombstones, labels and checkpoints among that.
    pub scrub_structure_errors: u64,
}
