//! What the verifier has to say, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::verify::finding::Finding;

/// What the drive is, by what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is wrong.
    Sound,
    /// Nothing is wrong with what stands there; of something that is not there nothing tells whether it was lost.
    Unsure,
    /// Something is lost or changed, and nothing contradicts anything else.
    Damaged,
    /// Two structures that check out contradict each other.
    Lying,
}

/// Which drive it is, by its label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriveFacts {
    /// Where it was opened.
    pub path: String,
    /// The device's serial, where it has one.
    pub serial: Option<String>,
    /// The drive's id, as 32 hexadecimal digits.
    pub drive_id: String,
    /// The version of the format.
    pub format_version: u32,
    /// When it was formatted, in seconds since 1970.
    pub formatted_at_unix_s: u64,
    /// How many zones it has.
    pub zone_count: u32,
    /// How far apart they begin, in bytes.
    pub zone_size_bytes: u64,
    /// For how many blocks its index is made.
    pub blocks_max: u64,
    /// Whether both labels are lost, and the label is a copy in a zone's header.
    pub is_label_recovered: bool,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// Whether the run went to its end; it stops at the first lie unless it is told not to.
    pub is_complete: bool,
    /// Whether every chunk of every block was read and checked.
    pub payloads: bool,
    /// The only zone that was looked at, where one was named.
    pub zone: Option<u32>,
    /// Whether zones were held against one another: tombstones, groups, keys.
    pub is_replayed: bool,
    /// How much was read, in bytes.
    pub read_bytes: u64,
    /// The most memory that was taken for what was gathered, in bytes.
    pub memory_bytes_most: u64,
    /// How much was allowed, in bytes.
    pub memory_bytes_max: u64,
}

/// What stands on the drive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Zones in which records of the log stand.
    pub zones_with_records: u64,
    /// Those of them that end with a footer.
    pub zones_sealed: u64,
    /// Groups that a commit closes.
    pub groups: u64,
    /// Records that were followed.
    pub records: u64,
    /// Records behind the last commit of their zone, which count for nothing: a crash left them, or padding.
    pub unclosed_records: u64,
    /// Blocks that stand in a zone, dead ones included.
    pub blocks: u64,
    /// Those that no tombstone names.
    pub live_blocks: u64,
    /// The units of their records.
    pub live_units: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Those whose target's life has ended.
    pub tombstones_ended: u64,
    /// Those that name a place where no record counts: what a failed write left.
    pub tombstones_of_nothing: u64,
    /// Bytes of blocks that were read and checked.
    pub payload_bytes: u64,
}

/// The newest checkpoint that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointFacts {
    /// Its slot, 0 or 1.
    pub slot: u32,
    /// Its number.
    pub number: u64,
    /// When it was taken, in seconds since 1970.
    pub taken_at_unix_s: u64,
    /// The blocks that it holds.
    pub blocks: u64,
    /// The blocks that were stored after it.
    pub blocks_since: u64,
    /// The tombstones that were written after it.
    pub tombstones_since: u64,
    /// Whether it was held against the log.
    pub is_compared: bool,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Which drive it is; `None` where its label was a lie.
    pub drive: Option<DriveFacts>,
    /// How much was looked at.
    pub extent: Extent,
    /// What stands on it.
    pub counts: Counts,
    /// The newest checkpoint that counts, where there is one.
    pub checkpoint: Option<CheckpointFacts>,
    /// How many lies were found.
    pub lies: u64,
    /// How many places were found damaged.
    pub damage: u64,
    /// Of how many places nothing tells whether something was lost there.
    pub unsure: u64,
    /// What was found, in the order in which it was.
    pub findings: Vec<Finding>,
    /// How many findings are not listed: a report lists 10,000.
    pub findings_left_out: u64,
    /// What could not be checked, for nothing on the drive tells it.
    pub cannot_tell: Vec<String>,
    /// What a person may want to know, and is not wrong.
    pub notes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(drive) = &self.drive {
            writeln!(f, "{}: drive {}, format version {}", drive.path, drive.drive_id, drive.format_version)?;
            if drive.is_label_recovered {
                writeln!(f, "both labels are lost; this one is a copy in a zone's header")?;
            }
        }
        self.write_extent(f)?;
        self.write_counts(f)?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        if self.findings_left_out > 0 {
            writeln!(f, "and {} more findings, which are not listed", self.findings_left_out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note    {note}"))?;
        self.cannot_tell.iter().try_for_each(|what| writeln!(f, "cannot tell: {what}"))?;
        match self.verdict {
            Verdict::Sound if self.cannot_tell.is_empty() => {
                writeln!(f, "SOUND: nothing is wrong with what was checked")
            }
            Verdict::Sound => {
                writeln!(f, "SOUND as far as can be told: nothing is wrong with what was checked")
            }
            Verdict::Unsure => writeln!(
                f,
                "UNSURE: nothing is wrong with what stands there; of {} places nothing tells whether blocks were lost",
                self.unsure
            ),
            Verdict::Damaged => {
                writeln!(f, "DAMAGED: {} places; nothing contradicts anything else", self.damage)
            }
            Verdict::Lying => {
                writeln!(f, "LYING: {} contradictions, {} damaged places", self.lies, self.damage)
            }
        }
    }
}

impl Report {
    fn write_extent(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extent = &self.extent;
        let zones = match extent.zone {
            Some(zone) => format!("zone {zone} alone, not held against others"),
            None if extent.is_replayed => "every zone, held against each other".to_owned(),
            None => "zones, not yet held against each other".to_owned(),
        };
        let payloads = if extent.payloads { "every chunk of every block" } else { "no payload of a block" };
        let end = if extent.is_complete { "" } else { "; stopped at the first lie" };
        writeln!(f, "checked: headers, groups, tables of {zones}; {payloads}{end}")?;
        writeln!(
            f,
            "read {} MiB; took {} MiB of memory, of {} MiB",
            extent.read_bytes >> 20,
            extent.memory_bytes_most >> 20,
            extent.memory_bytes_max >> 20
        )
    }

    fn write_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(
            f,
            "{} zones with records, {} of them sealed; {} groups, {} blocks, {} tombstones",
            counts.zones_with_records, counts.zones_sealed, counts.groups, counts.blocks, counts.tombstones
        )?;
        if self.extent.is_replayed {
            writeln!(f, "{} blocks are live, in {} units", counts.live_blocks, counts.live_units)?;
        }
        match &self.checkpoint {
            Some(facts) if facts.is_compared => writeln!(
                f,
                "checkpoint {} in slot {}: {} blocks, and since then {} blocks and {} tombstones; held against the log",
                facts.number, facts.slot, facts.blocks, facts.blocks_since, facts.tombstones_since
            ),
            Some(facts) => writeln!(f, "checkpoint {} in slot {}", facts.number, facts.slot),
            None => writeln!(f, "no checkpoint that counts"),
        }
    }
}
