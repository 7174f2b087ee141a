//! What a drive's process has done, and is busy with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many buckets [`DriveStats::gets_by_time`] has: the last but one ends at two seconds.
pub const GETS_BUCKETS: usize = 16;

/// The gets of this bucket took less than this, in microseconds; `None` for the last, which has no end.
#[must_use]
pub const fn gets_bucket_us_max(bucket: usize) -> Option<u64> {
    if bucket + 1 < GETS_BUCKETS { Some(128 << bucket) } else { None }
}

/// Answer of `GET /v1/stats`: what the drive's process has done since it started. Every figure but those of
/// `now` only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriveStats {
    /// How long the process has run, in milliseconds.
    pub uptime_ms: u64,
    /// What is going on at this moment.
    pub now: Load,
    /// Connections taken.
    pub connections: u64,
    /// Connections refused because as many as allowed were open.
    pub connections_refused: u64,
    /// Requests of any kind.
    pub requests: u64,
    /// Uploads that ended before their body was whole.
    pub uploads_broken_off: u64,
    /// Requests cut off because the client sent or took nothing for too long.
    pub stalled: u64,
    /// Puts that stored a block.
    pub puts: u64,
    /// Puts that found the same bytes under the same key.
    pub puts_already_stored: u64,
    /// Gets that gave a block.
    pub gets: u64,
    /// Time that these gets took together, from the request's head to the answer's, in microseconds.
    #[serde(default)]
    pub gets_us: u64,
    /// How many of these gets took how long: those of the first took less than 128 us, those of each further one up to
    /// twice as long, and those of the last any longer time. See [`gets_bucket_us_max`].
    #[serde(default)]
    pub gets_by_time: [u64; GETS_BUCKETS],
    /// Gets and heads of an absent key.
    pub gets_absent: u64,
    /// Deletions.
    pub deletes: u64,
    /// Requests refused because a queue or the memory was full.
    pub refused_overloaded: u64,
    /// Requests whose client had gone before they reached the disk.
    pub cancelled: u64,
    /// Groups of records committed.
    pub groups: u64,
    /// Flushes that the drive completed.
    pub flushes: u64,
    /// Reads of the device for requests.
    pub device_reads: u64,
    /// Bytes read by them.
    pub device_read_bytes: u64,
    /// Writes to the device.
    pub device_writes: u64,
    /// Bytes written by them, headers, padding and footers included.
    pub device_written_bytes: u64,
    /// Bytes of blocks stored.
    pub payload_written_bytes: u64,
    /// Bytes of blocks given back.
    pub payload_read_bytes: u64,
    /// Reads that found another key behind a matching entry of the index.
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
    #[serde(default)]
    pub reset_errors: u64,
    /// Zones sealed with a footer.
    pub zones_sealed: u64,
    /// How often the drive has become many times slower than it was.
    #[serde(default)]
    pub slowdowns: u64,
    /// Zones to which nothing more is written because a write or a flush has failed.
    pub zones_fenced: u64,
    /// Blocks that were written elsewhere after a write or a flush had failed.
    pub rewritten_blocks: u64,
    /// Zones that reclaim has emptied.
    pub zones_reclaimed: u64,
    /// Zones that were reset.
    pub zones_reset: u64,
    /// Resets that the referee has refused: each is a defect of Imbrex, and the zone was kept.
    pub resets_refused: u64,
    /// Blocks that reclaim has moved.
    pub moved_blocks: u64,
    /// Bytes of records that it has moved. The write amplification of the drive is
    /// `device_written_bytes` by `payload_written_bytes`.
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
    /// How often other zones were named for checkpoints, or none, because one of theirs had failed.
    #[serde(default)]
    pub slots_moved: u64,
    /// Labels that the last mount has found stale or unreadable, and has written anew.
    #[serde(default)]
    pub labels_renewed: u64,
    /// Records that the scrub has read and checked.
    pub scrubbed_records: u64,
    /// Bytes that it has read.
    pub scrubbed_bytes: u64,
    /// Damaged records that it has found.
    pub scrub_errors: u64,
    /// Headers, footers, commits, tombstones, labels and checkpoints among that.
    #[serde(default)]
    pub scrub_structure_errors: u64,
}

/// What a drive's process is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// Open connections.
    pub connections: u32,
    /// How many may be open.
    pub connections_max: u32,
    /// Uploads that wait for memory.
    pub uploads_waiting: u32,
    /// How many may wait.
    pub uploads_waiting_max: u32,
    /// Bytes of the buffers that nobody uses.
    pub buffers_free_bytes: u64,
    /// Bytes of all buffers.
    pub buffers_bytes: u64,
}
