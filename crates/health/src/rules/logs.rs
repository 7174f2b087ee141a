//! The drive's own logs: errors that it wrote down, self-tests that it failed.
//!
//! - An error is as old as the drive's own hours say. What is older than a year of power is history.
//! - A command that the drive refused (ABRT) is the host's fault, and so is a sector that it has not (IDNF behind the
//!   end, or on a zoned drive away from a write pointer); one that was spoilt on the link (ICRC) is the link's.
//! - What a person has struck out is history, whatever its age.

use smartctl_parser::{ErrorKinds, LoggedError, SelfTest, SelfTestLog, SelfTestResult};

use crate::action::Action;
use crate::cleared::strikes_out_test;
use crate::clue::Clue;
use crate::context::{Context, HOUR_S};
use crate::level::Axis;
use crate::observation::Source;
use crate::reading::Counter;
use crate::rules::media::{PENDING_MIN, REMAPPED_MIN};

/// An unreadable sector this long ago is history, in hours of power: a year.
const RECENT_HOURS: u64 = 365 * 24;

/// So many link errors in the log within the last month of power are a bad link.
const LINK_ERRORS_MIN: usize = 3;
const LINK_RECENT_HOURS: u64 = 30 * 24;

/// A sector that was not found (IDNF) within the last month of power: a head that lost its way, or a surface that goes.
/// Older ones say little: a shock, or a loss of power, does the same.
const NOT_FOUND_RECENT_HOURS: u64 = 30 * 24;

/// The log counts in logical sectors: these are the smallest.
const SECTOR_BYTES_MIN: u64 = 512;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    errors(context, clues);
    self_tests(context, clues);
}

fn errors(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(log) = context.history.error_log.as_ref() else { return };
    let hours = context.report().and_then(|report| report.power_on_hours);
    let errors = counted(context, hours);
    // Hours of power are hours for a drive that is always on: for another it was earlier.
    let since = |ages: &[Option<u64>]| {
        let age = newest_age(ages)?;
        Some(log.at_unix_s.saturating_sub(age.saturating_mul(HOUR_S)))
    };
    let ages = |is_kind: fn(ErrorKinds) -> bool| -> Vec<Option<u64>> {
        let of_kind = errors.iter().filter(|error| is_kind(error.kinds) && !may_be_ours(context, error));
        of_kind.map(|error| hours.and_then(|hours| error.age_hours(hours))).collect()
    };
    let unreadable = ages(|kinds| kinds.unreadable);
    if !unreadable.is_empty() {
        let what = "sectors that could not be read, in the drive's error log";
        clues.push(if newest(&unreadable) <= RECENT_HOURS {
            Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, told(&unreadable))
                .since(since(&unreadable))
                .strong()
        } else {
            Clue::note(Axis::Media, Source::Smart, what, told(&unreadable)).since(since(&unreadable))
        });
    }
    let not_found = ages(|kinds| kinds.not_found && !kinds.unreadable && !kinds.link);
    if !not_found.is_empty() {
        let what = "sectors that the drive did not find, in its error log";
        clues.push(if newest(&not_found) <= NOT_FOUND_RECENT_HOURS {
            Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, told(&not_found))
                .since(since(&not_found))
        } else {
            Clue::note(Axis::Media, Source::Smart, what, told(&not_found)).since(since(&not_found))
        });
    }
    let link = ages(|kinds| kinds.link && !kinds.unreadable);
    let recent = link.iter().flatten().filter(|age| **age <= LINK_RECENT_HOURS).count();
    if !link.is_empty() {
        let value = format!("{} in the log, {recent} of them within 30 days of power", link.len());
        let what = "data spoilt on the link, in the drive's error log";
        clues.push(if recent >= LINK_ERRORS_MIN {
            Clue::degraded(Axis::Link, Action::CheckLink, Source::Smart, what, value).since(since(&link))
        } else {
            Clue::note(Axis::Link, Source::Smart, what, value).since(since(&link))
        });
    }
}

/// The errors of the log that nobody has struck out.
fn counted<'a>(context: &Context<'a>, hours: Option<u64>) -> Vec<&'a LoggedError> {
    let Some(log) = context.history.error_log.as_ref() else { return Vec::new() };
    let Some(cleared) = context.cleared() else { return log.what.errors.iter().collect() };
    let is_older = context.cleared_unix_s().is_some_and(|at_unix_s| log.at_unix_s <= at_unix_s);
    let counts = |(index, error): &(usize, &LoggedError)| {
        !is_older && !cleared.strikes_out(&log.what, *index, error, hours)
    };
    log.what.errors.iter().enumerate().filter(counts).map(|(_, error)| error).collect()
}

/// A sector that the drive has not, or on a host-managed drive one away from the write pointer: that it was not found
/// may be the fault of whoever asked for it.
fn may_be_ours(context: &Context<'_>, error: &LoggedError) -> bool {
    let Some(identity) = context.report().map(|report| &report.identity) else { return false };
    let sectors = identity.capacity_bytes.map(|bytes| bytes / SECTOR_BYTES_MIN);
    let is_beyond = error.lba.zip(sectors).is_some_and(|(lba, sectors)| lba >= sectors);
    error.kinds.not_found
        && !error.kinds.unreadable
        && (is_beyond || identity.host_managed_zoned == Some(true))
}

/// The age of the newest error, in hours of power. One of an unknown age may be of today.
fn newest(ages: &[Option<u64>]) -> u64 {
    ages.iter().map(|age| age.unwrap_or(0)).min().unwrap_or(0)
}

/// The same; `None` where it may be one of an unknown age.
fn newest_age(ages: &[Option<u64>]) -> Option<u64> {
    ages.iter().all(Option::is_some).then(|| newest(ages))
}

fn told(ages: &[Option<u64>]) -> String {
    let last =
        newest_age(ages).map_or_else(|| "at an unknown time".to_owned(), |age| format!("{age} hours ago"));
    format!("{} in the log, the last one {last}", ages.len())
}

/// The newest failure counts that no later test has cleared: one of the same kind that passed, or a long one. A short test
/// reads next to nothing, and passes on a drive whose long one fails. (smartctl itself calls a failure outdated only where
/// a newer long test has passed.)
fn standing_failure(log: &SelfTestLog) -> Option<(usize, &SelfTest)> {
    let mut passed: Vec<Depth<'_>> = Vec::new();
    for (index, test) in log.tests.iter().enumerate() {
        let depth = Depth::of(test);
        if test.result == SelfTestResult::Passed {
            passed.push(depth);
        } else if test.result.is_failure() && !passed.iter().any(|later| later.clears(&depth)) {
            return Some((index, test));
        }
    }
    None
}

/// How much of a drive a test looks at.
#[derive(PartialEq, Eq)]
enum Depth<'a> {
    Short,
    Long,
    Other(&'a str),
    NotKnown,
}

impl<'a> Depth<'a> {
    /// By smartctl's words for the three command sets: "Extended offline", "Background long", "Short".
    fn of(test: &'a SelfTest) -> Self {
        let Some(kind) = test.kind.as_deref() else { return Self::NotKnown };
        let lower = kind.to_ascii_lowercase();
        if lower.contains("extended") || lower.contains("long") {
            Self::Long
        } else if lower.contains("short") {
            Self::Short
        } else {
            Self::Other(kind)
        }
    }

    fn clears(&self, failed: &Self) -> bool {
        *self == Self::Long || self == failed
    }
}

fn self_tests(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(log) = context.history.self_tests.as_ref() else { return };
    let failed = log.what.tests.iter().filter(|test| test.result.is_failure()).count();
    let hours = context.report().and_then(|report| report.power_on_hours);
    let told = |test: &SelfTest| {
        let age = hours.and_then(|hours| test.age_hours(hours));
        let age_text = age.map_or_else(|| "at an unknown time".to_owned(), |age| format!("{age} hours ago"));
        let kind = test.kind.as_deref().unwrap_or("self-test");
        let of = log.what.tests.len();
        (age, format!("{kind}, {age_text}; {failed} of {of} tests in the log failed"))
    };
    let standing = standing_failure(&log.what).map(|(index, test)| (index, test, told(test)));
    let counts = |(index, _, (age, _)): &(usize, &SelfTest, (Option<u64>, String))| {
        let is_old = age.is_some_and(|age| age > RECENT_HOURS);
        !is_old && !context.cleared().is_some_and(|cleared| strikes_out_test(cleared, &log.what, *index))
    };
    let Some((_, newest, (age, value))) = standing.filter(counts) else {
        let past = log.what.tests.iter().find(|test| test.result.is_failure());
        clues.extend(past.map(|test| {
            Clue::note(Axis::Media, Source::Smart, "a self-test failed in the past", told(test).1)
        }));
        return;
    };
    let clue = match newest.result {
        SelfTestResult::FailedElectrical => failing(
            Axis::Mechanics,
            "a self-test failed, and none as thorough has passed since: electronics",
            value,
        ),
        SelfTestResult::FailedServo => failing(
            Axis::Mechanics,
            "a self-test failed, and none as thorough has passed since: heads or servo",
            value,
        ),
        SelfTestResult::FailedHandling => failing(
            Axis::Mechanics,
            "a self-test failed, and none as thorough has passed since: handling damage",
            value,
        ),
        // A sector that cannot be read fails the test: bad where the surface is bad elsewhere too.
        _ if surface_is_bad(context) => failing(
            Axis::Media,
            "a self-test failed, and none as thorough has passed since: it could not read, and the surface has many bad sectors",
            value,
        ),
        _ => Clue::degraded(
            Axis::Media,
            Action::PlanReplacement,
            Source::Smart,
            "a self-test failed, and none as thorough has passed since",
            value,
        )
        .strong(),
    };
    clues.push(clue.since(age.map(|age| log.at_unix_s.saturating_sub(age.saturating_mul(HOUR_S)))));
}

fn failing(axis: Axis, what: &str, value: String) -> Clue {
    Clue::failing(axis, Source::Smart, what, value)
}

fn surface_is_bad(context: &Context<'_>) -> bool {
    let at_least =
        |counter, count_min| context.highest(counter).is_some_and(|count| count.count >= count_min);
    at_least(Counter::Remapped, REMAPPED_MIN) || at_least(Counter::Pending, PENDING_MIN)
}
