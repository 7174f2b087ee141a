//! An administrator's firmware notes: what they forbid is not done, a bad one is refused by its name, and they can be
//! exchanged while the agent runs.
//!
//! Only root's are believed: where the tests do not run as root, they see that nobody else's are.

use std::fs;
use std::os::unix::fs::MetadataExt;

use hyper::StatusCode;
use imbrex_api::drive::{DriveStatus, State};
use serde_json::{Value, json};

use crate::client::post;
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::health::{axis, health_when, nvme_report};
use crate::process::{Agent, Place};

/// A note about the fake drives with this effect.
fn note(id: &str, effect: &str) -> String {
    format!(
        r#"id = "{id}"
title = "The fake drive falls over when it is asked."
advice = "Do not ask it."
source = "This test"
confidence = "verified"
reviewed_on = 2026-01-01
expires_on = 2036-01-01

[match]
model = '^FAKE 1$'

[[effect]]
{effect}

[sample.matching]
model = "FAKE 1"

[sample.other]
model = "OTHER 1"
"#
    )
}

const MASK: &str = "kind = \"mask\"\ncommand = \"smartctl\"";
const REFUSE: &str = "kind = \"refuse\"";

/// Whether root runs the tests. Else sees that the agent believes none of the notes.
async fn is_root(agent: &Agent) -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        let notes = agent.json("/v1/health").await["notes"].take();
        assert_eq!(notes["from_path"], json!([]), "{notes:#}");
        assert!(notes["refused"][0]["reason"].as_str().unwrap().contains("and not user 0"), "{notes:#}");
    }
    is_root
}

/// What is told of the notes when `is_so`; fails after a minute.
async fn notes_when(agent: &Agent, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut notes = Value::Null;
    for _ in 0..600 {
        notes = agent.json("/v1/health").await["notes"].take();
        if is_so(&notes) {
            return notes;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("this did not come: {notes:#}");
}

#[tokio::test]
async fn a_note_is_acted_upon_and_a_bad_one_is_refused_by_its_name() {
    let place = Place::new();
    place.smartctl("echo asked >> $(dirname $0)/asked");
    place.firmware_note("a.toml", &note("fake-drive-mask", MASK));
    place.firmware_note("b.toml", &note("fake-drive-bad", "kind = \"mask\"\ncommand = \"everything\""));
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    if !is_root(&agent).await {
        return;
    }
    let health = health_when(&agent, "a", |health| health["polling"]["outcome"].is_string()).await;
    assert_eq!(health["polling"]["outcome"], "masked", "{health:#}");
    assert_eq!(health["notes"][0]["id"], "fake-drive-mask");
    assert_eq!(agent.send(post("/v1/drives/a/health", "")).await.problem(), "drive-masked");
    let notes = agent.json("/v1/health").await["notes"].clone();
    assert_eq!(notes["refused"].as_array().unwrap().len(), 1, "{notes:#}");
    assert_eq!(notes["refused"][0]["name"], "fake-drive-bad");
    assert!(notes["count"].as_u64().unwrap() > 40, "{notes:#}");
    assert!(!place.run().with_file_name("asked").exists(), "the drive was asked");
}

#[tokio::test]
async fn notes_that_are_exchanged_while_the_agent_runs_are_in_force_soon() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    place.firmware_note("a.toml", &note("fake-drive-mask", MASK));
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    if !is_root(&agent).await {
        return;
    }
    health_when(&agent, "a", |health| health["polling"]["outcome"] == "masked").await;
    let before = agent.json("/v1/health").await["notes"].take();
    assert_eq!(before["from_path"], json!(["fake-drive-mask"]), "{before:#}");
    // A broken one leaves it in force; another comes beside it.
    place.firmware_note("a.toml", "this is no TOML");
    place.firmware_note("b.toml", &note("fake-drive-advice", "kind = \"advice\""));
    let notes = notes_when(&agent, |notes| {
        let count = |name: &str| notes[name].as_array().unwrap().len();
        (count("from_path"), count("refused")) == (2, 1)
    })
    .await;
    assert_eq!(notes["from_path"], json!(["fake-drive-advice", "fake-drive-mask"]), "{notes:#}");
    assert!(notes["refused"][0]["name"].as_str().unwrap().ends_with("/a.toml"), "{notes:#}");
    assert!(notes["loaded_at_unix_s"].as_u64() >= before["loaded_at_unix_s"].as_u64(), "{notes:#}");
    // Taken away, it masks no longer, and the drive is asked.
    place.no_firmware_note("a.toml");
    health_when(&agent, "a", |health| health["level"] == "failing").await;
    let notes = agent.json("/v1/health").await["notes"].take();
    assert_eq!((&notes["from_path"], &notes["refused"]), (&json!(["fake-drive-advice"]), &json!([])));
}

#[tokio::test]
async fn a_drive_that_a_note_refuses_is_not_formatted_and_is_drained_where_it_holds_blocks() {
    let place = Place::new();
    place.firmware_note("a.toml", &note("fake-drive-refused", REFUSE));
    let empty = DriveStatus { drive_id: None, blocks: None, state: State::Unformatted, ..serving("a", "S1") };
    let drives = [("a", empty), ("b", serving("b", "S2"))]
        .map(|(id, status)| FakeDrive::start(&place.run(), id, Behaviour::Says(Box::new(status))));
    let agent = place.start().await;
    if !is_root(&agent).await {
        return;
    }
    let refused = agent.drive_when("a", |drive| drive["refused_by"].is_string()).await;
    assert!(
        refused["refused_by"].as_str().unwrap().starts_with("fake-drive-refused: The fake"),
        "{refused:#}"
    );
    let order =
        |id: &str, order: Value| agent.send(post(&format!("/v1/drives/{id}/format"), order.to_string()));
    let label = serving("b", "S2").drive_id.unwrap();
    for answer in [
        order("a", json!({ "serial": "S1" })).await,
        order("b", json!({ "serial": "S2", "replace": label })).await,
    ] {
        assert_eq!((answer.status, answer.problem()), (StatusCode::CONFLICT, "drive-refused".to_owned()));
        assert!(answer.json()["detail"].as_str().unwrap().contains("fake-drive-refused"), "{answer:?}");
    }
    assert!(drives.iter().all(|drive| drive.orders().is_empty()), "no order reached a drive");
    let holding = health_when(&agent, "b", |health| health["level"] == "degraded").await;
    assert_eq!(holding["action"], "refuse", "{holding:#}");
    assert!(holding["advice"].as_str().unwrap().contains("fake-drive-refused"), "{holding:#}");
    let evidence = &axis(&holding, "firmware")["evidence"][0];
    assert!(evidence["value"].as_str().unwrap().starts_with("it holds blocks"), "{holding:#}");
    let empty = agent.json("/v1/drives/a/health").await;
    assert_eq!(axis(&empty, "firmware")["evidence"][0]["level"], "healthy", "{empty:#}");
    // Without the note it is formatted.
    place.no_firmware_note("a.toml");
    agent.drive_when("a", |drive| drive["refused_by"].is_null()).await;
    assert_eq!(order("a", json!({ "serial": "S1" })).await.status, StatusCode::OK);
}
