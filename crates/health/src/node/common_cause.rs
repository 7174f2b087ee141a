//! What several bad drives have in common: the adapter first, which is likeliest, then model and firmware, then only
//! that they are in this node.
//!
//! How many are too many for chance. By the replay of a fleet's history (DESIGN.md) 25 of 1,000 drives go bad in 30 days,
//! so that in a node of 124 a tenth of a drive goes bad in a day: five or more within one are chance once in ten
//! thousand years, three once in some ten. So three are too many only where they are most of what shares
//! something. Of drives that were bad when they were first seen nobody knows when they went bad: some are so in each
//! fleet (1.8 % of that one), and a node that meets its drives for the first time needs more of them.

use std::collections::BTreeMap;

use super::NodeDrive;
use crate::{Action, Life, Source};

/// So many bad drives, and at least half of those that share something, have a common cause; of a node a quarter.
const SHARE_MIN: usize = 3;

/// So many that went bad together have one, however many others are well.
const MANY_MIN: usize = 5;

/// Those counted in that were bad when they were first seen: one in so many, at least [`MANY_MIN`], and
/// [`MANY_FIRST_SEEN_MAX`] in any case.
const FIRST_SEEN_PARTS: usize = 8;
const MANY_FIRST_SEEN_MAX: usize = 24;

/// Evidence that began within this time began together, in seconds: a day.
const TOGETHER_S: u64 = 24 * 3600;

/// In one sentence, what bad drives have in common; `None` where chance will do.
pub(super) fn of(drives: &[NodeDrive<'_>]) -> Option<String> {
    let adapter = |drive: &NodeDrive<'_>| drive.identity.hba.clone();
    let kind = |drive: &NodeDrive<'_>| {
        let (model, firmware) = (drive.identity.model.as_deref()?, drive.identity.firmware.as_deref()?);
        Some(format!("{model} {firmware}"))
    };
    shared(drives, "the adapter", &adapter, "suspect the adapter, its cables or its power.")
        .or_else(|| shared(drives, "the model and firmware", &kind, "suspect the firmware."))
        .or_else(|| {
            let all: Vec<_> = drives.iter().collect();
            let (bad, of) = (Together::of(&all), drives.len());
            let is_common = bad.are_many(of) || (bad.count >= SHARE_MIN && bad.count * 4 >= of);
            let bad = bad.count;
            is_common.then(|| {
                format!("common cause: {bad} of {of} drives of this node went bad together; suspect what they share.")
            })
        })
}

/// What bad drives of one group have in common.
fn shared(
    drives: &[NodeDrive<'_>],
    what: &str,
    name_of: &dyn Fn(&NodeDrive<'_>) -> Option<String>,
    blame: &str,
) -> Option<String> {
    let mut groups: BTreeMap<String, Vec<&NodeDrive<'_>>> = BTreeMap::new();
    drives.iter().filter_map(|drive| Some((name_of(drive)?, drive))).for_each(|(name, drive)| {
        groups.entry(name).or_default().push(drive);
    });
    let everywhere = Together::of(&drives.iter().collect::<Vec<_>>()).count;
    // What all drives share tells nothing of which of them is to blame: that is the node's case.
    groups.into_iter().filter(|(_, group)| group.len() < drives.len()).find_map(|(name, group)| {
        let (bad, of) = (Together::of(&group), group.len());
        // Many of a group are its own fault only where few others are bad, and it is not most of the node anyway.
        let is_alone = bad.count * 4 >= everywhere * 3 && of * 2 <= drives.len();
        let is_common = (bad.count >= SHARE_MIN && bad.count * 2 >= of) || (bad.are_many(of) && is_alone);
        let bad = bad.count;
        is_common.then(|| {
            format!("common cause: {bad} of {of} drives of {what} {name} went bad together; {blame}")
        })
    })
}

/// Drives that went bad within a day of each other.
struct Together {
    /// With those that were bad when they were first seen.
    count: usize,
    /// Without them.
    seen: usize,
}

impl Together {
    /// When a drive went bad is when its worst evidence began; one for which nobody knows counts with all others.
    fn of(drives: &[&NodeDrive<'_>]) -> Self {
        // What a person has given up is known, and so is what stands in a note: neither has just happened.
        let is_news = |drive: &&&NodeDrive<'_>| {
            drive.verdict.level.is_bad() && drive.verdict.life != Life::Failed && !is_by_notes(drive)
        };
        let bad = drives.iter().filter(is_news);
        let began: Vec<Option<u64>> = bad.map(|drive| began(drive)).collect();
        let unknown = began.iter().filter(|began| began.is_none()).count();
        let mut known: Vec<u64> = began.into_iter().flatten().collect();
        known.sort_unstable();
        let within = |from: &u64| {
            known.iter().filter(|time| (*from..=from.saturating_add(TOGETHER_S)).contains(time)).count()
        };
        let seen = known.iter().map(within).max().unwrap_or(0);
        Self { count: unknown + seen, seen }
    }

    fn are_many(&self, of: usize) -> bool {
        let first_seen_min = of.div_ceil(FIRST_SEEN_PARTS).clamp(MANY_MIN, MANY_FIRST_SEEN_MAX);
        self.seen >= MANY_MIN || self.count >= first_seen_min
    }
}

/// Whether nothing but a note that refuses it makes a drive as bad as it is.
fn is_by_notes(drive: &NodeDrive<'_>) -> bool {
    let evidence = drive.verdict.evidence();
    // A drive whose hours run out by its firmware is as bad as those of its kind; one that is refused never was good.
    if drive.verdict.action != Action::Refuse {
        return false;
    }
    let mut worst = evidence.iter().filter(|(_, evidence)| evidence.level == drive.verdict.level).peekable();
    worst.peek().is_some() && worst.all(|(_, evidence)| evidence.source == Source::Notes)
}

/// Since when the worst evidence of a drive is known to be so; `None` where it was so when the drive was first seen.
fn began(drive: &NodeDrive<'_>) -> Option<u64> {
    let evidence = drive.verdict.evidence();
    let (_, worst) = evidence.iter().find(|(_, evidence)| evidence.level == drive.verdict.level)?;
    worst.since_unix_s.filter(|since| drive.beginnings_known_since_unix_s.is_none_or(|known| *since > known))
}
