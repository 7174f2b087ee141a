//! One thing that is wrong with a drive.

use std::fmt;

use serde::Serialize;

/// What is wrong, as a stable name for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A label cannot be read, or its checksum is wrong.
    LabelDamaged,
    /// A zone cannot be read, or nothing explains what is written in it.
    ZoneLost,
    /// A zone's header cannot be read, or its checksum is wrong.
    ZoneHeaderDamaged,
    /// Between two commits, units that no record explains.
    RecordDamaged,
    /// A chunk of a block cannot be read, or differs from its checksum.
    PayloadDamaged,
    /// The payload of a commit, void or tombstones record cannot be read, or differs from its checksum.
    StructureDamaged,
    /// A footer cannot be read, or its checksum is wrong.
    FooterDamaged,
    /// Other zones vouch for groups at the end of a zone, where damage stands.
    GroupDamaged,
    /// A record of a checkpoint cannot be read, or its checksum is wrong.
    CheckpointDamaged,
    /// Blocks or groups that the checkpoint or other groups vouch for have gone, and nothing says why.
    Gone,
    /// Blocks or groups that something vouches for are not there, in a zone that is empty now. A writer empties zones in
    /// which nothing is live, and what would tell that this was one may have stood in the zone itself: nothing tells.
    MayBeGone,
    /// Two records of a key are live, or the checkpoint and the log differ, and damage found before explains it.
    FollowsFromDamage,

    /// The label says another thing than the drive, or the other label.
    LabelContradicts,
    /// A zone's header says what cannot be, or does not belong where it stands.
    ZoneHeaderContradicts,
    /// A record checks out, and says what cannot be.
    RecordImpossible,
    /// A record has a sequence that is not higher than that of the one before it.
    SequenceFalls,
    /// A void record names units that it may not name.
    VoidContradicts,
    /// A commit says another thing than the records of its group.
    CommitContradictsRecords,
    /// A commit says another thing of an open zone than stands there.
    CommitContradictsZone,
    /// A block was written anew without a tombstone for the place that it had.
    MoveWithoutTombstone,
    /// A tombstone names what cannot be.
    TombstoneContradicts,
    /// A footer says another thing than the zone's header or its groups.
    FooterContradicts,
    /// Two groups share sequences, or their numbers do not rise with them.
    GroupsOverlap,
    /// Two records of one key are live.
    KeyTwice,
    /// A checkpoint's records contradict each other, or say what cannot be.
    CheckpointContradicts,
    /// A checkpoint and what was written since give another index than the log.
    CheckpointContradictsLog,
}

impl FindingKind {
    /// Whether it is a lie, and not damage.
    #[must_use]
    pub const fn is_lie(self) -> bool {
        !matches!(
            self,
            Self::LabelDamaged
                | Self::ZoneLost
                | Self::ZoneHeaderDamaged
                | Self::RecordDamaged
                | Self::PayloadDamaged
                | Self::StructureDamaged
                | Self::FooterDamaged
                | Self::GroupDamaged
                | Self::CheckpointDamaged
                | Self::Gone
                | Self::MayBeGone
                | Self::FollowsFromDamage
        )
    }

    /// Whether something is surely wrong. What is not may be what a writer does.
    #[must_use]
    pub const fn is_sure(self) -> bool {
        !matches!(self, Self::MayBeGone)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Whether it is a lie, and not damage.
    pub is_lie: bool,
    /// The zone in which it stands, where it stands in one.
    pub zone: Option<u32>,
    /// The unit within the zone.
    pub unit: Option<u32>,
    /// The key of the block that is concerned, as 64 hexadecimal digits.
    pub key: Option<String>,
    /// One sentence for people.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            kind if kind.is_lie() => "LIE     ",
            kind if kind.is_sure() => "damage  ",
            _ => "unsure  ",
        })?;
        match (self.zone, self.unit) {
            (Some(zone), Some(unit)) => write!(f, "zone {zone}, unit {unit}: ")?,
            (Some(zone), None) => write!(f, "zone {zone}: ")?,
            _ => {}
        }
        f.write_str(&self.what)
    }
}
