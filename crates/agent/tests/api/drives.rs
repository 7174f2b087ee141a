//! The list of drives: merged, complete, and never slow because of one of them.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::fake_init::{self, FakeInit, service};
use crate::process::Place;

fn says(id: &str, serial: &str) -> Behaviour {
    Behaviour::Says(Box::new(serving(id, serial)))
}

#[tokio::test]
async fn without_init_a_drive_is_a_socket_in_the_run_directory() {
    let place = Place::new();
    let _drive = FakeDrive::start(&place.run(), "laptop", says("laptop", "S1"));
    let agent = place.start().await;
    let drives = agent.json("/v1/drives").await;
    assert_eq!(drives["drives"].as_array().unwrap().len(), 1);
    assert_eq!(drives["drives"][0]["state"], "serving");
    assert_eq!(drives["drives"][0]["serial"], "S1");
}

#[tokio::test]
async fn an_entry_is_what_the_process_says_then_sysfs_then_init() {
    let place = Place::new();
    let run = place.run();
    place.sysfs("nvme0n1/wwid", "eui.1\n");
    place.sysfs("nvme0n1/device/serial", "sysfs serial\n");
    place.sysfs("nvme0n1/queue/zoned", "host-managed\n");
    place.sysfs("nvme0n1/queue/nr_zones", "64\n");
    place.sysfs("nvme1n1/device/serial", "S2\n");
    let drives = [fake_init::drive("nvme0n1", &run), fake_init::drive("nvme1n1", &run)];
    let services = [service("drive@nvme0n1", "ready"), service("drive@nvme1n1", "maintenance")];
    let _init = FakeInit::start(&run, fake_init::status(&services, &drives));
    let _drive = FakeDrive::start(&run, "nvme0n1", says("nvme0n1", "S1"));
    let agent = place.start().await;

    let answered = agent.json("/v1/drives/nvme0n1").await;
    assert_eq!(answered["serial"], "S1", "the process goes before sysfs");
    assert_eq!(answered["wwn"], "eui.1", "sysfs fills in");
    assert_eq!(answered["blocks_stored"], 42);
    assert_eq!(answered["data_port"], 7501);
    assert_eq!(answered["bus"], "nvme");

    let silent = agent.json("/v1/drives/nvme1n1").await;
    assert_eq!(silent["serial"], "S2", "sysfs goes before init");
    assert_eq!(silent["model"], "init's model");
    assert_eq!(silent["blocks_stored"], Value::Null, "nobody knows");
    assert_eq!(silent["data_port"], 7500);
    assert_eq!(silent["state"], "stopped");
    let reason = silent["state_reason"].as_str().unwrap();
    assert!(reason.contains("it ended 5 times in 10 min") && reason.contains("/restart"), "{reason}");
    assert_eq!(agent.send(get("/v1/drives/nvme9n9")).await.problem(), "unknown-drive");
}

#[tokio::test]
async fn a_node_in_maintenance_lists_its_drives_and_says_why_none_runs() {
    let place = Place::new();
    let mut status = fake_init::status(&[], &[fake_init::drive("a", &place.run())]);
    status["node"] = json!({"state": "maintenance", "reason": "no configuration was given", "config_url": null,
        "uptime_ms": 1});
    let _init = FakeInit::start(&place.run(), status);
    let agent = place.start().await;
    let drive = agent.json("/v1/drives/a").await;
    assert_eq!(drive["state"], "stopped");
    assert!(drive["state_reason"].as_str().unwrap().contains("no configuration was given"), "{drive:#}");
}

#[tokio::test]
async fn a_drive_that_alone_is_not_served_says_why() {
    let place = Place::new();
    let mut told = fake_init::drive("a", &place.run());
    told["refused"] = json!("the budgets do not fit into the machine's memory");
    let _init = FakeInit::start(&place.run(), fake_init::status(&[], &[told]));
    let agent = place.start().await;
    let drive = agent.json("/v1/drives/a").await;
    assert_eq!(drive["state"], "stopped");
    let reason = drive["state_reason"].as_str().unwrap();
    assert!(reason.starts_with("its process is not started: the budgets do not fit"), "{reason}");
}

#[tokio::test]
async fn a_stuck_drive_is_told_with_its_last_state_and_makes_the_list_slow_once_at_most() {
    let place = Place::impatient();
    let ids = ["a", "b", "c", "d", "e"];
    let drives: Vec<_> = ids.iter().map(|id| FakeDrive::start(&place.run(), id, says(id, "S1"))).collect();
    let agent = place.start().await;
    assert_eq!(agent.json("/v1/drives/c").await["state"], "serving");
    for stuck in &drives[1..4] {
        stuck.behave(Behaviour::Silent);
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let started = Instant::now();
    let list = agent.json("/v1/drives").await;
    assert!(
        started.elapsed() < Duration::from_millis(2900),
        "three stuck drives cost {:?}",
        started.elapsed()
    );
    let states: Vec<_> = list["drives"].as_array().unwrap().iter().map(|drive| &drive["state"]).collect();
    assert_eq!(states, ["serving", "unresponsive", "unresponsive", "unresponsive", "serving"]);
    let stuck = &list["drives"][2];
    assert_eq!(stuck["blocks_stored"], 42, "the last that was known");
    assert!(stuck["answered_ms_ago"].as_u64().unwrap() >= 600, "{stuck:#}");

    let asked = drives[2].asked();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(agent.json("/v1/drives").await["drives"][2]["state"], "unresponsive");
    assert_eq!(drives[2].asked(), asked, "a stuck drive is left alone for a while");
    drives[2].behave(says("c", "S1"));
    agent.drive_when("c", |drive| drive["state"] == "serving").await;
}

#[tokio::test]
async fn a_process_that_answers_nonsense_spoils_only_its_own_entry() {
    let place = Place::new();
    let _good = FakeDrive::start(&place.run(), "a", says("a", "S1"));
    let _nonsense = FakeDrive::start(&place.run(), "b", Behaviour::Text("{\"state\":".to_owned()));
    let _flood = FakeDrive::start(&place.run(), "c", Behaviour::Text("x".repeat(1 << 20)));
    let agent = place.start().await;
    let drives = agent.json("/v1/drives").await["drives"].clone();
    assert_eq!(drives[0]["state"], "serving");
    for (drive, word) in [(&drives[1], "cannot be used"), (&drives[2], "longer than")] {
        assert_eq!(drive["state"], "unresponsive");
        assert!(drive["state_reason"].as_str().unwrap().contains(word), "{drive:#}");
    }
}

#[tokio::test]
async fn a_drive_that_went_away_is_missing_and_one_that_came_back_is_not() {
    let place = Place::new();
    let present = fake_init::status(&[], &[fake_init::drive("a", &place.run())]);
    let init = FakeInit::start(&place.run(), present.clone());
    let _drive = FakeDrive::start(&place.run(), "a", says("a", "S1"));
    let agent = place.start().await;
    assert_eq!(agent.json("/v1/drives/a").await["state"], "serving");
    init.say(fake_init::status(&[], &[]));
    let missing = agent.drive_when("a", |drive| drive["state"] == "missing").await;
    assert_eq!(missing["serial"], "S1", "what was known is kept");
    init.say(present);
    agent.drive_when("a", |drive| drive["state"] == "serving").await;
    let mut pulled = fake_init::drive("a", &place.run());
    pulled["present"] = json!(false);
    init.say(fake_init::status(&[], &[pulled]));
    let missing = agent.drive_when("a", |drive| drive["state"] == "missing").await;
    assert_eq!(missing["blocks_stored"], 42);
}

#[tokio::test]
async fn a_drive_that_was_pulled_before_the_agent_started_is_missing_too() {
    let place = Place::new();
    let mut pulled = fake_init::drive("a", &place.run());
    pulled["present"] = json!(false);
    pulled["serial"] = json!("");
    let _init = FakeInit::start(&place.run(), fake_init::status(&[], &[pulled]));
    let agent = place.start().await;
    let drive = agent.json("/v1/drives/a").await;
    assert_eq!((&drive["state"], &drive["serial"]), (&json!("missing"), &Value::Null));
    assert_eq!(drive["model"], "init's model");
}

#[tokio::test]
async fn many_askers_at_once_cost_a_drive_one_question() {
    let place = Place::new();
    let drive = FakeDrive::start(&place.run(), "a", says("a", "S1"));
    let agent = place.start().await;
    agent.json("/v1/drives").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let before = drive.asked();
    let list = || agent.send_locally(get("/v1/drives"));
    tokio::join!(list(), list(), list(), list(), list(), list(), list(), list());
    assert_eq!(drive.asked() - before, 1);
}

#[tokio::test]
async fn a_restart_reaches_init_and_starts_what_is_down() {
    let place = Place::new();
    let ids = ["up", "down", "refused"];
    let drives: Vec<_> = ids.iter().map(|id| fake_init::drive(id, &place.run())).collect();
    let services = [
        service("drive@up", "ready"),
        service("drive@down", "maintenance"),
        service("drive@refused", "ready"),
    ];
    let init = FakeInit::start(&place.run(), fake_init::status(&services, &drives));
    let agent = place.start().await;
    for (path, body) in [("up", r#"{"force":true}"#), ("up", ""), ("down", "{}")] {
        let answer = agent.send(post(&format!("/v1/drives/{path}/restart"), body)).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    }
    let orders = [
        json!({"op": "restart", "service": "drive@up", "force": true}),
        json!({"op": "restart", "service": "drive@up", "force": false}),
        json!({"op": "start", "service": "drive@down"}),
    ];
    assert_eq!(init.orders(), orders);
    let refused = agent.send(post("/v1/drives/refused/restart", "")).await;
    assert_eq!(
        (refused.problem().as_str(), refused.json()["detail"].as_str()),
        ("init-refused", Some("it cannot be restarted now."))
    );
    assert_eq!(agent.send(post("/v1/drives/nothing/restart", "")).await.problem(), "unknown-drive");
}
