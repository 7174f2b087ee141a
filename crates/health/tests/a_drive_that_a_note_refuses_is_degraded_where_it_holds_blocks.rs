//! A drive that must not hold data is no illness: empty, it is as well as it is. One that holds blocks is to be drained.

use imbrex_health::notes::Notes;
use imbrex_health::{
    Action, Axis, Bus, EngineRecord, Finding, History, Identity, Level, Observation, Verdict, judge,
};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const HOUR_S: u64 = 3600;

/// A drive that says that it is well, and whose engine has told each of these, an hour after the other.
fn verdict(model: &str, holds_blocks: &[Option<bool>]) -> Verdict {
    let (model, serial) = (Some(model.to_owned()), Some("S1".to_owned()));
    let mut history = History::new(Identity { model, serial, bus: Bus::Sata, ..Identity::default() });
    let report = Report { smart_passed: Some(true), ..Report::default() };
    history.record(Observation { at_unix_s: NOW, finding: Finding::Smart { report: Box::new(report) } });
    for (hours, holds_blocks) in (1..).zip(holds_blocks.iter().rev()) {
        let record = EngineRecord { holds_blocks: *holds_blocks, ..EngineRecord::default() };
        history.record(Observation { at_unix_s: NOW - hours * HOUR_S, finding: Finding::Engine { record } });
    }
    judge(&history, &Notes::compiled_in(), NOW)
}

/// A model that the compiled-in notes refuse: it shingles by itself.
const REFUSED: &str = "ST8000AS0002-1NA17Z";

#[test]
fn an_empty_one_is_as_well_as_it_is_and_asks_for_no_data() {
    for holds_blocks in [&[][..], &[None], &[Some(false)], &[Some(true), Some(false)]] {
        let verdict = verdict(REFUSED, holds_blocks);
        assert_eq!((verdict.level, verdict.action), (Level::Healthy, Action::Refuse), "{holds_blocks:?}");
    }
}

#[test]
fn one_that_holds_blocks_is_degraded_since_it_does_and_is_drained_by_a_person() {
    // What the engine does not tell at a time has not changed.
    let verdict = verdict(REFUSED, &[Some(false), Some(true), Some(true), None]);
    assert_eq!((verdict.level, verdict.action), (Level::Degraded, Action::Refuse));
    let evidence = &verdict.axis(Axis::Firmware).evidence[0];
    assert_eq!(evidence.what, "note seagate-archive-drive-managed refuses this drive");
    assert_eq!(evidence.since_unix_s, Some(NOW - 3 * HOUR_S));
    assert!(verdict.action.words().contains("drain") && !verdict.drain_without_person);
}

#[test]
fn another_drive_that_holds_blocks_is_well() {
    let verdict = verdict("ST8000NM0055-1RM112", &[Some(true)]);
    assert_eq!((verdict.level, verdict.action), (Level::Healthy, Action::None));
}
