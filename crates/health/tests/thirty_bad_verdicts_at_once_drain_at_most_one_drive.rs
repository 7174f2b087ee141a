//! Blast guards: what hits many drives at once drains none of them, and says that it has one cause.

use imbrex_health::node::{Guard, NodeDrive, NodeSpace, beginnings_known_since, judge_node};
use imbrex_health::notes::Notes;
use imbrex_health::{
    DriveKey, EngineRecord, Finding, History, Identity, LifeStep, Observation, Verdict, judge,
};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const SPACE: NodeSpace = NodeSpace { free_bytes: 1 << 50, floor_bytes: 1 << 40 };

const DAY_S: u64 = 24 * 3600;

struct Drive(DriveKey, Identity, Verdict, Option<u64>);

/// A drive that was first seen as it is.
fn drive(number: usize, passes: bool, hba: &str) -> Drive {
    watched(number, &[(0, passes)], hba)
}

/// A drive that went bad so many days ago, having been well before, and says so every day.
fn went_bad(number: usize, days: u64, hba: &str) -> Drive {
    let bad = (0..=days).rev().map(|day| (day, false));
    let told: Vec<(u64, bool)> = std::iter::once((30, true)).chain(bad).collect();
    watched(number, &told, hba)
}

/// A drive that passed, or did not, so many days ago.
fn watched(number: usize, told: &[(u64, bool)], hba: &str) -> Drive {
    let identity = Identity {
        serial: Some(format!("S{number:03}")),
        model: Some(format!("MODEL {}", number % 7)),
        firmware: Some("F1".to_owned()),
        hba: Some(hba.to_owned()),
        ..Identity::default()
    };
    let mut history = History::new(identity.clone());
    // A survey sees it some seconds before it is asked.
    let first = told.iter().map(|(days_ago, _)| NOW - days_ago * DAY_S).min().expect("something told");
    history.record(Observation { at_unix_s: first - 5, finding: Finding::Presence { present: true } });
    for (days_ago, passes) in told {
        let report = Report { smart_passed: Some(*passes), ..Report::default() };
        let at_unix_s = NOW - days_ago * DAY_S;
        history.record(Observation { at_unix_s, finding: Finding::Smart { report: Box::new(report) } });
    }
    let verdict = judge(&history, &Notes::default(), NOW);
    let known_since = history.watched_since_unix_s().map(|at| beginnings_known_since(at, NOW));
    Drive(DriveKey::of(&identity).expect("a serial"), identity, verdict, known_since)
}

fn view(drives: &[Drive]) -> Vec<NodeDrive<'_>> {
    drives
        .iter()
        .map(|Drive(key, identity, verdict, known_since)| NodeDrive {
            key,
            identity,
            verdict,
            used_bytes: 1 << 30,
            beginnings_known_since_unix_s: *known_since,
        })
        .collect()
}

#[test]
fn thirty_of_sixty_drain_none_and_have_a_common_cause() {
    let drives: Vec<_> = (0..60).map(|number| drive(number, number % 2 == 0, "one")).collect();
    let node = judge_node(&view(&drives), Some(SPACE));
    assert_eq!(node.drives, [30, 0, 0, 30]);
    assert!(node.common_cause.as_deref().unwrap().starts_with("common cause"), "{node:?}");
    assert_eq!(node.drain, None);
}

#[test]
fn drives_of_one_adapter_blame_the_adapter() {
    let drives: Vec<_> =
        (0..24).map(|number| drive(number, number >= 8, if number < 8 { "bad" } else { "good" })).collect();
    let node = judge_node(&view(&drives), Some(SPACE));
    assert!(node.common_cause.as_deref().unwrap().contains("the adapter bad"), "{node:?}");
    assert_eq!(node.drain, None);
}

#[test]
fn one_bad_drive_is_drained_where_there_is_space_and_not_else() {
    let drives: Vec<_> = (0..24).map(|number| drive(number, number != 5, "one")).collect();
    let node = judge_node(&view(&drives), Some(SPACE));
    assert_eq!(node.drain.as_ref(), Some(&drives[5].0), "{node:?}");
    let full = NodeSpace { free_bytes: 1 << 40, ..SPACE };
    for space in [Some(full), None] {
        let node = judge_node(&view(&drives), space);
        assert_eq!(node.drain, None);
        assert_eq!(node.held[0].guard, Guard::FreeSpace);
    }
}

#[test]
fn two_bad_drives_go_one_after_the_other() {
    let drives: Vec<_> = (0..24).map(|number| drive(number, number > 1, "one")).collect();
    let node = judge_node(&view(&drives), Some(SPACE));
    assert_eq!(node.drain.as_ref(), Some(&drives[0].0));
    assert_eq!(node.held[0].guard, Guard::OneAtATime);
}

fn cause(drives: &[Drive]) -> Option<String> {
    let node = judge_node(&view(drives), Some(SPACE));
    assert!(node.common_cause.is_none() || node.drain.is_none(), "{node:?}");
    node.common_cause
}

#[test]
fn thirty_are_too_many_for_chance_in_a_node_of_any_size() {
    // Over four adapters and seven models, so that none of these has them alone.
    let adapter = |number: usize| ["one", "two", "three", "four"][number % 4];
    for (bad, of) in [(30, 30), (14, 60), (30, 60), (30, 90), (30, 124), (30, 250), (30, 500)] {
        let first_seen: Vec<_> =
            (0..of).map(|number| drive(number, number >= bad, adapter(number))).collect();
        let cause = cause(&first_seen).unwrap_or_default();
        assert!(cause.starts_with("common cause"), "{bad} of {of}: {cause:?}");
    }
}

#[test]
fn five_that_went_bad_within_a_day_are_too_many_and_over_a_month_they_are_not() {
    let adapter = |number: usize| ["one", "two", "three", "four"][number % 4];
    let drives = |days: [u64; 5]| -> Vec<Drive> {
        (0..124)
            .map(|number| match days.get(number) {
                Some(days) => went_bad(number, *days, adapter(number)),
                None => watched(number, &[(30, true), (0, true)], adapter(number)),
            })
            .collect()
    };
    assert!(cause(&drives([3; 5])).is_some());
    assert_eq!(cause(&drives([1, 2, 4, 5, 6])), None, "one after the other");
    // What has said so for longer than a statement is held began nobody knows when.
    assert_eq!(cause(&drives([8, 12, 16, 20, 25])), None, "one after the other");
}

#[test]
fn the_few_that_are_bad_in_any_fleet_when_it_is_first_seen_have_no_common_cause() {
    let adapter = |number: usize| ["one", "two", "three", "four"][number % 4];
    // Some 2 % are: five of 124, and two of a small node.
    for (bad, of) in [(5, 124), (3, 60), (2, 24)] {
        let drives: Vec<_> = (0..of).map(|number| drive(number, number >= bad, adapter(number))).collect();
        assert_eq!(cause(&drives), None, "{bad} of {of}");
    }
}

#[test]
fn many_behind_one_of_several_adapters_blame_it_though_most_behind_it_are_well() {
    let drives: Vec<_> = (0..100)
        .map(|number| {
            let adapter = if number < 40 { "ill" } else { "well" };
            if number < 10 {
                went_bad(number, 3, adapter)
            } else {
                watched(number, &[(30, true), (0, true)], adapter)
            }
        })
        .collect();
    assert!(cause(&drives).unwrap().contains("the adapter ill"));
}

/// A step in the life of a drive, taken now.
fn step(Drive(key, identity, ..): &Drive, step: LifeStep) -> Drive {
    let mut history = History::new(identity.clone());
    let report = Report { smart_passed: Some(false), ..Report::default() };
    for finding in [Finding::Smart { report: Box::new(report) }, Finding::Life { step }] {
        history.record(Observation { at_unix_s: NOW, finding });
    }
    Drive(key.clone(), identity.clone(), judge(&history, &Notes::default(), NOW), Some(NOW))
}

#[test]
fn the_third_of_a_model_and_firmware_waits_for_a_person_and_one_of_another_does_not() {
    // Models go round by seven: 0, 7 and 14 are alike, and so in firmware.
    let drives = |given_up: &[usize], bad: usize| -> Vec<Drive> {
        (0..60)
            .map(|number| {
                let well = drive(number, number != bad, "one");
                if given_up.contains(&number) { step(&well, LifeStep::Failed) } else { well }
            })
            .collect()
    };
    let alike = drives(&[0, 7], 14);
    let node = judge_node(&view(&alike), Some(SPACE));
    assert_eq!(node.drain, None);
    assert_eq!(
        node.held.iter().map(|held| held.guard).collect::<Vec<_>>(),
        [Guard::SameFirmware],
        "{node:?}"
    );
    for (given_up, bad, why) in [(&[0, 7][..], 15, "another model"), (&[0], 14, "only one before it")] {
        let drives = drives(given_up, bad);
        let node = judge_node(&view(&drives), Some(SPACE));
        assert_eq!(node.drain.as_ref(), Some(&drives[bad].0), "{why}: {node:?}");
        assert_eq!(node.held, [], "{why}");
    }
}

#[test]
fn drives_that_a_note_refuses_did_not_go_bad_together_and_hold_no_failing_one_back() {
    let text = r#"
id = "refused"
title = "It loses what was written."
advice = "Do not use it."
source = "this test"
confidence = "verified"
reviewed_on = 2026-11-21
expires_on = 2028-11-21
match = { model = "^MODEL [0-5]$" }
effect = [{ kind = "refuse" }]
sample = { matching = { model = "MODEL 1" }, other = { model = "MODEL 6" } }
"#;
    let (notes, bad) = Notes::of_text("test", text);
    assert_eq!(bad, []);
    let holding = |number: usize| {
        let Drive(key, identity, ..) = drive(number, true, "one");
        let mut history = History::new(identity.clone());
        let record = EngineRecord { holds_blocks: Some(true), ..EngineRecord::default() };
        let report = Report { smart_passed: Some(number != 6), ..Report::default() };
        for finding in [Finding::Smart { report: Box::new(report) }, Finding::Engine { record }] {
            history.record(Observation { at_unix_s: NOW, finding });
        }
        Drive(key, identity, judge(&history, &notes, NOW), Some(NOW))
    };
    let drives: Vec<_> = (0..12).map(holding).collect();
    let node = judge_node(&view(&drives), Some(SPACE));
    assert_eq!(node.drives, [0, 0, 11, 1], "{node:?}");
    assert_eq!((node.common_cause, node.drain.as_ref()), (None, Some(&drives[6].0)));
}

#[test]
fn a_drive_that_a_guard_holds_back_lets_another_go() {
    let drives: Vec<_> = (0..24).map(|number| drive(number, number > 1, "one")).collect();
    let mut view = view(&drives);
    view[0].used_bytes = 1 << 60;
    let node = judge_node(&view, Some(SPACE));
    assert_eq!(node.drain.as_ref(), Some(&drives[1].0), "the first one holds too much: {node:?}");
}
