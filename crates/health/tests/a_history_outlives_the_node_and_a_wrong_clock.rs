//! A history outlives the node that recorded it, and a clock that was wrong: what was seen is neither forgotten nor
//! counted twice.

#[allow(dead_code, reason = "each test uses a part of it")]
mod outputs;

use imbrex_health::notes::Notes;
use imbrex_health::{
    EngineRecord, Finding, History, Identity, KernelEvent, Level, Life, LifeStep, Observation, judge,
};
use outputs::{ata, raw, with};
use proptest::prelude::*;
use serde_json::Value;
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const DAY_S: u64 = 24 * 3600;

fn told(drive: &Value) -> Finding {
    Finding::Smart { report: Box::new(Report::parse(drive.to_string().as_bytes()).expect("a report")) }
}

fn history(observations: &[(u64, Finding)]) -> History {
    let mut history = History::new(Identity { serial: Some("S1".to_owned()), ..Identity::default() });
    for (at_unix_s, finding) in observations {
        history.record(Observation { at_unix_s: *at_unix_s, finding: finding.clone() });
    }
    history
}

/// Something of each kind but presence, which each node sees for itself, `days` apart, so that no slot of time holds two of a kind.
fn seen(end_unix_s: u64, kinds: &[u8]) -> Vec<(u64, Finding)> {
    let finding = |kind: u8| match kind % 6 {
        0 => told(&with(ata(), &[raw(5, "Reallocated_Sector_Ct", u64::from(kind))])),
        1 => Finding::Engine {
            record: EngineRecord { read_errors: 1 + u64::from(kind), ..EngineRecord::default() },
        },
        2 => Finding::Kernel { event: KernelEvent::MediumError },
        3 => Finding::Life { step: LifeStep::Failed },
        4 => Finding::SmartFailed { reason: "it hung".to_owned() },
        _ => Finding::Life { step: LifeStep::DrainStarted },
    };
    let count = kinds.len() as u64;
    kinds
        .iter()
        .zip(0..)
        .map(|(kind, number)| (end_unix_s - (count - number) * DAY_S / 2, finding(*kind)))
        .collect()
}

#[test]
fn a_clock_that_is_set_back_takes_the_history_with_it() {
    let ahead_s = 4 * 365 * DAY_S;
    let ill = with(ata(), &[raw(5, "Reallocated_Sector_Ct", 400)]);
    let failed = || Finding::Life { step: LifeStep::Failed };
    let mut history = history(&[(NOW + ahead_s - DAY_S, told(&ill)), (NOW + ahead_s, failed())]);
    let forgotten = judge(&history, &Notes::default(), NOW + 60);
    assert_eq!(forgotten.level, Level::Unknown, "it tells of a time that has not come");
    history.clock_set_back(ahead_s, NOW + 60);
    let verdict = judge(&history, &Notes::default(), NOW + 60);
    assert_eq!((verdict.level, verdict.life), (Level::Degraded, Life::Failed));
    assert_eq!(verdict.data_age_s, Some(DAY_S + 60));
}

#[test]
fn what_was_recorded_by_the_right_clock_stays_where_it_was() {
    let well = (NOW - DAY_S, told(&ata()));
    let mut mended =
        history(&[well.clone(), (NOW + 9 * DAY_S, Finding::Kernel { event: KernelEvent::MediumError })]);
    mended.clock_set_back(9 * DAY_S, NOW);
    let verdict = judge(&mended, &Notes::default(), NOW);
    assert_eq!((verdict.level, verdict.data_age_s), (Level::Degraded, Some(DAY_S)));
    assert_eq!(mended.watched_since_unix_s(), Some(well.0));
}

proptest! {
    #[test]
    fn two_halves_of_a_history_are_the_whole_however_often_they_are_joined(
        kinds in prop::collection::vec(any::<u8>(), 2..40), cut in any::<prop::sample::Index>()
    ) {
        let seen = seen(NOW, &kinds);
        let (early, late) = seen.split_at(cut.index(seen.len()));
        let whole = judge(&history(&seen), &Notes::default(), NOW);
        for (own, other) in [(early, late), (late, early)] {
            let mut joined = history(own);
            for _ in 0..2 {
                joined.merge(history(other));
                let verdict = judge(&joined, &Notes::default(), NOW);
                prop_assert_eq!(&verdict, &whole);
            }
        }
    }

    #[test]
    fn a_history_that_was_written_down_is_read_back(kinds in prop::collection::vec(any::<u8>(), 0..40)) {
        let history = history(&seen(NOW, &kinds));
        let text = serde_json::to_string(&history).unwrap();
        prop_assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}

#[test]
fn a_history_of_an_older_version_that_knows_less_is_read() {
    let history: History = serde_json::from_str(r#"{"first_seen_unix_s": 7}"#).unwrap();
    assert_eq!(history.watched_since_unix_s(), Some(7));
}
