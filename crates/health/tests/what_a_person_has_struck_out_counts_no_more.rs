//! What a person has struck out counts no more, wherever the drive goes on to tell of it: counters, its logs, thresholds
//! that it crossed once, zones. What it tells anew counts.

#[allow(dead_code, reason = "each test uses a part of it")]
mod outputs;

use imbrex_health::Level::{self, Degraded, Failing, Healthy};
use imbrex_health::notes::Notes;
use imbrex_health::{EngineRecord, Finding, History, Identity, LifeStep, Observation, judge};
use outputs::{HOURS, TABLE, ata, attribute, with};
use serde_json::{Value, json};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const HOUR_S: u64 = 3600;

fn told(drive: &Value) -> Finding {
    Finding::Smart { report: Box::new(Report::parse(drive.to_string().as_bytes()).expect("a report")) }
}

/// Judges a drive that told `before`, was struck out or was not, and then told `after`.
fn level(before: Finding, struck_out: bool, after: Finding) -> Level {
    let mut history = History::new(Identity::default());
    let cleared = Finding::Life { step: LifeStep::Cleared };
    let steps =
        [(3, Some(before)), (2, struck_out.then_some(cleared)), (1, Some(after)), (0, Some(told(&ata())))];
    for (hours, finding) in steps {
        let at_unix_s = NOW - hours * HOUR_S;
        finding.into_iter().for_each(|finding| history.record(Observation { at_unix_s, finding }));
    }
    judge(&history, &Notes::default(), NOW).level
}

/// A drive with an error log, newest first, by power-on hours; the log counts them or does not.
fn log(hours: &[u64], counts: bool) -> Value {
    let error =
        |hours: &u64| json!({ "lifetime_hours": hours, "error_description": "Error: UNC at LBA = 0x01 = 1" });
    let count = if counts { json!(hours.len()) } else { Value::Null };
    let table: Vec<_> = hours.iter().map(error).collect();
    with(ata(), &[("ata_smart_error_log", json!({ "summary": { "count": count, "table": table } }))])
}

fn self_tests(results: &[(u64, u8)]) -> Value {
    let test = |(hours, status): &(u64, u8)| json!({ "type": { "string": "Short offline" }, "status": { "value": status }, "lifetime_hours": hours });
    let table: Vec<_> = results.iter().map(test).collect();
    with(ata(), &[("ata_smart_self_test_log", json!({ "standard": { "table": table } }))])
}

#[test]
fn errors_in_the_drives_log() {
    for counts in [true, false] {
        let (old, with_new) = (log(&[HOURS - 100], counts), log(&[HOURS, HOURS - 100], counts));
        assert_eq!(level(told(&old), false, told(&old)), Degraded);
        assert_eq!(level(told(&old), true, told(&old)), Healthy, "counted: {counts}");
        assert_eq!(level(told(&old), true, told(&with_new)), Degraded, "a new one: {counts}");
    }
}

#[test]
fn a_self_test_that_failed() {
    let (failed, again) = ((HOURS - 100, 0x50), (HOURS - 1, 0x50));
    let old = self_tests(&[failed]);
    assert_eq!(level(told(&old), false, told(&old)), Failing);
    assert_eq!(level(told(&old), true, told(&old)), Healthy);
    assert_eq!(level(told(&old), true, told(&self_tests(&[again, failed]))), Failing, "it failed again");
    // All that the log held is struck out, and not its newest test alone.
    let both = |newer: &[(&str, u64)]| {
        let test = |(kind, status): &(&str, u64)| {
            json!({ "type": { "string": kind }, "status": { "value": status },
            "lifetime_hours": HOURS - 100 })
        };
        let table: Vec<_> =
            newer.iter().chain(&[("Short offline", 0), ("Extended offline", 0x70)]).map(test).collect();
        with(ata(), &[("ata_smart_self_test_log", json!({ "standard": { "table": table } }))])
    };
    assert_eq!(level(told(&both(&[])), false, told(&both(&[]))), Degraded);
    assert_eq!(level(told(&both(&[])), true, told(&both(&[]))), Healthy);
    assert_eq!(level(told(&both(&[])), true, told(&both(&[("Conveyance offline", 0)]))), Healthy);
    assert_eq!(level(told(&both(&[])), true, told(&both(&[("Extended offline", 0x70)]))), Degraded);
}

#[test]
fn a_threshold_that_was_crossed_once() {
    let of = |failed| (TABLE, attribute(5, "Reallocated_Sector_Ct", 50, 10, 0, 'P', failed));
    let mut history = History::new(Identity::default());
    let past = with(ata(), &[of("past")]);
    history.record(Observation { at_unix_s: NOW - 3 * HOUR_S, finding: told(&past) });
    assert_eq!(judge(&history, &Notes::default(), NOW).level, Degraded);
    history
        .record(Observation { at_unix_s: NOW - HOUR_S, finding: Finding::Life { step: LifeStep::Cleared } });
    history.record(Observation { at_unix_s: NOW, finding: told(&past) });
    assert_eq!(judge(&history, &Notes::default(), NOW).level, Healthy);
    history.record(Observation { at_unix_s: NOW, finding: told(&with(ata(), &[of("now")])) });
    assert_eq!(judge(&history, &Notes::default(), NOW).level, Failing, "it is crossed now");
}

#[test]
fn zones_that_the_drive_gave_up() {
    let zones = |offline| Finding::Engine {
        record: EngineRecord { zones_offline: Some(offline), ..EngineRecord::default() },
    };
    assert_eq!(level(zones(2), false, told(&ata())), Degraded);
    assert_eq!(level(zones(2), true, told(&ata())), Healthy);
    assert_eq!(level(zones(2), true, zones(2)), Healthy);
    assert_eq!(level(zones(2), true, zones(3)), Degraded, "one more");
}
