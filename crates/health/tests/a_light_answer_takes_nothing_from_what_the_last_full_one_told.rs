//! A drive is asked little often and everything once a day. What the small answer does not say is kept from the large
//! one, with its own age, and is forgotten when that age is too great.

use imbrex_health::notes::Notes;
use imbrex_health::{Axis, Counter, Finding, History, Identity, Level, Observation, Verdict, judge};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

const FULL: &str = r#"{
    "device": {"protocol": "ATA"}, "rotation_rate": 0, "power_on_time": {"hours": 9000}, "smart_status": {"passed": true},
    "ata_smart_attributes": {"table": [
        {"id": 5, "name": "Reallocated_Sector_Ct", "value": 40, "thresh": 10, "when_failed": "", "raw": {"value": 100, "string": "100"}},
        {"id": 199, "name": "CRC_Error_Count", "value": 100, "thresh": 0, "when_failed": "", "raw": {"value": 7, "string": "7"}}]},
    "ata_device_statistics": {"pages": [{"number": 7, "table": [
        {"offset": 8, "name": "Percentage Used Endurance Indicator", "value": 104, "flags": {"valid": true}}]}]},
    "ata_smart_self_test_log": {"standard": {"table": [
        {"type": {"string": "Short offline"}, "status": {"value": 112}, "lifetime_hours": 8990}]}}
}"#;
const LIGHT: &str =
    r#"{"device": {"protocol": "ATA"}, "power_on_time": {"hours": 9001}, "smart_status": {"passed": true}}"#;

fn history(answers: &[(u64, &str)]) -> History {
    let mut history = History::new(Identity::default());
    for (at_unix_s, text) in answers {
        let report = Report::parse(text.as_bytes()).expect("a report");
        let finding = Finding::Smart { report: Box::new(report) };
        history.record(Observation { at_unix_s: *at_unix_s, finding });
    }
    history
}

fn verdict(answers: &[(u64, &str)]) -> Verdict {
    judge(&history(answers), &Notes::default(), NOW)
}

#[test]
fn what_a_light_answer_does_not_say_is_kept() {
    let verdict = verdict(&[(NOW - HOUR_S, FULL), (NOW, LIGHT)]);
    assert_eq!(verdict.level, Level::Degraded);
    let told: Vec<_> =
        verdict.axis(Axis::Media).evidence.iter().map(|evidence| evidence.what.as_str()).collect();
    for what in ["remapped sectors", "part of the maker's margin for remapped sectors that is used"] {
        assert!(told.contains(&what), "{told:?}");
    }
    assert!(told.iter().any(|what| what.contains("self-test failed")), "{told:?}");
    assert_eq!(verdict.axis(Axis::Wear).level, Level::Degraded, "{verdict:?}");
    assert_eq!(verdict.data_age_s, Some(0));
}

#[test]
fn what_is_kept_has_its_own_age() {
    let verdict = verdict(&[(NOW - 5 * DAY_S, FULL), (NOW, LIGHT)]);
    let wear = &verdict.axis(Axis::Wear).evidence[0];
    assert_eq!(wear.since_unix_s, Some(NOW - 5 * DAY_S), "{wear:?}");
}

#[test]
fn what_is_older_than_a_week_is_forgotten_and_its_axis_unknown() {
    let verdict = verdict(&[(NOW - 9 * DAY_S, FULL), (NOW, LIGHT)]);
    assert_eq!(verdict.axis(Axis::Wear).level, Level::Unknown, "{verdict:?}");
    assert_eq!(verdict.axis(Axis::Link).level, Level::Unknown, "{verdict:?}");
    let media = &verdict.axis(Axis::Media).evidence;
    assert!(media.iter().all(|evidence| !evidence.what.contains("remapped")), "{media:?}");
}

#[test]
fn the_drives_own_status_is_never_kept() {
    let silent = LIGHT.replace(
        r#", "smart_status": {"passed": true}"#,
        r#", "ata_smart_attributes": {"table": [{"id": 9}]}"#,
    );
    let verdict = verdict(&[(NOW - 3 * DAY_S, FULL), (NOW, &silent)]);
    assert_eq!(
        history(&[(NOW - HOUR_S, FULL), (NOW, &silent)]).latest_report().expect("a report").1.smart_passed,
        None
    );
    assert_ne!(verdict.axis(Axis::Media).level, Level::Healthy, "{verdict:?}");
}

#[test]
fn the_order_in_which_the_two_come_does_not_matter() {
    let (full, light) = ((NOW - HOUR_S, FULL), (NOW, LIGHT));
    assert_eq!(history(&[full, light]), history(&[light, full]));
    let reading = *history(&[light, full]).readings().last().expect("a reading");
    assert_eq!((reading.power_on_hours, reading.counter(Counter::Remapped)), (Some(9001), Some(100)));
}
