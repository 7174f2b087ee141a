//! Blast guards: what hits many drives at once drains none of them, and says that it has one cause.

use imbrex_health::node::{Guard, NodeDrive, NodeSpace, judge_node};
use imbrex_health::notes::Notes;
use imbrex_health::{DriveKey, Finding, History, Identity, Observation, Verdict, judge};
use smartctl_parser::Report;

const NOW: u64 = 1_700_000_000;
const SPACE: NodeSpace = NodeSpace { free_bytes: 1 << 50, floor_bytes: 1 << 40 };

struct Drive(DriveKey, Identity, Verdict);

fn drive(number: usize, passes: bool, hba: &str) -> Drive {
    let identity = Identity {
        serial: Some(format!("S{number:03}")),
        model: Some(format!("MODEL {}", number % 7)),
        firmware: Some("F1".to_owned()),
        hba: Some(hba.to_owned()),
        ..Identity::default()
    };
    let mut history = History::new(identity.clone());
    let report = Report { smart_passed: Some(passes), ..Report::default() };
    history.record(Observation { at_unix_s: NOW, finding: Finding::Smart { report: Box::new(report) } });
    Drive(DriveKey::of(&identity).expect("a serial"), identity, judge(&history, &Notes::default(), NOW))
}

fn view(drives: &[Drive]) -> Vec<NodeDrive<'_>> {
    drives
        .iter()
        .map(|Drive(key, identity, verdict)| NodeDrive { key, identity, verdict, used_bytes: 1 << 30 })
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
