//! A drive that sleeps is left asleep, and is as it was when it fell asleep: not unknown because it was not woken. One of
//! which nobody has heard lately, awake or asleep, is unknown.

#[allow(dead_code, reason = "each test uses a part of it")]
mod outputs;

use imbrex_health::Level::{Degraded, Healthy, Unknown};
use imbrex_health::notes::Notes;
use imbrex_health::{Axis, EngineRecord, Finding, History, Identity, Observation, Verdict, judge};
use outputs::{ata, raw, with};
use serde_json::Value;
use smartctl_parser::Report;

const THEN: u64 = 1_700_000_000;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

fn told(drive: &Value) -> Finding {
    Finding::Smart { report: Box::new(Report::parse(drive.to_string().as_bytes()).expect("a report")) }
}

/// A drive that told this and was then found asleep each hour for so many days.
fn asleep(drive: Option<&Value>, days: u64) -> History {
    let mut history = History::new(Identity::default());
    let mut record = |at_unix_s, finding| history.record(Observation { at_unix_s, finding });
    if let Some(drive) = drive {
        record(THEN, told(drive));
    }
    (1..=days * 24).for_each(|hour| record(THEN + hour * HOUR_S, Finding::Asleep));
    history
}

fn verdict(history: &History, days: u64) -> Verdict {
    judge(history, &Notes::default(), THEN + days * DAY_S)
}

#[test]
fn it_stays_what_it_was_for_as_long_as_it_sleeps() {
    let ill = with(ata(), &[raw(5, "Reallocated_Sector_Ct", 400)]);
    for days in [3, 20, 100] {
        let well = verdict(&asleep(Some(&ata()), days), days);
        assert_eq!(well.level, Healthy, "{:?}", well.evidence());
        assert_eq!(well.data_age_s, Some(days * DAY_S), "how old the data are is told");
        let evidence = &well.axis(Axis::Monitor).evidence;
        assert!(evidence.iter().any(|evidence| evidence.what.contains("sleeps")), "{evidence:?}");
        assert_eq!(verdict(&asleep(Some(&ill), days), days).level, Degraded);
    }
}

#[test]
fn one_that_nobody_has_found_asleep_lately_is_unknown() {
    assert_eq!(verdict(&asleep(Some(&ata()), 3), 5).level, Unknown);
}

#[test]
fn one_that_told_nothing_before_it_fell_asleep_is_unknown() {
    assert_eq!(verdict(&asleep(None, 3), 3).level, Unknown);
    let mut late = asleep(None, 0);
    late.record(Observation { at_unix_s: THEN, finding: told(&ata()) });
    late.record(Observation { at_unix_s: THEN + 5 * DAY_S, finding: Finding::Asleep });
    assert_eq!(verdict(&late, 5).level, Unknown, "its data were late when it fell asleep");
}

#[test]
fn one_that_woke_up_is_as_it_says_then() {
    let mut history = asleep(Some(&ata()), 3);
    let ill = with(ata(), &[raw(5, "Reallocated_Sector_Ct", 400)]);
    history.record(Observation { at_unix_s: THEN + 4 * DAY_S, finding: told(&ill) });
    assert_eq!(verdict(&history, 4).level, Degraded);
    let mut history = asleep(Some(&ill), 3);
    history.record(Observation { at_unix_s: THEN + 12 * DAY_S, finding: told(&ata()) });
    assert_eq!(verdict(&history, 12).level, Healthy);
    assert_eq!(verdict(&history, 14).level, Unknown, "awake, its data grow old");
}

#[test]
fn what_others_see_of_it_counts_meanwhile() {
    let mut history = asleep(Some(&ata()), 20);
    let record = EngineRecord { read_errors: 1, ..EngineRecord::default() };
    history.record(Observation { at_unix_s: THEN + 19 * DAY_S, finding: Finding::Engine { record } });
    assert_eq!(verdict(&history, 20).level, Degraded);
}
