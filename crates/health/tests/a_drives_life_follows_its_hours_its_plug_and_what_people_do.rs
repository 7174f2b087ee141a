//! Where in its life a drive is: by its own hours, by whether it is there, and by what people have said of it.

use imbrex_health::notes::Notes;
use imbrex_health::{Finding, History, Identity, Life, LifeStep, Observation, judge};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

/// The life of a drive of which this was seen, each so long before now in seconds.
fn life(seen: &[(u64, Finding)]) -> Life {
    let mut history = History::new(Identity::default());
    for (ago_s, finding) in seen {
        history.record(Observation { at_unix_s: NOW - ago_s, finding: finding.clone() });
    }
    judge(&history, &Notes::default(), NOW).life
}

fn told(hours: Option<u64>, passed: bool) -> Finding {
    let report = Report { smart_passed: Some(passed), power_on_hours: hours, ..Report::default() };
    Finding::Smart { report: Box::new(report) }
}

fn present(present: bool) -> Finding {
    Finding::Presence { present }
}

fn step(step: LifeStep) -> Finding {
    Finding::Life { step }
}

#[test]
fn a_drive_is_new_for_a_day_of_power_and_burns_in_for_thirty() {
    for (hours, expected) in
        [(0, Life::New), (23, Life::New), (24, Life::BurnIn), (719, Life::BurnIn), (720, Life::InService)]
    {
        assert_eq!(life(&[(0, told(Some(hours), true))]), expected, "{hours} hours");
    }
}

#[test]
fn one_that_tells_no_hours_is_as_old_as_it_is_known() {
    let known = |ago_s| life(&[(ago_s, present(true)), (0, told(None, true))]);
    assert_eq!(known(HOUR_S), Life::New);
    assert_eq!(known(2 * DAY_S), Life::BurnIn);
    assert_eq!(known(31 * DAY_S), Life::InService);
}

#[test]
fn one_that_is_gone_for_longer_than_a_day_is_removed_and_comes_back_as_what_it_was() {
    let was = (40 * HOUR_S, told(Some(9_000), true));
    let gone = |ago_s| (ago_s, present(false));
    assert_eq!(life(&[was.clone(), gone(23 * HOUR_S)]), Life::InService, "it may come back");
    assert_eq!(life(&[was.clone(), gone(25 * HOUR_S)]), Life::Removed);
    assert_eq!(life(&[was, gone(25 * HOUR_S), (HOUR_S, present(true))]), Life::InService);
}

#[test]
fn one_that_is_bad_is_suspect_and_what_people_say_of_it_goes_first() {
    let bad = (HOUR_S, told(Some(9_000), false));
    assert_eq!(life(std::slice::from_ref(&bad)), Life::Suspect);
    for (said, expected) in [
        (LifeStep::DrainStarted, Life::Draining),
        (LifeStep::DrainStopped, Life::Suspect),
        (LifeStep::Failed, Life::Failed),
        (LifeStep::Cleared, Life::InService),
    ] {
        let after = (0, told(Some(9_000), said == LifeStep::Cleared));
        assert_eq!(life(&[bad.clone(), (60, step(said)), after]), expected, "{said:?}");
    }
}
