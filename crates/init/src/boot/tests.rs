//! The boot: its order, its deadlines, and what it says.

use super::*;

fn filesystems() -> Record {
    let (stage, outcome) = (Stage::Filesystems, Outcome::Done);
    Record { stage, started_ms: 100, took_ms: Some(5), outcome, detail: None, late: false }
}

fn begun(steps: &[Step]) -> Vec<Stage> {
    steps.iter().filter_map(|step| if let Step::Begin(stage) = step { Some(*stage) } else { None }).collect()
}

#[test]
fn the_agent_starts_before_the_network_and_the_drives_whatever_else_is_known() {
    let mut boot = Boot::new(filesystems());
    let mut facts = Facts {
        modules_idle: true,
        address: Some("eth0 10.0.2.15".to_owned()),
        configuration: Configuration::Applied("demo".to_owned()),
        ..Facts::default()
    };
    assert_eq!(begun(&boot.advance(&facts, 105)), [Stage::Modules, Stage::Agent]);
    for now_ms in 106..200 {
        assert_eq!(begun(&boot.advance(&facts, now_ms)), []);
    }
    facts.agent_tried = true;
    assert_eq!(begun(&boot.advance(&facts, 200)), [Stage::Network]);
}

#[test]
fn a_boot_goes_through_its_stages_and_each_step_comes_once() {
    let mut boot = Boot::new(filesystems());
    let mut facts = Facts::default();
    let (mut begun_all, mut finished, mut now_ms) = (Vec::new(), 0, 110);
    for round in 0..60 {
        match round {
            3 => facts.agent_tried = true,
            9 => facts.modules_idle = true,
            12 => facts.address = Some("eth0 10.0.2.15".to_owned()),
            20 => facts.configuration = Configuration::Applied("demo".to_owned()),
            30 => facts.agent_ready = true,
            40 => facts.drives = DriveFacts { found: 4, settled: true, ..DriveFacts::default() },
            _ => {}
        }
        now_ms += 10;
        let steps = boot.advance(&facts, now_ms);
        begun_all.extend(begun(&steps));
        finished += steps.iter().filter(|step| **step == Step::Finished).count();
    }
    assert_eq!(begun_all, STAGES[1..]);
    assert_eq!(finished, 1);
    assert!(boot.records().iter().all(|record| record.outcome == Outcome::Done && record.took_ms.is_some()));
    assert_eq!(boot.find(Stage::Drives).unwrap().detail.as_deref(), Some("4 of 4 ready"));
}

#[test]
fn a_dead_or_slow_drive_ends_the_boot_by_name_and_in_bounded_time() {
    let mut boot = Boot::new(filesystems());
    let facts = Facts {
        modules_idle: true,
        agent_tried: true,
        agent_ready: true,
        address: Some("eth0 10.0.2.15".to_owned()),
        configuration: Configuration::Applied("demo".to_owned()),
        drives: DriveFacts {
            found: 3,
            settled: true,
            starting: vec!["drive@b".to_owned()],
            failed: vec!["drive@a".to_owned()],
        },
        ..Facts::default()
    };
    for now_ms in 1_000..1_010 {
        boot.advance(&facts, now_ms);
    }
    assert!(!boot.finished());
    let deadline_ms = boot.deadline_ms().unwrap();
    assert!(deadline_ms <= 1_010 + 60_000);
    assert!(boot.advance(&facts, deadline_ms).contains(&Step::Finished));
    let drives = boot.find(Stage::Drives).unwrap();
    assert_eq!(drives.outcome, Outcome::Failed);
    assert_eq!(drives.detail.as_deref(), Some("1 of 3 ready; not: drive@a, drive@b"));
}

#[test]
fn without_a_configuration_the_boot_ends_with_the_drives_listed_and_the_reason() {
    let mut boot = Boot::new(filesystems());
    let facts = Facts {
        modules_idle: true,
        agent_tried: true,
        agent_ready: true,
        address: Some("eth0 10.0.2.15".to_owned()),
        configuration: Configuration::NotGiven,
        drives: DriveFacts {
            found: 2,
            settled: true,
            starting: vec![],
            failed: vec!["drive@a".to_owned(), "drive@b".to_owned()],
        },
        ..Facts::default()
    };
    for now_ms in 1_000..1_010 {
        boot.advance(&facts, now_ms);
    }
    assert!(boot.finished());
    assert_eq!(boot.find(Stage::Configuration).unwrap().detail.as_deref(), Some(NO_CONFIGURATION));
    let drives = boot.find(Stage::Drives).unwrap();
    assert_eq!(drives.outcome, Outcome::Done);
    assert_eq!(drives.detail.as_deref(), Some("2 found, none started: no configuration"));
}

#[test]
fn no_drive_is_touched_before_the_agent_is_ready_or_late() {
    let facts = Facts {
        modules_idle: true,
        agent_tried: true,
        address: Some("eth0 10.0.2.15".to_owned()),
        configuration: Configuration::Applied("demo".to_owned()),
        ..Facts::default()
    };
    let drives_begin_ms = |ready_ms: u64| {
        let mut boot = Boot::new(filesystems());
        (1_000..100_000).step_by(100).find(|now_ms| {
            let facts = Facts { agent_ready: *now_ms >= ready_ms, ..facts.clone() };
            settle(&mut boot, &facts, *now_ms).contains(&Step::Begin(Stage::Drives))
        })
    };
    assert_eq!((drives_begin_ms(5_000), drives_begin_ms(u64::MAX)), (Some(5_000), Some(61_000)));
}

#[test]
fn a_stage_that_comes_after_the_boot_is_over_is_told_again() {
    let mut boot = Boot::new(filesystems());
    let mut facts = Facts {
        modules_idle: true,
        agent_tried: true,
        agent_ready: true,
        configuration: Configuration::NotGiven,
        drives: DriveFacts { settled: true, ..DriveFacts::default() },
        ..Facts::default()
    };
    assert!(settle(&mut boot, &facts, 1_000).contains(&Step::Begin(Stage::Network)) && boot.waits());
    assert!(settle(&mut boot, &facts, 61_000).contains(&Step::Finished));
    assert!(boot.finished() && boot.late(Stage::Network) && boot.waits());
    facts.address = Some("eth0 10.0.2.15".to_owned());
    let steps = settle(&mut boot, &facts, 500_000);
    assert!(matches!(&steps[..], [Step::Ended(record)] if record.outcome == Outcome::Done), "{steps:?}");
    assert!(!boot.waits());
}

/// A node that goes through its boot until nothing more happens at `now_ms`.
fn settle(boot: &mut Boot, facts: &Facts, now_ms: u64) -> Vec<Step> {
    std::iter::from_fn(|| Some(boot.advance(facts, now_ms)))
        .take_while(|steps| !steps.is_empty())
        .flatten()
        .collect()
}

#[test]
fn every_stage_has_a_deadline_and_one_that_comes_after_it_is_told_again() {
    let mut boot = Boot::new(filesystems());
    let mut facts = Facts { agent_tried: true, ..Facts::default() };
    settle(&mut boot, &facts, 1_000);
    let mut now_ms = 1_000;
    let mut failed = Vec::new();
    while let Some(deadline_ms) = boot.deadline_ms() {
        assert!(deadline_ms > now_ms && deadline_ms < 1_000_000);
        now_ms = deadline_ms;
        boot.note(Stage::Configuration, "no answer".to_owned());
        for step in settle(&mut boot, &facts, now_ms) {
            if let Step::Ended(record) = step {
                assert_eq!(record.outcome, Outcome::Failed);
                failed.push((record.stage, record.detail.unwrap_or_default()));
            }
        }
    }
    let stages: Vec<Stage> = failed.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::Modules, Stage::Agent, Stage::Network, Stage::Configuration]);
    assert_eq!(failed[0].1, "not within 30 s, and still waited for");
    assert_eq!(failed[3].1, "not within 60 s, and still waited for: no answer");
    assert!(boot.late(Stage::Modules) && boot.find(Stage::Drives).is_none());
    // A configuration at last: the drives are served although the drivers' search still hangs.
    facts.configuration = Configuration::Applied("demo".to_owned());
    facts.drives = DriveFacts { found: 2, settled: true, ..DriveFacts::default() };
    let steps = settle(&mut boot, &facts, 200_000);
    assert!(steps.contains(&Step::Begin(Stage::Drives)) && steps.contains(&Step::Finished), "{steps:?}");
    let configuration = boot.find(Stage::Configuration).unwrap();
    assert_eq!(configuration.outcome, Outcome::Done);
    assert_eq!(configuration.started_ms + configuration.took_ms.unwrap(), 200_000);
    assert_eq!(settle(&mut boot, &facts, 300_000), []);
}

#[test]
fn no_drive_while_a_driver_is_still_at_it_is_a_failure_that_names_the_driver() {
    let mut boot = Boot::new(filesystems());
    let mut facts = Facts {
        modules_detail: "9 device aliases; still at it: pci:v1".to_owned(),
        agent_tried: true,
        agent_ready: true,
        address: Some("eth0 10.0.2.15".to_owned()),
        configuration: Configuration::Applied("demo".to_owned()),
        ..Facts::default()
    };
    settle(&mut boot, &facts, 1_000);
    settle(&mut boot, &facts, 31_000);
    let detail = |boot: &Boot, stage| boot.find(stage).and_then(|record| record.detail.clone()).unwrap();
    let modules = detail(&boot, Stage::Modules);
    assert!(boot.late(Stage::Modules) && modules.contains("still at it: pci:v1"), "{modules}");
    assert_eq!(settle(&mut boot, &facts, 90_999), []);
    let steps = settle(&mut boot, &facts, 91_000);
    assert!(steps.contains(&Step::Finished), "{steps:?}");
    assert_eq!(boot.find(Stage::Drives).unwrap().outcome, Outcome::Failed);
    let drives = detail(&boot, Stage::Drives);
    assert_eq!(drives, "none found; 9 device aliases; still at it: pci:v1");
    // The driver comes to its end: that is told.
    facts.modules_idle = true;
    facts.modules_detail = "12 device aliases".to_owned();
    let steps = settle(&mut boot, &facts, 95_000);
    assert!(matches!(&steps[..], [Step::Ended(record)] if record.stage == Stage::Modules), "{steps:?}");
}
