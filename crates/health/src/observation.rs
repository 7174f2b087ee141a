//! What is recorded of a drive: one observation is one fact at one time from one source.
//!
//! An order of ours that the drive rightly refused (an unaligned write, one away from the write pointer, one
//! zone too many open) is our bug. No observation can hold one, so that none can count against a drive.

use serde::{Deserialize, Serialize};
use smartctl_parser::Report;

use crate::kernel_event::KernelEvent;

/// One fact at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When it was seen, in seconds since 1970.
    pub at_unix_s: u64,
    /// What was seen.
    pub finding: Finding,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// smartctl answered.
    Smart {
        /// What it said.
        report: Box<Report>,
    },
    /// smartctl did not answer, or not with a report.
    SmartFailed {
        /// Why, in one phrase.
        reason: String,
    },
    /// The drive sleeps, and was left asleep.
    Asleep,
    /// What the drive's engine saw since it was last asked.
    Engine {
        /// What it saw.
        record: EngineRecord,
    },
    /// How far the drive's scrub is.
    Scrub {
        /// What it has read, and what it has not.
        coverage: ScrubCoverage,
    },
    /// The kernel said something.
    Kernel {
        /// What it said.
        event: KernelEvent,
    },
    /// The drive is there, or has gone.
    Presence {
        /// Whether it is there.
        present: bool,
    },
    /// An operator, or the node at an operator's word, took a step in the drive's life.
    Life {
        /// The step.
        step: LifeStep,
    },
}

impl Finding {
    /// Who saw it.
    #[must_use]
    pub const fn source(&self) -> Source {
        match self {
            Self::Smart { .. } | Self::SmartFailed { .. } | Self::Asleep => Source::Smart,
            Self::Engine { .. } | Self::Scrub { .. } => Source::Engine,
            Self::Kernel { .. } => Source::Kernel,
            Self::Presence { .. } | Self::Life { .. } => Source::Enclosure,
        }
    }
}

/// Who saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The drive itself, through smartctl.
    Smart,
    /// The drive's engine: its reads and writes.
    Engine,
    /// The kernel's log.
    Kernel,
    /// The slot: what is plugged in.
    Enclosure,
    /// What is known of the model and firmware.
    Notes,
}

impl Source {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smart => "smart",
            Self::Engine => "engine",
            Self::Kernel => "kernel",
            Self::Enclosure => "enclosure",
            Self::Notes => "notes",
        }
    }
}

/// What an engine saw since its last record. All counts are increments; what it could not tell is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineRecord {
    /// Reads that the drive failed.
    pub read_errors: u64,
    /// Writes that the drive failed. Not those that were wrongly addressed: see the module.
    pub write_errors: u64,
    /// Flushes that failed.
    pub flush_errors: u64,
    /// Zone resets that the drive failed.
    pub reset_errors: u64,
    /// Times that the device could not be opened or its zones be read.
    pub open_errors: u64,
    /// Reads that the drive called good and whose checksums were not.
    pub checksum_failures: u64,
    /// Records that the scrub found bad.
    pub scrub_findings: u64,
    /// Records that were lost, by key.
    pub records_lost: u64,
    /// Zones that are read-only now: a state, no increment.
    pub zones_read_only: Option<u64>,
    /// Zones that are offline now: a state, no increment.
    pub zones_offline: Option<u64>,
    /// Zones that cannot be read now and may hold blocks that nothing else tells of: a state, no increment.
    pub zones_unknown: Option<u64>,
    /// Whether it keeps checkpoints of its index now: a state, no increment.
    pub keeps_checkpoints: Option<bool>,
    /// Whether it holds blocks now: a state, no increment.
    pub holds_blocks: Option<bool>,
    /// Looks that found it many times slower than it had been itself.
    pub slower_than_before: u64,
    /// How fast it was beside its peers.
    pub latency: Option<Latency>,
}

/// How far a drive's scrub is with reading everything once in its period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubCoverage {
    /// Within how many seconds everything is to be read once.
    pub period_s: u64,
    /// Zones in which something lives.
    pub zones: u64,
    /// Those of them that are due now: to be read before their period ends.
    pub due_zones: u64,
    /// When the zone that has waited longest was last read whole, in seconds since 1970; `None` where one never was, for
    /// it is new, or where there is none.
    pub oldest_unix_s: Option<u64>,
}

/// A drive's latency beside that of its peers: drives of the same kind in the same node and the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The drive's mean, in microseconds.
    pub mean_us: u64,
    /// The 99th percentile, in microseconds, rounded up to the next bucket's end; `None` where there is none.
    pub p99_us: Option<u64>,
    /// Requests that the drive served in that time.
    pub requests: u64,
    /// The median of the peers' means, in microseconds.
    pub peers_mean_us: u64,
    /// The median of the peers' 99th percentiles, in microseconds; `None` where there is none.
    #[serde(default)]
    pub peers_p99_us: Option<u64>,
    /// The median of the peers' requests.
    pub peers_requests: u64,
    /// How many peers.
    pub peers: u32,
}

/// A step in a drive's life that somebody took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifeStep {
    /// Its blocks are being moved away.
    DrainStarted,
    /// The drain was called off.
    DrainStopped,
    /// It was given up.
    Failed,
    /// It was found well, or repaired, by a person: what was recorded before counts no longer.
    Cleared,
}
