//! The rules that look at time, or at what others than the drive saw: of each, a history that just reaches its level,
//! and one that just does not. (What one output of smartctl's is enough for stands beside, in
//! `what_is_wrong_with_a_drive_has_its_axis_and_its_action.rs`.)

use imbrex_health::KernelEvent::{
    self, HardwareError, IoError, LinkError, LinkReset, MediumError, Offline, Timeout,
};
use imbrex_health::Level::{Degraded, Failing, Healthy, Unknown};
use imbrex_health::notes::Notes;
use imbrex_health::{
    Action, Axis, EngineRecord, Finding, History, Identity, Latency, Level, LifeStep, Observation,
    ScrubCoverage, Verdict, judge,
};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

type Seen = Vec<(u64, Finding)>;

/// A disk's answer `ago_s` before now, with these raw values.
fn told(ago_s: u64, raws: &[(u8, u64)]) -> (u64, Finding) {
    let attribute =
        |(id, raw): &(u8, u64)| format!(r#"{{"id": {id}, "raw": {{"value": {raw}, "string": "{raw}"}}}}"#);
    let attributes: Vec<_> = raws.iter().map(attribute).collect();
    let hours = 20_000 - ago_s / HOUR_S;
    let text = format!(
        r#"{{"device": {{"protocol": "ATA"}}, "rotation_rate": 7200, "smart_status": {{"passed": true}},
            "power_on_time": {{"hours": {hours}}}, "ata_smart_attributes": {{"table": [{}]}}}}"#,
        attributes.join(", ")
    );
    (NOW - ago_s, Finding::Smart { report: Box::new(Report::parse(text.as_bytes()).expect("a report")) })
}

fn well() -> (u64, Finding) {
    told(0, &[(5, 0), (197, 0), (199, 0)])
}

fn engine(ago_s: u64, record: EngineRecord) -> (u64, Finding) {
    (NOW - ago_s, Finding::Engine { record })
}

fn kernel(event: KernelEvent, count: u64) -> Seen {
    (0..count).map(|number| (NOW - number * MINUTE_S, Finding::Kernel { event })).chain([well()]).collect()
}

fn compared(count: u64, mean_us: u64) -> Seen {
    let latency = Latency {
        mean_us,
        requests: 500,
        peers_mean_us: 8_000,
        peers_requests: 500,
        peers: 5,
        ..Latency::default()
    };
    let record = EngineRecord { latency: Some(latency), ..EngineRecord::default() };
    (0..count).map(|number| engine(number * HOUR_S, record)).chain([well()]).collect()
}

fn gone(times: u64) -> Seen {
    let times = (0..times).rev().flat_map(|number| {
        let ago_s = (number + 1) * HOUR_S;
        [
            (NOW - ago_s, Finding::Presence { present: false }),
            (NOW - ago_s + 60, Finding::Presence { present: true }),
        ]
    });
    times.chain([well()]).collect()
}

fn unanswered(times: u64) -> Seen {
    let failed = || Finding::SmartFailed { reason: "smartctl did not end within 30 s".to_owned() };
    (0..times).map(|number| (NOW - number * HOUR_S, failed())).chain([told(12 * HOUR_S, &[(5, 0)])]).collect()
}

fn verdict(seen: &[(u64, Finding)]) -> Verdict {
    let mut history = History::new(Identity::default());
    for (at_unix_s, finding) in seen {
        history.record(Observation { at_unix_s: *at_unix_s, finding: finding.clone() });
    }
    judge(&history, &Notes::default(), NOW)
}

#[track_caller]
fn just(rule: &str, axis: Axis, level: Level, reaches: &[(u64, Finding)], does_not: &[(u64, Finding)]) {
    let reached = verdict(reaches);
    assert_eq!(reached.axis(axis).level, level, "{rule}: {:?}", reached.evidence());
    let below = verdict(does_not);
    assert!(below.axis(axis).level < level, "{rule}: {:?}", below.evidence());
}

#[test]
fn counters_that_grow() {
    let grew = |id: u8, by: u64, ago_s: u64| {
        vec![told(ago_s, &[(id, 7)]), told(HOUR_S, &[(id, 7 + by)]), told(0, &[(id, 7 + by)])]
    };
    just("remapped", Axis::Media, Degraded, &grew(5, 32, 20 * DAY_S), &grew(5, 31, 20 * DAY_S));
    just("remapped long ago", Axis::Media, Degraded, &grew(5, 32, 29 * DAY_S), &grew(5, 32, 32 * DAY_S));
    just("waiting", Axis::Media, Degraded, &grew(197, 8, 20 * DAY_S), &grew(197, 7, 20 * DAY_S));
    just("collapse", Axis::Media, Failing, &grew(5, 512, DAY_S), &grew(5, 511, DAY_S));
    just("frames spoilt", Axis::Link, Degraded, &grew(199, 100, 6 * DAY_S), &grew(199, 99, 6 * DAY_S));
    just("motor", Axis::Mechanics, Degraded, &grew(10, 1, 20 * DAY_S), &grew(10, 0, 20 * DAY_S));
}

#[test]
fn levels_of_counters() {
    let one = |raws: &[(u8, u64)]| vec![told(0, raws)];
    just("remapped", Axis::Media, Degraded, &one(&[(5, 256)]), &one(&[(5, 255)]));
    just(
        "remapped, others wait",
        Axis::Media,
        Degraded,
        &one(&[(5, 16), (197, 1)]),
        &one(&[(5, 15), (197, 1)]),
    );
    just("waiting", Axis::Media, Degraded, &one(&[(197, 16)]), &one(&[(197, 15)]));
    just("collapse", Axis::Media, Failing, &one(&[(5, 1000), (197, 1)]), &one(&[(5, 999), (197, 1)]));
    just("link", Axis::Link, Degraded, &one(&[(199, 2000)]), &one(&[(199, 1999)]));
}

#[test]
fn sectors_that_waited_and_were_written_are_held_for_a_week() {
    let waited =
        |ago_s: u64| vec![told(40 * DAY_S, &[(197, 20)]), told(ago_s, &[(197, 20)]), told(0, &[(197, 0)])];
    just("waited", Axis::Media, Degraded, &waited(6 * DAY_S), &waited(8 * DAY_S));
}

#[test]
fn what_the_engine_saw() {
    let errors = |ago_s: u64, record: EngineRecord| vec![well(), engine(ago_s, record)];
    let none = EngineRecord::default();
    for record in [
        EngineRecord { read_errors: 1, ..none },
        EngineRecord { write_errors: 1, ..none },
        EngineRecord { flush_errors: 1, ..none },
        EngineRecord { reset_errors: 1, ..none },
        EngineRecord { checksum_failures: 1, ..none },
        EngineRecord { scrub_findings: 1, ..none },
        EngineRecord { records_lost: 1, ..none },
    ] {
        let (fresh, old) = (errors(6 * DAY_S, record), errors(8 * DAY_S, record));
        just("an error of this week", Axis::Media, Degraded, &fresh, &old);
    }
    let reads = |read_errors| errors(20 * DAY_S, EngineRecord { read_errors, ..none });
    just("three errors of this month", Axis::Media, Degraded, &reads(3), &reads(2));
    let open = |open_errors| errors(0, EngineRecord { open_errors, ..none });
    just("not opened", Axis::Link, Degraded, &open(3), &open(2));
    let zones = |zones| errors(0, EngineRecord { zones_offline: Some(zones), ..none });
    just("zones offline", Axis::Media, Degraded, &zones(1), &zones(0));
    let zones = |zones| errors(0, EngineRecord { zones_read_only: Some(zones), ..none });
    just("zones read-only", Axis::Media, Degraded, &zones(1), &zones(0));
    just("slow", Axis::Mechanics, Degraded, &compared(12, 16_000), &compared(11, 16_000));
    just("twice as slow", Axis::Mechanics, Degraded, &compared(20, 16_000), &compared(20, 15_999));
}

#[test]
fn how_the_engine_says_that_it_stands() {
    let none = EngineRecord::default();
    let unknown = |zones| vec![well(), engine(0, EngineRecord { zones_unknown: Some(zones), ..none })];
    just("zones unknown", Axis::Media, Degraded, &unknown(1), &unknown(0));
    assert_eq!(verdict(&unknown(1)).action, Action::RestoreBlocks);
    let slow = |times: u64| -> Seen {
        let record = EngineRecord { slower_than_before: 3, ..none };
        (0..times).map(|number| engine(number * 2 * DAY_S, record)).chain([well()]).collect()
    };
    just("slower than before", Axis::Mechanics, Degraded, &slow(3), &slow(2));
    let kept = |keeps| vec![well(), engine(HOUR_S, EngineRecord { keeps_checkpoints: Some(keeps), ..none })];
    let without = verdict(&kept(false));
    assert_eq!((without.level, without.action), (Healthy, Action::None), "no illness");
    assert_eq!(without.axis(Axis::Media).evidence[0].since_unix_s, Some(NOW - HOUR_S));
    assert!(verdict(&kept(true)).axis(Axis::Media).evidence.is_empty());
}

#[test]
fn a_scrub_that_is_overdue_is_told_and_makes_no_drive_worse() {
    let scrubbed = |told_ago_s: u64, read_ago_s: Option<u64>| {
        let coverage = ScrubCoverage {
            period_s: 30 * DAY_S,
            zones: 9,
            due_zones: 4,
            oldest_unix_s: read_ago_s.map(|ago_s| NOW - ago_s),
        };
        verdict(&[well(), (NOW - told_ago_s, Finding::Scrub { coverage })])
    };
    let late = scrubbed(0, Some(31 * DAY_S));
    assert_eq!((late.level, late.action), (Healthy, Action::Scrub));
    let evidence = &late.axis(Axis::Media).evidence[0];
    assert_eq!(evidence.since_unix_s, Some(NOW - DAY_S));
    for (told_ago_s, read_ago_s) in [(0, Some(30 * DAY_S)), (0, None), (37 * HOUR_S, Some(40 * DAY_S))] {
        let verdict = scrubbed(told_ago_s, read_ago_s);
        assert!(verdict.axis(Axis::Media).evidence.is_empty(), "{:?}", verdict.evidence());
    }
}

#[test]
fn a_state_that_is_told_again_is_so_since_it_was_first_told() {
    let told = |ago_s: u64, zones| {
        engine(ago_s, EngineRecord { zones_offline: Some(zones), ..EngineRecord::default() })
    };
    let since = |seen: &[(u64, Finding)]| verdict(seen).axis(Axis::Media).evidence[0].since_unix_s;
    assert_eq!(since(&[told(9 * DAY_S, 2), told(DAY_S, 2), well()]), Some(NOW - 9 * DAY_S));
    assert_eq!(since(&[told(9 * DAY_S, 2), told(DAY_S, 3), well()]), Some(NOW - DAY_S));
}

#[test]
fn what_a_drive_said_before_a_time_without_readings_it_has_said_since_then() {
    let says = |ago_s: u64, passed: bool| {
        let text = format!(
            r#"{{"device": {{"protocol": "ATA"}}, "smart_status": {{"passed": {passed}}},
                "temperature": {{"current": {}}}}}"#,
            if passed { 30 } else { 65 }
        );
        (NOW - ago_s, Finding::Smart { report: Box::new(Report::parse(text.as_bytes()).expect("a report")) })
    };
    let since = |seen: &[(u64, Finding)]| {
        let verdict = verdict(seen);
        [Axis::Media, Axis::Mechanics].map(|axis| {
            let evidence = &verdict.axis(axis).evidence[0];
            (NOW - evidence.since_unix_s.expect("a time"), evidence.since_at_least)
        })
    };
    assert_eq!(since(&[says(20 * DAY_S, false), says(0, false)]), [(20 * DAY_S, true); 2]);
    let well_before = [says(25 * DAY_S, true), says(20 * DAY_S, false), says(0, false)];
    assert_eq!(since(&well_before), [(20 * DAY_S, false); 2]);
    let well_between = [says(20 * DAY_S, false), says(9 * DAY_S, true), says(DAY_S, false), says(0, false)];
    assert_eq!(since(&well_between), [(DAY_S, false); 2]);
    assert_eq!(since(&[says(0, false)]), [(0, true); 2]);
}

#[test]
fn what_the_kernel_said() {
    for (event, count, axis) in [
        (MediumError, 1, Axis::Media),
        (HardwareError, 1, Axis::Mechanics),
        (IoError, 3, Axis::Media),
        (Timeout, 3, Axis::Mechanics),
        (LinkReset, 3, Axis::Link),
        (LinkError, 10, Axis::Link),
        (Offline, 1, Axis::Link),
    ] {
        just(&format!("{event:?}"), axis, Degraded, &kernel(event, count), &kernel(event, count - 1));
    }
}

#[test]
fn two_sources_that_agree_and_two_that_do_not() {
    let reads = |times: u64| {
        (0..times)
            .map(|number| engine(number * HOUR_S, EngineRecord { read_errors: 1, ..EngineRecord::default() }))
    };
    let with = |times: u64, raws: &[(u8, u64)]| reads(times).chain([told(0, raws)]).collect::<Seen>();
    just("agreement", Axis::Media, Failing, &with(3, &[(5, 256)]), &with(3, &[(5, 255)]));
    just("errors at three times", Axis::Media, Failing, &with(3, &[(5, 256)]), &with(2, &[(5, 256)]));
    let verdict = verdict(&with(3, &[(5, 256)]));
    assert!(verdict.drain_without_person, "two independent sources are enough");
}

#[test]
fn the_asking_and_the_plug() {
    just("no answer", Axis::Monitor, Degraded, &unanswered(3), &unanswered(2));
    just("no answer once", Axis::Monitor, Unknown, &unanswered(1), &[well()]);
    just("late", Axis::Monitor, Unknown, &[told(37 * HOUR_S, &[(5, 0)])], &[told(35 * HOUR_S, &[(5, 0)])]);
    just("came and went", Axis::Link, Degraded, &gone(2), &gone(1));
    let still = |count: u64| {
        (0..count)
            .map(|number| {
                let (_, finding) = told(0, &[(5, 0)]);
                (NOW - number * 18 * HOUR_S, finding)
            })
            .collect::<Seen>()
    };
    just("hours that stand still", Axis::Firmware, Degraded, &still(3), &still(2));
}

#[test]
fn a_drive_that_is_slow_at_times() {
    let compared = |requests: u64, p99_us: u64| -> Seen {
        let latency = Latency {
            mean_us: 9_000,
            p99_us: Some(p99_us),
            requests,
            peers_mean_us: 8_000,
            peers_p99_us: Some(8_192),
            peers_requests: requests,
            peers: 5,
        };
        let record = EngineRecord { latency: Some(latency), ..EngineRecord::default() };
        (0..12).map(|number| engine(number * HOUR_S, record)).chain([well()]).collect()
    };
    just("tail", Axis::Mechanics, Degraded, &compared(1_000, 65_536), &compared(1_000, 32_768));
    just("of enough", Axis::Mechanics, Degraded, &compared(1_000, 65_536), &compared(999, 65_536));
}

#[test]
fn what_a_person_has_struck_out_counts_no_longer() {
    let bad = || told(DAY_S, &[(5, 400), (197, 30)]);
    let cleared = (NOW - HOUR_S, Finding::Life { step: LifeStep::Cleared });
    assert_eq!(verdict(&[bad(), told(0, &[(5, 400), (197, 0)])]).level, Degraded);
    assert_eq!(verdict(&[bad(), cleared.clone(), told(0, &[(5, 400), (197, 0)])]).level, Healthy);
    assert_eq!(verdict(&[bad(), cleared, told(0, &[(5, 700), (197, 0)])]).level, Degraded, "it goes on");
}
