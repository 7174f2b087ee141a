//! Evidence in, verdict out.
//!
//! - A verdict is a pure function of a history, the notes and the time: the same in gives the same out.
//! - Where there are no data, or late ones, an axis is unknown: never healthy, and never failing for the lack of them.
//!   What is known to be wrong stays known for as long as its rule holds it.
//! - SMART's counters alone take a drive to degraded. They take it to failing only where the surface collapses,
//!   and then a person decides: to be drained without a person, a drive must say outright that it is failing, or two
//!   independent sources must agree. Engine and kernel see the same orders, and count as one source.

use smartctl_parser::ExitStatus;

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, DAY_S, GROWTH_S, HOUR_S};
use crate::history::History;
use crate::level::{Axis, Level};
use crate::life::Life;
use crate::notes::{Effective, Notes};
use crate::observation::{LifeStep, Source};
use crate::reading::Counter;
use crate::rules;
use crate::verdict::{AxisVerdict, EVIDENCE_MAX, Evidence, Verdict};

/// A drive is new for so many hours of power, and in its burn-in for so many.
const NEW_HOURS: u64 = 24;
const BURN_IN_HOURS: u64 = 30 * 24;

/// What is said of a drive at a time, in seconds since 1970.
#[must_use]
pub fn judge(history: &History, notes: &Notes, now_unix_s: u64) -> Verdict {
    judge_with(history, &notes.effective(history.identity()), now_unix_s)
}

/// As [`judge`], with the notes about the drive already found: for many verdicts on one drive.
#[must_use]
pub fn judge_with(history: &History, notes: &Effective<'_>, now_unix_s: u64) -> Verdict {
    let context = Context::new(history, notes, now_unix_s);
    let mut clues = rules::clues(&context);
    let agreed = agreement(&clues);
    let is_agreed = agreed.is_some();
    clues.extend(agreed);
    clues.sort_by_key(|clue| std::cmp::Reverse((clue.evidence.level, clue.action)));
    let axes = Axis::ALL.map(|axis| axis_verdict(&context, axis, &clues));
    let is_absent = rules::is_absent_since(&context).is_some();
    let level = overall(&axes, is_absent);
    let is_explicit = clues.iter().any(|clue| clue.is_explicit);
    Verdict {
        level,
        action: action(&clues, level, is_absent),
        drain_without_person: level == Level::Failing && (is_explicit || is_agreed),
        data_age_s: context.data_age_s(),
        life: life(&context, level),
        axes,
    }
}

/// How much of the life that its maker promised a drive of flash has used, in percent, as it told within the last
/// week; may exceed 100. `None` for a drive that does not tell, or of which a note says that it tells wrongly.
#[must_use]
pub fn life_used_percent(history: &History, notes: &Effective<'_>, now_unix_s: u64) -> Option<u64> {
    if notes.ignores_wear().is_some() {
        return None;
    }
    rules::used_percent(&Context::new(history, notes, now_unix_s)).map(|(used, _)| used)
}

/// Two independent sources, each with strong evidence against the medium or the mechanics of one drive.
fn agreement(clues: &[Clue]) -> Option<Clue> {
    let strong = |of_drive: bool| {
        clues.iter().find(|clue| {
            clue.is_strong
                && clue.evidence.level.is_bad()
                && matches!(clue.axis, Axis::Media | Axis::Mechanics)
                && clue.action != Action::Cool
                && match clue.evidence.source {
                    Source::Smart => of_drive,
                    Source::Engine | Source::Kernel => !of_drive,
                    Source::Enclosure | Source::Notes => false,
                }
        })
    };
    let (drive, host) = (strong(true)?, strong(false)?);
    let value = format!("{}; {}", drive.evidence.what, host.evidence.what);
    let since = drive.evidence.since_unix_s.max(host.evidence.since_unix_s);
    Some(
        Clue::failing(host.axis, host.evidence.source, "the drive's own word and its errors agree", value)
            .since(since),
    )
}

fn axis_verdict(context: &Context<'_>, axis: Axis, clues: &[Clue]) -> AxisVerdict {
    let evidence: Vec<Evidence> = clues
        .iter()
        .filter(|clue| clue.axis == axis)
        .take(EVIDENCE_MAX)
        .map(|clue| Evidence {
            since_at_least: may_be_older(context, &clue.evidence),
            ..clue.evidence.clone()
        })
        .collect();
    let worst = evidence.iter().map(|evidence| evidence.level).max().unwrap_or(Level::Healthy);
    let floor = if has_data(context, axis) { Level::Healthy } else { Level::Unknown };
    AxisVerdict { axis, level: worst.max(floor), evidence }
}

/// Whether what is recorded begins with it: of the drive's own word the readings that count, of the rest all.
fn may_be_older(context: &Context<'_>, evidence: &Evidence) -> bool {
    let begins_unix_s = match evidence.source {
        Source::Smart => context.counted(GROWTH_S).first().map(|reading| reading.at_unix_s),
        Source::Engine | Source::Kernel | Source::Enclosure | Source::Notes => {
            // The first record of an engine's states may come some looks later.
            context.history.first_seen_unix_s.map(|first| first.saturating_add(HOUR_S))
        }
    };
    evidence.since_unix_s.zip(begins_unix_s).is_some_and(|(since, begins)| since <= begins)
}

/// Whether there are fresh data about an axis at all.
fn has_data(context: &Context<'_>, axis: Axis) -> bool {
    let is_fresh = context.is_fresh() && !rules::stands_still_now(context);
    let told = |counters: &[Counter]| counters.iter().any(|counter| context.tells(*counter));
    let report = context.report();
    // The status alone will do, unless the rest was asked for and could not be had.
    let passed = report.is_some_and(|report| {
        let is_broken = report.exit.is_some_and(ExitStatus::some_command_failed);
        report.smart_passed.is_some() && !is_broken
    });
    let engine_age_s =
        context.history.engine_seen_unix_s.map(|at_unix_s| context.now_unix_s.saturating_sub(at_unix_s));
    match axis {
        Axis::Media => {
            let warning =
                report.and_then(|report| report.nvme.as_ref()).and_then(|nvme| nvme.critical_warning);
            let counters =
                [Counter::Remapped, Counter::Pending, Counter::ToldUnreadable, Counter::GrownDefects];
            is_fresh && (passed || warning.is_some() || told(&counters))
        }
        Axis::Mechanics => {
            let warm = context.newest().is_some_and(|newest| newest.temperature_celsius.is_some());
            is_fresh && (warm || told(&[Counter::SpinRetries]))
        }
        Axis::Link => {
            (is_fresh && told(&[Counter::LinkCrc, Counter::PhyErrors]))
                || engine_age_s.is_some_and(|age_s| age_s <= DAY_S)
        }
        Axis::Wear => {
            is_fresh && context.notes.ignores_wear().is_none() && rules::used_percent(context).is_some()
        }
        Axis::Firmware => {
            let identity = context.history.identity();
            identity.model.is_some() && identity.firmware.is_some()
        }
        Axis::Monitor => is_fresh,
    }
}

/// The worst of what is known to be wrong. Else the medium decides: what nobody counts on a drive (the wear of a
/// disk) leaves it healthy, and what nobody knows of its medium does not. The asking makes no drive bad, and nothing
/// is said of a drive that is not there.
fn overall(axes: &[AxisVerdict; 6], is_absent: bool) -> Level {
    if is_absent {
        return Level::Unknown;
    }
    let bad = axes.iter().filter(|axis| axis.axis != Axis::Monitor && axis.level.is_bad());
    let media = axes.iter().find(|axis| axis.axis == Axis::Media).map_or(Level::Unknown, |axis| axis.level);
    bad.map(|axis| axis.level).max().unwrap_or(media)
}

/// What the worst evidence asks for; of several, the most pressing.
fn action(clues: &[Clue], level: Level, is_absent: bool) -> Action {
    if is_absent {
        return Action::CheckPresence;
    }
    let of_level = |wanted: Level| {
        let clues = clues.iter().filter(move |clue| clue.evidence.level == wanted);
        clues.map(|clue| clue.action).max()
    };
    match level {
        Level::Failing => Action::Replace,
        Level::Degraded => of_level(Level::Degraded).unwrap_or(Action::Watch),
        Level::Unknown => Action::CheckMonitor,
        // Of a drive that is well, what makes it no worse may ask for something: sectors that wait for a scrub.
        Level::Healthy => of_level(Level::Degraded).max(of_level(Level::Healthy)).unwrap_or(Action::None),
    }
}

fn life(context: &Context<'_>, level: Level) -> Life {
    let step = context.history.step.as_ref().filter(|step| step.at_unix_s <= context.now_unix_s);
    match step.map(|step| step.what) {
        Some(LifeStep::Failed) => return Life::Failed,
        Some(LifeStep::DrainStarted) => return Life::Draining,
        Some(LifeStep::DrainStopped | LifeStep::Cleared) | None => {}
    }
    let absent = rules::is_absent_since(context);
    if absent.is_some_and(|since| context.now_unix_s.saturating_sub(since) > DAY_S) {
        return Life::Removed;
    }
    if level.is_bad() {
        return Life::Suspect;
    }
    // The drive's own hours, since a node that boots from memory meets all of its drives for the first time.
    let seen_s =
        context.history.first_seen_unix_s.map_or(0, |first| context.now_unix_s.saturating_sub(first));
    let hours = context.newest().and_then(|newest| newest.power_on_hours).unwrap_or(seen_s / 3600);
    match hours {
        0..NEW_HOURS => Life::New,
        NEW_HOURS..BURN_IN_HOURS => Life::BurnIn,
        _ => Life::InService,
    }
}
