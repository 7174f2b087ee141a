//! The drive's own logs: errors that it wrote down, self-tests that it failed.
//!
//! - An error is as old as the drive's own hours say. What is older than a year of power is history.
//! - A command that the drive refused (ABRT) is the host's fault, one that was spoilt on the link (ICRC) the link's.

use smartctl_parser::SelfTestResult;

use crate::action::Action;
use crate::clue::Clue;
use crate::context::Context;
use crate::level::Axis;
use crate::observation::Source;
use crate::reading::Counter;
use crate::rules::media::{PENDING_MIN, REMAPPED_MIN};

/// An unreadable sector this long ago is history, in hours of power: a year.
const RECENT_HOURS: u64 = 365 * 24;

/// So many link errors in the log within the last month of power are a bad link.
const LINK_ERRORS_MIN: usize = 3;
const LINK_RECENT_HOURS: u64 = 30 * 24;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    errors(context, clues);
    self_tests(context, clues);
}

fn errors(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(log) = context.history.error_log.as_ref() else { return };
    let hours = context.report().and_then(|report| report.power_on_hours);
    let ages = |link: bool| {
        let kinds = log.what.errors.iter().filter(move |error| {
            if link { error.kinds.link && !error.kinds.unreadable } else { error.kinds.unreadable }
        });
        kinds.map(move |error| hours.and_then(|hours| error.age_hours(hours)))
    };
    let since = Some(log.at_unix_s);
    // An error of an unknown age may be of today.
    if let Some(age) = ages(false).map(|age| age.unwrap_or(0)).min() {
        let count = ages(false).count();
        let value = format!("{count} in the log, the last one {age} hours ago");
        let what = "sectors that could not be read, in the drive's error log";
        clues.push(if age <= RECENT_HOURS {
            Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, value).since(since).strong()
        } else {
            Clue::note(Axis::Media, Source::Smart, what, value).since(since)
        });
    }
    let recent = ages(true).filter(|age| age.is_some_and(|age| age <= LINK_RECENT_HOURS)).count();
    if ages(true).count() > 0 {
        let value = format!("{} in the log, {recent} of them within 30 days of power", ages(true).count());
        let what = "data spoilt on the link, in the drive's error log";
        clues.push(if recent >= LINK_ERRORS_MIN {
            Clue::degraded(Axis::Link, Action::CheckLink, Source::Smart, what, value).since(since)
        } else {
            Clue::note(Axis::Link, Source::Smart, what, value).since(since)
        });
    }
}

/// The newest test that ended counts: a failure that a later test has not found again is history.
fn self_tests(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(log) = context.history.self_tests.as_ref() else { return };
    let ended = |result: SelfTestResult| result == SelfTestResult::Passed || result.is_failure();
    let failed = log.what.tests.iter().filter(|test| test.result.is_failure()).count();
    let Some(newest) = log.what.tests.iter().find(|test| ended(test.result)) else { return };
    let hours = context.report().and_then(|report| report.power_on_hours);
    let age = hours.and_then(|hours| newest.age_hours(hours));
    let age_text = age.map_or_else(|| "at an unknown time".to_owned(), |age| format!("{age} hours ago"));
    let kind = newest.kind.as_deref().unwrap_or("self-test");
    let value = format!("{kind}, {age_text}; {failed} of {} tests in the log failed", log.what.tests.len());
    let is_old = age.is_some_and(|age| age > RECENT_HOURS);
    if newest.result == SelfTestResult::Passed || is_old {
        if failed > 0 {
            let clue = Clue::note(Axis::Media, Source::Smart, "a self-test failed in the past", value);
            clues.push(clue.since(Some(log.at_unix_s)));
        }
        return;
    }
    let clue = match newest.result {
        SelfTestResult::FailedElectrical => {
            failing(Axis::Mechanics, "the last self-test failed: electronics", value)
        }
        SelfTestResult::FailedServo => {
            failing(Axis::Mechanics, "the last self-test failed: heads or servo", value)
        }
        SelfTestResult::FailedHandling => {
            failing(Axis::Mechanics, "the last self-test failed: handling damage", value)
        }
        // A sector that cannot be read fails the test: bad where the surface is bad elsewhere too.
        _ if surface_is_bad(context) => failing(
            Axis::Media,
            "the last self-test failed to read, and the surface has many bad sectors",
            value,
        ),
        _ => Clue::degraded(
            Axis::Media,
            Action::PlanReplacement,
            Source::Smart,
            "the last self-test failed",
            value,
        )
        .strong(),
    };
    clues.push(clue.since(Some(log.at_unix_s)));
}

fn failing(axis: Axis, what: &str, value: String) -> Clue {
    Clue::failing(axis, Source::Smart, what, value)
}

fn surface_is_bad(context: &Context<'_>) -> bool {
    let at_least =
        |counter, count_min| context.highest(counter).is_some_and(|count| count.count >= count_min);
    at_least(Counter::Remapped, REMAPPED_MIN) || at_least(Counter::Pending, PENDING_MIN)
}
