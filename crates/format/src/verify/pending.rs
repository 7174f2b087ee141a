//! The records of a zone that no commit has closed yet.

use std::ops::Range;

use crate::record::{RecordHeader, RecordKind};
use crate::table_entry::TableEntry;
use crate::tombstone::TombstoneEntry;
use crate::void::VoidRange;

/// How closely the records of one group follow one another in sequence, at least; a mount makes it jump further.
pub(super) const CLOSE: u64 = 1 << 19;

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) header: RecordHeader,
    /// What a tombstones record holds; nothing in other records.
    pub(super) tombstones: Vec<TombstoneEntry>,
    /// What is wrong with its payload, where the payload is a structure.
    pub(super) damage: Option<String>,
}

impl Member {
    /// What a table lists of it.
    pub(super) fn entries(&self) -> Vec<TableEntry> {
        let header = &self.header;
        match header.kind {
            RecordKind::Block => vec![TableEntry::Block {
                key: header.key,
                unit_offset: header.unit_offset,
                unit_count: header.unit_count,
                payload_bytes: header.payload_bytes,
                sequence: header.sequence,
                birth: header.birth,
            }],
            RecordKind::Tombstones => self.tombstones.iter().map(|tombstone| self.entry(tombstone)).collect(),
            _ => Vec::new(),
        }
    }

    fn entry(&self, tombstone: &TombstoneEntry) -> TableEntry {
        TableEntry::Tombstone {
            key: tombstone.key,
            unit_offset: self.header.unit_offset,
            target_zone: tombstone.zone,
            target_unit_offset: tombstone.unit_offset,
            target_incarnation: tombstone.incarnation,
            birth: tombstone.birth,
        }
    }
}

/// What stands between the last commit and here.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) members: Vec<Member>,
    /// Units where no record stands.
    pub(super) gaps: Vec<Range<u32>>,
    /// Commits whose payload does not check out: their unit, and why.
    pub(super) damaged_commits: Vec<(u32, String)>,
}

impl Pending {
    /// Forgets what a void record names.
    pub(super) fn void(&mut self, range: &VoidRange) {
        let voided = range.first_unit..range.first_unit + range.unit_count;
        self.members.retain(|member| !voided.contains(&member.header.unit_offset));
        self.damaged_commits.retain(|(unit, _)| !voided.contains(unit));
        for gap in &mut self.gaps {
            gap.start = if voided.contains(&gap.start) { voided.end.min(gap.end) } else { gap.start };
            gap.end = if gap.end > voided.start && gap.end <= voided.end {
                voided.start.max(gap.start)
            } else {
                gap.end
            };
        }
        self.gaps.retain(|gap| !gap.is_empty());
    }

    /// Whether a unit lies where no record stands.
    pub(super) fn is_in_gap(&self, unit: u32) -> bool {
        self.gaps.iter().any(|gap| gap.contains(&unit))
    }

    /// Whether something is wrong with it that can hide records.
    pub(super) fn is_damaged(&self) -> bool {
        !self.gaps.is_empty()
            || !self.damaged_commits.is_empty()
            || self.members.iter().any(|member| member.damage.is_some())
    }

    /// Whether it is what a crash has torn, and padding up to `end` that was written after the next mount: then the
    /// sequence, which was `last_sequence` at the last commit, has made its jump before the padding.
    pub(super) fn is_torn_before_padding(&self, last_sequence: u64, end: u32) -> bool {
        let Some((padding, torn)) = self.members.split_last() else { return false };
        let header = &padding.header;
        let last = torn.iter().map(|member| member.header.sequence).fold(last_sequence, u64::max);
        header.kind == RecordKind::Padding
            && header.unit_offset + header.unit_count == end
            && header.sequence >= last.saturating_add(CLOSE)
    }

    /// The unit after all of the padding that alone stands after `unit`; `None` where anything else does.
    pub(super) fn padded_until(&self, unit: u32) -> Option<u32> {
        let mut end = unit;
        for member in &self.members {
            if member.header.kind != RecordKind::Padding || member.header.unit_offset != end {
                return None;
            }
            end += member.header.unit_count;
        }
        self.gaps.is_empty().then_some(end)
    }
}
