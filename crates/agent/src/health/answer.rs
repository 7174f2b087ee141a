//! Verdicts in the words of the API.

use std::collections::BTreeMap;
use std::time::Instant;

use imbrex_api::drive::ScrubStatus;
use imbrex_api::health::{
    Action, Axis, AxisHealth, DriveHealth, DriveInShort, Evidence, Guard, HeldGuard, Level, LevelCounts,
    Life, MatchedNote, NodeHealth, Polling, Source,
};
use imbrex_health::node::{self, NodeDrive, NodeSpace, NodeVerdict};
use imbrex_health::notes::{Effective, Notes};
use imbrex_health::{DriveKey, ScrubCoverage, Verdict};

use super::entry::Entry;

/// So much of the node's space must stay free when a drive is drained, in percent: Ceph's `backfillfull_ratio`
/// of 0.90 leaves as much.
const FLOOR_PERCENT: u64 = 10;

/// A drive's levels, for metrics.
#[derive(Clone, Debug)]
pub(crate) struct DriveLevels {
    /// The drive's ID.
    pub(crate) id: String,
    /// How it is as a whole.
    pub(crate) level: Level,
    /// And on each axis.
    pub(crate) axes: [(Axis, Level); 6],
    /// Seconds since it last told of itself.
    pub(crate) data_age_s: Option<u64>,
    /// When smartctl was last asked, in seconds since 1970.
    pub(crate) asked_at_unix_s: Option<u64>,
}

impl DriveLevels {
    pub(super) fn of(id: &str, entry: &Entry, notes: &Notes, now_unix_s: u64) -> Self {
        let verdict = imbrex_health::judge(&entry.history, notes, now_unix_s);
        Self {
            id: id.to_owned(),
            level: level(verdict.level),
            axes: verdict.axes.map(|of| (axis(of.axis), level(of.level))),
            data_age_s: verdict.data_age_s,
            asked_at_unix_s: entry.schedule.asked_unix_s,
        }
    }
}

/// How one drive is.
pub(super) fn drive_health(
    id: &str,
    entry: &Entry,
    notes: &Notes,
    now: Instant,
    now_unix_s: u64,
) -> DriveHealth {
    let effective = notes.effective(entry.history.identity());
    let verdict = imbrex_health::judge_with(&entry.history, &effective, now_unix_s);
    let identity = entry.history.identity();
    DriveHealth {
        id: id.to_owned(),
        level: level(verdict.level),
        action: action(verdict.action),
        advice: advice(verdict.action, &effective),
        data_age_s: verdict.data_age_s,
        life: life(verdict.life),
        watched_since_unix_s: entry.history.watched_since_unix_s(),
        drain_without_person: verdict.drain_without_person,
        axes: verdict.axes.iter().map(axis_health).collect(),
        notes: effective.notes().iter().map(|note| matched(note)).collect(),
        polling: polling(entry, now),
        adapter: identity.hba.clone(),
        wwn: identity.wwn.clone(),
        serial: identity.serial.clone(),
        model: identity.model.clone(),
        firmware: identity.firmware.clone(),
    }
}

/// What to do, in words; where a note asks for it, with the note's name.
fn advice(action: imbrex_health::Action, notes: &Effective<'_>) -> String {
    match notes.refuses().filter(|_| action == imbrex_health::Action::Refuse) {
        Some(note) => format!("{} ({})", action.words(), note.id),
        None => action.words().to_owned(),
    }
}

/// How all drives are. What the notes' files, smartctl and the kernel's log have to say is not known here.
pub(super) fn node_health(drives: &BTreeMap<String, Entry>, notes: &Notes, now_unix_s: u64) -> NodeHealth {
    let judged: Vec<(&String, &Entry, Verdict)> = drives
        .iter()
        .map(|(id, entry)| (id, entry, imbrex_health::judge(&entry.history, notes, now_unix_s)))
        .collect();
    let together = judge_together(&judged, notes, now_unix_s);
    let [healthy, unknown, degraded, failing] = together.drives.map(|count| count as u64);
    let drain = together.drain.as_ref();
    let drain = drain.and_then(|key| judged.iter().find(|(_, entry, _)| entry.key().as_ref() == Some(key)));
    NodeHealth {
        level: judged.iter().map(|(.., verdict)| verdict.level).max().map_or(Level::Unknown, level),
        at_unix_s: now_unix_s,
        counts: LevelCounts { healthy, unknown, degraded, failing },
        common_cause: together.common_cause,
        guards: together
            .held
            .into_iter()
            .map(|held| HeldGuard { guard: guard(held.guard), why: held.why })
            .collect(),
        drain: drain.map(|(id, ..)| (*id).clone()),
        drives: judged.iter().map(|(id, entry, verdict)| in_short(id, entry, verdict)).collect(),
        ..NodeHealth::default()
    }
}

/// What the drives have in common. One without a name of its own cannot be named for a drain and is left out there,
/// but counted among the levels.
fn judge_together(judged: &[(&String, &Entry, Verdict)], notes: &Notes, now_unix_s: u64) -> NodeVerdict {
    let keys: Vec<Option<DriveKey>> = judged.iter().map(|(_, entry, _)| entry.key()).collect();
    let named = judged.iter().zip(&keys).filter_map(|((_, entry, verdict), key)| {
        let identity = entry.history.identity();
        let watched = entry.history.watched_since_unix_s();
        let beginnings_known_since_unix_s = watched.map(|at| node::beginnings_known_since(at, now_unix_s));
        Some(NodeDrive {
            key: key.as_ref()?,
            identity,
            verdict,
            used_bytes: used_bytes(entry),
            beginnings_known_since_unix_s,
        })
    });
    let mut together = node::judge_node(&named.collect::<Vec<_>>(), space(judged, notes));
    together.drives = imbrex_health::Level::ALL
        .map(|level| judged.iter().filter(|(.., verdict)| verdict.level == level).count());
    together
}

/// Bytes that a drain would have to put elsewhere; all of the drive where nobody knows.
fn used_bytes(entry: &Entry) -> u64 {
    entry.live_bytes.or(entry.capacity_bytes).unwrap_or(u64::MAX)
}

/// The space on the drives that are well or unknown: what is free on a bad drive, or on one that a note refuses, is no
/// place for blocks. A drive that does not tell counts as full; `None` where none tells.
fn space(judged: &[(&String, &Entry, Verdict)], notes: &Notes) -> Option<NodeSpace> {
    let good = judged.iter().filter(|(_, entry, verdict)| {
        entry.present && !verdict.level.is_bad() && entry.refusing_note(notes).is_none()
    });
    let free: Vec<u64> = good.filter_map(|(_, entry, _)| entry.free_bytes).collect();
    let present = judged.iter().filter(|(_, entry, _)| entry.present);
    let all_bytes = present.filter_map(|(_, entry, _)| entry.capacity_bytes).fold(0, u64::saturating_add);
    let free_bytes = free.iter().copied().reduce(u64::saturating_add)?;
    Some(NodeSpace { free_bytes, floor_bytes: all_bytes / 100 * FLOOR_PERCENT })
}

fn in_short(id: &str, entry: &Entry, verdict: &Verdict) -> DriveInShort {
    let evidence = verdict.evidence();
    // A drive that is well, with something to do, has a note that asks for it.
    let needs =
        |level| level != imbrex_health::Level::Healthy || verdict.action != imbrex_health::Action::None;
    let worst = evidence.first().filter(|(_, evidence)| needs(evidence.level));
    let identity = entry.history.identity();
    DriveInShort {
        id: id.to_owned(),
        level: level(verdict.level),
        action: action(verdict.action),
        because: worst.map(|(_, evidence)| format!("{}: {}", evidence.what, evidence.value)),
        since_unix_s: worst.and_then(|(_, evidence)| evidence.since_unix_s),
        data_age_s: verdict.data_age_s,
        life: life(verdict.life),
        serial: identity.serial.clone(),
        model: identity.model.clone(),
    }
}

fn axis_health(verdict: &imbrex_health::AxisVerdict) -> AxisHealth {
    let evidence = verdict.evidence.iter().map(|evidence| Evidence {
        level: level(evidence.level),
        what: evidence.what.clone(),
        value: evidence.value.clone(),
        was: evidence.was.clone(),
        since_unix_s: evidence.since_unix_s,
        since_at_least: evidence.since_at_least,
        source: source(evidence.source),
    });
    AxisHealth { axis: axis(verdict.axis), level: level(verdict.level), evidence: evidence.collect() }
}

fn matched(note: &imbrex_health::notes::Note) -> MatchedNote {
    MatchedNote {
        id: note.id.clone(),
        title: note.title.clone(),
        advice: note.advice.clone(),
        source: note.source.clone(),
    }
}

fn polling(entry: &Entry, now: Instant) -> Polling {
    let schedule = &entry.schedule;
    let due = schedule.due().filter(|_| entry.device.is_some());
    Polling {
        // An order to a drive that cannot be asked any more waits for nothing.
        asking: if entry.device.is_some() { schedule.is_asking_or_ordered() } else { schedule.is_asking() },
        outcome: entry.asked.as_ref().map(|asked| asked.outcome),
        reason: match &entry.asked {
            Some(asked) => asked.reason.clone(),
            None if entry.present && entry.device.is_none() => {
                Some("it has no device file that smartctl could open".to_owned())
            }
            None => None,
        },
        asked_at_unix_s: schedule.asked_unix_s,
        asked_fully_at_unix_s: schedule.asked_fully_unix_s,
        due_in_s: due.map(|due| due.saturating_duration_since(now).as_secs()),
        quiet_refusals: schedule.quiet_refusals(),
    }
}

/// What the rules look at of a scrub.
pub(super) fn scrub_coverage(scrub: &ScrubStatus) -> ScrubCoverage {
    ScrubCoverage {
        period_s: scrub.period_s,
        zones: u64::from(scrub.zones),
        due_zones: u64::from(scrub.overdue_zones),
        oldest_unix_s: scrub.oldest_unix_s,
    }
}

/// The same word in the API's enum.
macro_rules! same_words {
    ($name:ident: $from:ty => $to:ident { $($member:ident)+ }) => {
        const fn $name(of: $from) -> $to {
            match of {
                $(<$from>::$member => $to::$member,)+
            }
        }
    };
}

same_words!(level: imbrex_health::Level => Level { Healthy Unknown Degraded Failing });
same_words!(axis: imbrex_health::Axis => Axis { Media Mechanics Link Wear Firmware Monitor });
same_words!(source: imbrex_health::Source => Source { Smart Engine Kernel Enclosure Notes });
same_words!(guard: node::Guard => Guard { OneAtATime CommonCause SameFirmware FreeSpace });
same_words!(life: imbrex_health::Life => Life { New BurnIn InService Suspect Draining Failed Removed });
same_words!(action: imbrex_health::Action => Action {
    None CheckMonitor CheckPresence Watch CheckLink Cool Scrub UpdateFirmware Refuse PlanReplacement RestoreBlocks
    Replace
});
