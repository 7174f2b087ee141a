//! What is not known is unknown; what one source alone says is not enough to drain.

use imbrex_health::notes::Notes;
use imbrex_health::{
    Axis, Counter, EngineRecord, Finding, History, Identity, KernelEvent, Level, Observation, Verdict, judge,
};
use proptest::prelude::*;
use smartctl_parser::{Ata, Attribute, Report};

const NOW: u64 = 1_700_000_000;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

fn smart(remapped: u64, pending: u64, hours: u64) -> Finding {
    let attribute = |id, raw| Attribute {
        id,
        name: None,
        value: None,
        worst: None,
        threshold: None,
        raw: Some(raw),
        raw_text: None,
        failed: None,
        prefailure: None,
    };
    let ata = Ata { attributes: vec![attribute(5, remapped), attribute(197, pending)], ..Ata::default() };
    let report = Report { ata: Some(ata), power_on_hours: Some(hours), ..Report::default() };
    Finding::Smart { report: Box::new(report) }
}

fn engine(read_errors: u64) -> Finding {
    Finding::Engine { record: EngineRecord { read_errors, ..EngineRecord::default() } }
}

fn verdict(observations: impl IntoIterator<Item = (u64, Finding)>) -> Verdict {
    let mut history = History::new(Identity::default());
    observations
        .into_iter()
        .for_each(|(at_unix_s, finding)| history.record(Observation { at_unix_s, finding }));
    judge(&history, &Notes::default(), NOW)
}

#[test]
fn no_data_are_unknown() {
    assert_eq!(verdict([]).level, Level::Unknown);
    let failed = || Finding::SmartFailed { reason: "timed out".to_owned() };
    let all_day = (0..20).map(|hour| (NOW - hour * HOUR_S, failed()));
    let verdict = verdict(all_day);
    assert_eq!(verdict.level, Level::Unknown);
    assert_eq!(verdict.axis(Axis::Monitor).level, Level::Degraded, "it was asked twenty times");
}

#[test]
fn late_data_are_unknown() {
    assert_eq!(verdict([(NOW - HOUR_S, smart(0, 0, 9000))]).level, Level::Healthy);
    assert_eq!(verdict([(NOW - 3 * DAY_S, smart(0, 0, 9000))]).level, Level::Unknown);
}

#[test]
fn a_missing_drive_is_missing_and_not_failed() {
    let gone = Finding::Presence { present: false };
    let verdict = verdict([(NOW - HOUR_S, smart(0, 0, 9000)), (NOW - 60, engine(50)), (NOW - 30, gone)]);
    assert_eq!(verdict.level, Level::Unknown);
    assert!(
        !verdict.axis(Axis::Media).level.is_bad(),
        "errors of a drive that is pulled do not count: {verdict:?}"
    );
}

#[test]
fn a_drive_whose_hours_stand_still_has_an_unknown_medium() {
    let days = (0..4).map(|day| (NOW - day * DAY_S, smart(0, 0, 9000)));
    let verdict = verdict(days);
    assert_eq!(verdict.axis(Axis::Media).level, Level::Unknown, "{verdict:?}");
    assert_eq!(verdict.axis(Axis::Firmware).level, Level::Degraded);
    assert!(!verdict.drain_without_person);
}

#[test]
fn engine_and_kernel_are_one_source_and_smart_is_the_other() {
    let errors = || {
        (0..4).flat_map(|hour| {
            let at = NOW - hour * HOUR_S;
            [(at, engine(1)), (at, Finding::Kernel { event: KernelEvent::MediumError })]
        })
    };
    let well = [(NOW - HOUR_S, smart(0, 0, 9000))];
    let alone = verdict(errors().chain(well));
    assert_eq!((alone.level, alone.drain_without_person), (Level::Degraded, false), "{alone:?}");
    let both = verdict(errors().chain([(NOW - HOUR_S, smart(300, 2, 9000))]));
    assert_eq!((both.level, both.drain_without_person), (Level::Failing, true), "{both:?}");
}

#[test]
fn one_read_error_of_this_week_is_enough_to_look_and_an_old_one_is_not() {
    let well = || (NOW, smart(0, 0, 9000));
    assert_eq!(verdict([well(), (NOW - DAY_S, engine(1))]).level, Level::Degraded);
    assert_eq!(verdict([well(), (NOW - 20 * DAY_S, engine(1))]).level, Level::Healthy);
}

#[test]
fn of_two_reports_of_one_half_day_the_later_counts_whichever_came_first() {
    let (early, late) = ((NOW - 2 * HOUR_S, smart(0, 0, 9000)), (NOW - HOUR_S, smart(300, 0, 9001)));
    assert_eq!(verdict([early.clone(), late.clone()]), verdict([late, early]));
}

#[test]
fn a_collapse_of_the_counters_is_failing_and_a_person_decides() {
    let verdict = verdict([(NOW - DAY_S, smart(0, 0, 9000)), (NOW, smart(1501, 3, 9024))]);
    assert_eq!((verdict.level, verdict.drain_without_person), (Level::Failing, false), "{verdict:?}");
}

fn observations() -> impl Strategy<Value = Vec<(u64, Finding)>> {
    // Half-day slots, one observation in each, so that what is late has a place of its own.
    let one = (0..2000u64, 0..40u64, 0..3u64);
    prop::collection::vec(one, 1..40).prop_map(|days| {
        let start = NOW - days.len() as u64 * DAY_S / 2;
        (0u64..)
            .zip(days)
            .flat_map(|(slot, (remapped, pending, read_errors))| {
                let at = start + slot * DAY_S / 2;
                [(at, smart(remapped, pending, 9000 + slot * 12)), (at, engine(read_errors))]
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(observations in observations(), seed in any::<u64>()) {
        let mut shuffled = observations.clone();
        shuffled.sort_by_key(|(at, finding)| {
            (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(u32::from(matches!(finding, Finding::Engine { .. })))
        });
        prop_assert_eq!(verdict(observations), verdict(shuffled));
    }

    #[test]
    fn more_evidence_of_harm_never_lowers_the_level(observations in observations(), errors in 1..20u64, more in 0..5000u64) {
        let before = verdict(observations.clone()).level;
        let with_errors = observations.iter().cloned().chain([(NOW - HOUR_S, engine(errors))]);
        prop_assert!(verdict(with_errors).level >= before);
        let mut worse = observations;
        if let Some((_, Finding::Smart { report })) = worse.iter_mut().rev().find(|(_, finding)| matches!(finding, Finding::Smart { .. }))
            && let Some(ata) = report.ata.as_mut()
        {
            ata.attributes.iter_mut().for_each(|attribute| attribute.raw = attribute.raw.map(|raw| raw + more));
        }
        prop_assert!(verdict(worse).level >= before);
    }
}

#[test]
fn every_counter_has_a_place() {
    let places: std::collections::BTreeSet<_> =
        Counter::ALL.into_iter().map(|counter| counter as usize).collect();
    assert_eq!(places, (0..Counter::ALL.len()).collect());
}
