//! The asking itself: smartctl that does not answer, data that are late, a drive that is not there.
//!
//! None of this makes a drive bad: it makes what is known of it less. A drive that came and went several times has
//! a bad link.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, DAY_S, HELD_S, HOUR_S};
use crate::happenings::Happening;
use crate::level::Axis;
use crate::observation::Source;

/// So many questions without an answer within a day, and none answered since the first of them.
const FAILURES_MIN: u64 = 3;

/// A drive that went away so often within a week has a bad plug.
const GONE_MIN: u64 = 2;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    presence(context, clues);
    answers(context, clues);
    match context.data_age_s() {
        None => {
            let what = "data of the drive about its health";
            let value = if context.asleep_since().is_some() { "none: it sleeps" } else { "none" };
            clues.push(Clue::unknown(Axis::Monitor, Source::Smart, what, value));
        }
        Some(age_s) if !context.is_fresh() => {
            let what = "the last data of the drive about its health are late";
            let clue =
                Clue::unknown(Axis::Monitor, Source::Smart, what, format!("{} hours old", age_s / HOUR_S));
            clues.push(clue.since(context.newest().map(|newest| newest.at_unix_s)));
        }
        Some(age_s) => {
            if let Some(since) = context.asleep_since() {
                let what = "the drive sleeps and was left asleep: what it told before stands";
                let value = format!("told {} hours ago", age_s / HOUR_S);
                clues.push(Clue::note(Axis::Monitor, Source::Smart, what, value).since(Some(since)));
            }
        }
    }
}

fn presence(context: &Context<'_>, clues: &mut Vec<Clue>) {
    if let Some(absent) = is_absent_since(context) {
        let mut clue = Clue::unknown(Axis::Monitor, Source::Enclosure, "the drive", "missing");
        clue.action = Action::CheckPresence;
        clues.push(clue.since(Some(absent)));
    }
    let gone = context.tally(&[Happening::Gone], HELD_S);
    if gone.count >= GONE_MIN {
        let what = "times within a week that the drive went away";
        let clue = Clue::degraded(Axis::Link, Action::CheckLink, Source::Enclosure, what, gone.count);
        clues.push(clue.since(gone.since_unix_s));
    }
}

/// Since when the drive is missing; `None` where it is there, or nobody has said.
pub(crate) fn is_absent_since(context: &Context<'_>) -> Option<u64> {
    let present = context.history.present.as_ref()?;
    (!present.what && present.at_unix_s <= context.now_unix_s).then_some(present.at_unix_s)
}

fn answers(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(failure) = context.history.smart_failure.as_ref() else { return };
    let answered = context.history.smart_answered_unix_s.unwrap_or(0);
    if failure.at_unix_s < answered || failure.at_unix_s > context.now_unix_s {
        return;
    }
    // The slot of the last answer may hold failures from before it: they are left out.
    let within_s =
        DAY_S.min(context.now_unix_s.saturating_sub(answered).saturating_sub(crate::happenings::SLOT_S));
    let failures = context.tally(&[Happening::SmartFailed], within_s);
    let value = format!("{} ({} times)", failure.what, failures.count.max(1));
    let what = "smartctl does not answer";
    let clue = if failures.count >= FAILURES_MIN {
        Clue::degraded(Axis::Monitor, Action::CheckMonitor, Source::Smart, what, value)
    } else {
        Clue::unknown(Axis::Monitor, Source::Smart, what, value)
    };
    clues.push(clue.since(failures.since_unix_s.or(Some(failure.at_unix_s))));
}
