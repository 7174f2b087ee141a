//! All drives of a node at once: what they have in common, and whether one of them may be drained by itself.
//!
//! - At most one drive is drained at a time, and none while several went bad together: what hits many drives at once
//!   is nearly never the drives, and to drain them would be the real failure.
//! - A guard that holds says so, and why; it never changes a drive's verdict.

mod common_cause;

use serde::{Deserialize, Serialize};

use crate::drive_key::DriveKey;
use crate::identity::Identity;
use crate::level::Level;
use crate::life::Life;
use crate::verdict::Verdict;

/// So many drives of one model and firmware may be draining or given up before a person must look.
const SAME_FIRMWARE_MAX: usize = 2;

/// A drive of the node, as the guards see it.
#[derive(Clone, Copy, Debug)]
pub struct NodeDrive<'a> {
    /// Its key.
    pub key: &'a DriveKey,
    /// What it is.
    pub identity: &'a Identity,
    /// What is said of it.
    pub verdict: &'a Verdict,
    /// Bytes that it holds, which a drain has to put elsewhere.
    pub used_bytes: u64,
    /// From when on it is known when its evidence began, in seconds since 1970 ([`beginnings_known_since`]): what is as
    /// old may be older. `None` where nobody knows.
    pub beginnings_known_since_unix_s: Option<u64>,
}

/// What is so of a drive within this of when it was first seen was so before, in seconds: it is asked only then.
const FIRST_LOOK_S: u64 = 3600;

/// Evidence that is older may have begun at any time before, in seconds: a statement is held for seven days.
const BEGINNING_KNOWN_S: u64 = 6 * 24 * 3600;

/// From when on it is known when evidence of a drive began that was first seen at `watched_since_unix_s`: times in
/// seconds since 1970.
#[must_use]
pub fn beginnings_known_since(watched_since_unix_s: u64, now_unix_s: u64) -> u64 {
    watched_since_unix_s.saturating_add(FIRST_LOOK_S).max(now_unix_s.saturating_sub(BEGINNING_KNOWN_S))
}

/// The space of the node.
#[derive(Clone, Copy, Debug)]
pub struct NodeSpace {
    /// Bytes that are free on all drives but the one that would be drained.
    pub free_bytes: u64,
    /// Bytes that must stay free.
    pub floor_bytes: u64,
}

/// What keeps drives from being drained by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// One drive at a time.
    OneAtATime,
    /// Several drives went bad together.
    CommonCause,
    /// Several drives of one model and firmware are gone already.
    SameFirmware,
    /// There would be too little free space.
    FreeSpace,
}

/// A guard that holds a drain back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which guard.
    pub guard: Guard,
    /// Why, in one sentence.
    pub why: String,
}

/// What is said of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeVerdict {
    /// The drives at each level, in the order of [`Level::ALL`].
    pub drives: [usize; 4],
    /// What several bad drives have in common, in one sentence that begins with "common cause".
    pub common_cause: Option<String>,
    /// The guards that hold.
    pub held: Vec<Held>,
    /// The one drive that may be drained now without a person.
    pub drain: Option<DriveKey>,
}

/// Looks at all drives of a node. `space` is `None` where it is not known: then nothing is drained.
#[must_use]
pub fn judge_node(drives: &[NodeDrive<'_>], space: Option<NodeSpace>) -> NodeVerdict {
    let count = |level| drives.iter().filter(|drive| drive.verdict.level == level).count();
    let mut verdict = NodeVerdict {
        drives: Level::ALL.map(count),
        common_cause: common_cause::of(drives),
        ..NodeVerdict::default()
    };
    let ready = |drive: &&NodeDrive<'_>| {
        drive.verdict.drain_without_person && !matches!(drive.verdict.life, Life::Draining | Life::Failed)
    };
    let mut candidates: Vec<_> = drives.iter().filter(ready).collect();
    // The same drives give the same choice, in whatever order they are listed.
    candidates.sort_by_key(|drive| drive.key);
    let cause = verdict.common_cause.as_deref();
    let mut judged = candidates.iter().map(|candidate| {
        let held = held(drives, candidate, candidates.len(), space, cause);
        let is_next = held.iter().all(|held| held.guard == Guard::OneAtATime);
        (*candidate, held, is_next)
    });
    // A guard that holds one drive back (it is too full, or one too many of its kind) may let another go.
    let Some(first) = judged.next() else { return verdict };
    let (candidate, held, is_next) =
        if first.2 { first } else { judged.find(|(.., is_next)| *is_next).unwrap_or(first) };
    verdict.held = held;
    let is_free = is_next && !drives.iter().any(|drive| drive.verdict.life == Life::Draining);
    verdict.drain = is_free.then(|| candidate.key.clone());
    verdict
}

fn held(
    drives: &[NodeDrive<'_>],
    candidate: &NodeDrive<'_>,
    candidates: usize,
    space: Option<NodeSpace>,
    common_cause: Option<&str>,
) -> Vec<Held> {
    let mut held = Vec::new();
    let mut hold = |guard, why: String| held.push(Held { guard, why });
    if let Some(draining) = drives.iter().find(|drive| drive.verdict.life == Life::Draining) {
        hold(Guard::OneAtATime, format!("{} is being drained; one drive at a time.", draining.key));
    } else if candidates > 1 {
        hold(Guard::OneAtATime, format!("{} drives wait behind the first; one at a time.", candidates - 1));
    }
    if let Some(cause) = common_cause {
        hold(Guard::CommonCause, format!("{cause} A person must look first."));
    }
    let kind = |identity: &Identity| (identity.model.clone(), identity.firmware.clone());
    let alike = drives.iter().filter(|drive| {
        matches!(drive.verdict.life, Life::Draining | Life::Failed)
            && kind(drive.identity) == kind(candidate.identity)
    });
    let alike = alike.count();
    if alike >= SAME_FIRMWARE_MAX {
        hold(Guard::SameFirmware, format!("{alike} drives of this model and firmware are draining or gone."));
    }
    match space {
        None => hold(Guard::FreeSpace, "The free space of the node is not known.".to_owned()),
        Some(space) if space.free_bytes < space.floor_bytes.saturating_add(candidate.used_bytes) => {
            let why = format!(
                "{} bytes are free, {} must stay free, and the drive holds {}.",
                space.free_bytes, space.floor_bytes, candidate.used_bytes
            );
            hold(Guard::FreeSpace, why);
        }
        Some(_) => {}
    }
    held
}
