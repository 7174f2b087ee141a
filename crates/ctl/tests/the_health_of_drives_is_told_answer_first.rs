//! `imbrexctl health` says first how it stands and what to do, and below that how it is known.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use fake::node::{FakeNode, Orders, Signs};
use fake::{program, stderr};
use imbrex_api::health::{
    Action, Axis, AxisHealth, DriveHealth, DriveInShort, Evidence, Guard, HeldGuard, Level, LevelCounts,
    NodeHealth, PollOrder, Source,
};

fn evidence(level: Level, what: &str, value: &str) -> Evidence {
    let since_unix_s = Some(1_700_000_000);
    let (what, value) = (what.into(), value.into());
    Evidence { level, what, value, since_unix_s, source: Source::Smart, ..Evidence::default() }
}

fn failing() -> DriveHealth {
    let media = vec![
        evidence(Level::Healthy, "remapped sectors", "3"),
        evidence(Level::Failing, "the drive's own status is failing", "it says so now"),
    ];
    DriveHealth {
        id: "wwn-1".into(),
        serial: Some("S1".into()),
        level: Level::Failing,
        action: Action::Replace,
        advice: "Drain the drive now and replace it.".into(),
        data_age_s: Some(600),
        axes: vec![AxisHealth { axis: Axis::Media, level: Level::Failing, evidence: media }],
        ..DriveHealth::default()
    }
}

fn node_health() -> NodeHealth {
    let drive = |id: &str, level, action, because: Option<&str>| DriveInShort {
        id: id.into(),
        level,
        action,
        because: because.map(str::to_owned),
        ..DriveInShort::default()
    };
    NodeHealth {
        level: Level::Failing,
        counts: LevelCounts { healthy: 1, failing: 1, ..LevelCounts::default() },
        common_cause: Some("common cause: 3 of 4 drives of the adapter x went bad together.".into()),
        guards: vec![HeldGuard { guard: Guard::CommonCause, why: "A person must look first.".into() }],
        drives: vec![
            drive("wwn-0", Level::Healthy, Action::None, None),
            drive("wwn-1", Level::Failing, Action::Replace, Some("the drive's own status is failing")),
        ],
        ..NodeHealth::default()
    }
}

/// A node with a healthy drive and a failing one, which was asked as often as the counter tells, always in the same
/// second. Twice it says that it is being asked, and then how it is.
fn node(asked: &Arc<AtomicU64>) -> FakeNode {
    let order = asked.clone();
    let waits = Arc::new(AtomicU64::new(0));
    let looks = waits.clone();
    let drive_health = move |Path(id): Path<String>| async move {
        let mut health = failing();
        health.polling.asked_at_unix_s = Some(1_700_000_000);
        let less = |left: u64| left.checked_sub(1);
        health.polling.asking = looks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        if health.polling.asking {
            health.advice = "This was before.".into();
        }
        if id == health.id { Ok(Json(health)) } else { Err(StatusCode::NOT_FOUND) }
    };
    let ask = move |Json(_): Json<PollOrder>| async move {
        order.fetch_add(1, Ordering::SeqCst);
        waits.store(2, Ordering::SeqCst);
        StatusCode::ACCEPTED
    };
    let routes: Router<Orders> = Router::new()
        .route("/v1/health", get(|| async { Json(node_health()) }))
        .route("/v1/drives/{id}/health", get(drive_health).post(ask));
    FakeNode::start_with(Vec::new(), Signs::WithItsOwnKey, routes)
}

fn health(node: &FakeNode, arguments: &[&str]) -> (bool, String, String) {
    let mut command = program();
    command.args(["--node", &node.url(), "--fingerprint", &node.fingerprint]).args(arguments);
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
}

#[test]
fn of_the_node_the_sum_stands_first_and_the_worst_drive_above_the_others() {
    let node = node(&Arc::default());
    let (success, text, told) = health(&node, &["health"]);
    assert!(success, "{told}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "failing: 1 failing, 0 degraded, 0 unknown, 1 healthy");
    assert!(
        lines[1].starts_with("common cause:") && lines[2].starts_with("held back (common-cause)"),
        "{text}"
    );
    let at = |words: &str| lines.iter().position(|line| line.starts_with(words)).unwrap();
    assert!(at("wwn-1") < at("wwn-0"), "{text}");
    assert!(lines[at("wwn-1")].contains("replace") && !lines[at("wwn-0")].contains("none"), "{text}");
}

#[test]
fn of_a_drive_the_level_and_the_one_thing_to_do_stand_above_the_evidence() {
    let node = node(&Arc::default());
    let (success, text, told) = health(&node, &["health", "wwn-1"]);
    assert!(success, "{told}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["wwn-1 (serial S1) is failing.", "Drain the drive now and replace it."]);
    assert_eq!(lines[2], "It told of itself 10 min ago.");
    let at = |words: &str| lines.iter().position(|line| line.contains(words)).unwrap();
    assert!(at("own status") < at("remapped") && lines[at("remapped")].starts_with("note"), "{text}");
    assert!(lines[at("own status")].contains("2023-11-14 22:13:20"), "{text}");
}

#[test]
fn a_drive_is_asked_where_that_is_ordered_and_only_there() {
    let asked = Arc::new(AtomicU64::new(7));
    let node = node(&asked);
    assert!(health(&node, &["health", "wwn-1"]).0);
    assert_eq!(asked.load(Ordering::SeqCst), 7);
    for (option, times) in [("--ask", 8), ("--full", 9)] {
        let (success, text, told) = health(&node, &["health", "wwn-1", option]);
        assert!(success && told.is_empty(), "{told}");
        assert!(!text.contains("This was before"), "{text}");
        assert_eq!(asked.load(Ordering::SeqCst), times);
    }
    assert!(!health(&node, &["health", "--ask"]).0, "a drive has to be named");
}

#[test]
fn programs_get_the_nodes_own_words() {
    let node = node(&Arc::default());
    let (_, text, _) = health(&node, &["--json", "health"]);
    assert_eq!(serde_json::from_str::<NodeHealth>(&text).unwrap(), node_health());
    let (_, text, _) = health(&node, &["--json", "health", "wwn-1"]);
    assert_eq!(serde_json::from_str::<DriveHealth>(&text).unwrap().level, Level::Failing);
    let (success, _, told) = health(&node, &["health", "wwn-9"]);
    assert!(!success && !told.is_empty());
}
