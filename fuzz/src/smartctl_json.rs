//! What a program in smartctl's place may write: read, judged, and kept.

use imbrex_health::notes::Notes;
use imbrex_health::{Finding, History, Identity, Level, Observation, judge, judge_saved};
use smartctl_parser::Report;

/// The input is an output. It is read without a panic, and no verdict is made of what is not there.
pub fn run(input: &[u8]) {
    let notes = Notes::default();
    let verdict = judge_saved(input, &notes);
    let Ok(report) = Report::parse(input) else {
        assert_eq!(verdict.level, Level::Unknown, "what is no report says nothing");
        return;
    };
    if report.smart_passed.is_none() && !report.has_health_data() && report.exit.is_none() {
        assert_eq!(verdict.level, Level::Unknown, "a report without data says nothing");
    }
    let written = serde_json::to_vec(&report).expect("a report can be written");
    let again: Report = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, report);
    twice(report, &notes);
}

/// A drive that says the same again is no better for it, and its history comes back as it was.
fn twice(report: Report, notes: &Notes) {
    let mut history = History::new(Identity::default());
    let mut say = |at_unix_s| {
        let finding = Finding::Smart { report: Box::new(report.clone()) };
        history.record(Observation { at_unix_s, finding });
        (judge(&history, notes, at_unix_s).level, history.clone())
    };
    let ((first, _), (second, history)) = (say(1_700_000_000), say(1_700_003_600));
    assert!(second >= first, "{second:?} after {first:?}");
    let written = serde_json::to_vec(&history).expect("a history can be written");
    let again: History = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, history);
}
