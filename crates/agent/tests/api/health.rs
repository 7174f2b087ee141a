//! The drives' health: verdicts from a fake smartctl, and the order to ask now.

use std::time::Duration;

use hyper::StatusCode;
use imbrex_api::drive::DriveStats;
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::fake_init::{self, FakeInit};
use crate::process::{Agent, Place};

/// What smartctl says of an NVMe drive with this serial and critical warning.
pub(crate) fn nvme_report(serial: &str, warning: u8) -> String {
    let passed = warning == 0;
    format!(
        r#"{{"smartctl":{{"version":[7,4],"exit_status":0}},"device":{{"name":"/dev/a","type":"nvme","protocol":"NVMe"}},
        "model_name":"FAKE 1","serial_number":"{serial}","firmware_version":"1.0","smart_status":{{"passed":{passed}}},
        "nvme_smart_health_information_log":{{"critical_warning":{warning},"temperature":35,"available_spare":100,
        "available_spare_threshold":10,"percentage_used":3,"media_errors":0,"power_on_hours":9000}},
        "power_on_time":{{"hours":9000}},"temperature":{{"current":35}}}}"#
    )
}

fn drive(place: &Place, id: &str, serial: &str) -> FakeDrive {
    FakeDrive::start(&place.run(), id, Behaviour::Says(Box::new(serving(id, serial))))
}

/// The health of the drive `id` when `is_so`; fails after a minute.
pub(crate) async fn health_when(agent: &Agent, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut latest = Value::Null;
    for _ in 0..600 {
        latest = agent.json(&format!("/v1/drives/{id}/health")).await;
        if is_so(&latest) {
            return latest;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("this did not come: {latest:#}");
}

fn is_asked(health: &Value) -> bool {
    health["polling"]["asked_at_unix_s"].is_u64()
}

#[tokio::test]
async fn a_drive_that_says_it_fails_is_failing_with_the_evidence_and_the_action() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    let _drive = drive(&place, "a", "S1");
    let agent = place.start().await;
    let health = health_when(&agent, "a", is_asked).await;
    assert_eq!(health["level"], "failing", "{health:#}");
    assert_eq!(health["action"], "replace");
    assert_eq!(health["drain_without_person"], true);
    assert_eq!(health["axes"].as_array().unwrap().len(), 6);
    let axes = health["axes"].as_array().unwrap();
    let media = axes.iter().find(|axis| axis["axis"] == "media").unwrap();
    assert_eq!(media["level"], "failing");
    assert_eq!(media["evidence"][0]["source"], "smart");
    let node = agent.json("/v1/health").await;
    assert_eq!((&node["level"], &node["counts"]["failing"]), (&"failing".into(), &1.into()));
    assert!(node["drives"][0]["because"].is_string(), "{node:#}");
}

#[tokio::test]
async fn a_drive_of_which_nothing_is_known_is_unknown_and_never_healthy() {
    let place = Place::new();
    let _drive = drive(&place, "a", "S1");
    let agent = place.start().await;
    let health = health_when(&agent, "a", is_asked).await;
    assert_eq!((&health["level"], &health["action"]), (&"unknown".into(), &"check-monitor".into()));
    assert_eq!(health["data_age_s"], Value::Null);
    assert_eq!(health["polling"]["outcome"], "failed");
    assert!(health["polling"]["reason"].as_str().unwrap().contains("could not be run"), "{health:#}");
    assert_eq!(agent.json("/v1/health").await["drain"], Value::Null);
}

#[tokio::test]
async fn a_report_of_another_drive_counts_for_nobody() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("OTHER", 4)));
    let _drive = drive(&place, "a", "S1");
    let agent = place.start().await;
    let health = health_when(&agent, "a", is_asked).await;
    assert_eq!(health["level"], "unknown", "{health:#}");
    assert!(health["polling"]["reason"].as_str().unwrap().contains("another drive"), "{health:#}");
}

#[tokio::test]
async fn an_order_to_ask_now_is_taken_once_in_a_while() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 0)));
    let _drive = drive(&place, "a", "S1");
    let agent = place.start().await;
    let health = health_when(&agent, "a", is_asked).await;
    assert_eq!((&health["level"], &health["action"]), (&"healthy".into(), &"none".into()), "{health:#}");
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    let order = |body: &'static str| agent.send(post("/v1/drives/a/health", body));
    assert_eq!(order(r#"{"full":true}"#).await.status, StatusCode::ACCEPTED);
    // Within 5 s of the first, which a slow machine may miss once, or twice: each that is taken begins them anew.
    let mut again = order("").await;
    for _ in 0..10 {
        if again.status.as_u16() == 429 {
            break;
        }
        again = order("").await;
    }
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (429, "asked-too-often"));
    let health = health_when(&agent, "a", |health| health["level"] == "failing").await;
    assert!(health["polling"]["asked_fully_at_unix_s"].is_u64(), "{health:#}");
    assert_eq!(order(r#"{"heavy":true}"#).await.problem(), "bad-request");
    assert_eq!(agent.send(post("/v1/drives/b/health", "")).await.problem(), "unknown-drive");
    assert_eq!(agent.send(get("/v1/drives/b/health")).await.problem(), "unknown-drive");
}

/// The evidence of one axis in a drive's health.
pub(crate) fn axis<'a>(health: &'a Value, name: &str) -> &'a Value {
    health["axes"].as_array().unwrap().iter().find(|axis| axis["axis"] == name).unwrap()
}

#[tokio::test]
async fn errors_that_the_engine_saw_are_evidence_without_smartctl() {
    let place = Place::new();
    let drive = drive(&place, "a", "S1");
    drive.count(DriveStats { read_errors: 2, ..DriveStats::default() });
    let agent = place.start().await;
    let health = health_when(&agent, "a", |health| axis(health, "media")["level"] == "degraded").await;
    let evidence = &axis(&health, "media")["evidence"][0];
    assert_eq!(evidence["source"], "engine", "{health:#}");
    assert!(evidence["value"].as_str().unwrap().starts_with("2 in 7 days"), "{health:#}");
    assert!(evidence["since_unix_s"].is_u64());
    assert_eq!(axis(&health, "monitor")["level"], "unknown");
    assert_eq!(health["action"], "scrub");
}

#[tokio::test]
async fn what_the_kernel_says_of_a_drive_counts_for_it_and_what_a_program_says_does_not() {
    let place = Place::new();
    for name in ["sdx", "sdy"] {
        place.sysfs(&format!("{name}/size"), "8388608");
    }
    place.kernel_says("11,1,1000,-;critical medium error, dev sdy, sector 7 op 0x0:(READ)");
    place.kernel_says("3,2,1000,-;critical medium error, dev sdx, sector 7 op 0x0:(READ)");
    let _drives = ["sdx", "sdy"].map(|name| drive(&place, name, name));
    let agent = place.start().await;
    let health = health_when(&agent, "sdx", |health| axis(health, "media")["level"] == "degraded").await;
    assert_eq!(axis(&health, "media")["evidence"][0]["source"], "kernel");
    let other = agent.json("/v1/drives/sdy/health").await;
    assert_eq!(axis(&other, "media")["evidence"], json!([]), "{other:#}");
    place.kernel_says("3,3,2000,-;critical medium error, dev sdy, sector 7 op 0x0:(READ)");
    health_when(&agent, "sdy", |health| axis(health, "media")["level"] == "degraded").await;
    assert_eq!(agent.json("/v1/health").await["kernel_log_reason"], Value::Null);
}

#[tokio::test]
async fn a_drive_that_was_pulled_is_missing_and_not_failing_and_one_that_came_back_is_asked_again() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    let present = fake_init::status(&[], &[fake_init::drive("a", &place.run())]);
    let init = FakeInit::start(&place.run(), present.clone());
    let _drive = drive(&place, "a", "S1");
    let agent = place.start().await;
    health_when(&agent, "a", |health| health["level"] == "failing").await;
    init.say(fake_init::status(&[], &[]));
    let health = health_when(&agent, "a", |health| health["action"] == "check-presence").await;
    assert_eq!(health["level"], "unknown", "{health:#}");
    assert_eq!(axis(&health, "monitor")["evidence"][0]["source"], "enclosure");
    assert_eq!(health["polling"]["due_in_s"], Value::Null);
    assert_eq!(agent.send(post("/v1/drives/a/health", "")).await.problem(), "drive-missing");
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 0)));
    init.say(present);
    let health = health_when(&agent, "a", |health| health["action"] != "check-presence").await;
    assert_eq!(health["level"], "failing", "what was known of it is kept: {health:#}");
    health_when(&agent, "a", |health| axis(health, "monitor")["level"] == "healthy").await;
}

#[tokio::test]
async fn a_drive_is_asked_in_a_quiet_time_that_is_given_back_and_without_one_after_five_refusals() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 0)));
    let granting = drive(&place, "a", "S1");
    let refusing = drive(&place, "b", "S1");
    refusing.refuse_quiet(99);
    let agent = place.start().await;
    health_when(&agent, "a", is_asked).await;
    health_when(&agent, "b", is_asked).await;
    assert_eq!(refusing.quiet_orders().len(), 6, "five times in vain, and then it is asked all the same");
    for _ in 0..300 {
        if granting.quiet_orders().len() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(granting.quiet_orders(), [10_000, 0]);
}

#[tokio::test]
async fn what_was_recorded_outlives_the_agent() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    let drive = drive(&place, "a", "S1");
    drive.count(DriveStats { read_errors: 2, ..DriveStats::default() });
    let mut agent = place.start().await;
    health_when(&agent, "a", |health| {
        health["level"] == "failing" && axis(health, "media")["evidence"].as_array().unwrap().len() >= 2
    })
    .await;
    assert!(agent.terminate().await.success());
    place.smartctl("exit 2");
    let agent = place.start().await;
    let health = health_when(&agent, "a", |health| health["level"] == "failing").await;
    let engines = axis(&health, "media")["evidence"].as_array().unwrap().iter();
    let engines: Vec<_> = engines.filter(|evidence| evidence["source"] == "engine").collect();
    assert!(engines[0]["value"].as_str().unwrap().starts_with("2 in 7 days"), "counted twice: {health:#}");
    assert!(health["polling"]["due_in_s"].as_u64().unwrap() > 60, "it was asked a moment ago: {health:#}");
}

#[tokio::test]
async fn verdicts_and_reports_are_metrics() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    let _drive = drive(&place, "a", "S1");
    let agent = place.start().await;
    health_when(&agent, "a", |health| health["level"] == "failing").await;
    let text = agent.send(get("/metrics")).await.body;
    let text = String::from_utf8(text.to_vec()).unwrap();
    for line in [
        r#"smartctl_device_smart_status{device="a",drive="a"} 0"#,
        r#"smartctl_device_critical_warning{device="a",drive="a"} 4"#,
        r#"smartctl_device_power_on_seconds{device="a",drive="a"} 32400000"#,
        r#"imbrex_health_level{drive="a",axis="drive",level="failing"} 1"#,
        r#"imbrex_health_level{drive="a",axis="drive",level="healthy"} 0"#,
        r#"imbrex_health_level{drive="a",axis="media",level="failing"} 1"#,
        "imbrex_health_questions_beyond_two_total 0",
    ] {
        assert!(
            text.lines().any(|written| written.strip_suffix(".0").unwrap_or(written) == line),
            "{line}\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn a_step_that_a_person_took_is_known_to_the_guards() {
    let place = Place::new();
    let drive = drive(&place, "a", "S1");
    drive.count(DriveStats { read_errors: 2, ..DriveStats::default() });
    let agent = place.start().await;
    health_when(&agent, "a", |health| health["level"] == "degraded").await;
    let step = |step: &str| agent.send(post("/v1/drives/a/life", format!(r#"{{"step":"{step}"}}"#)));
    assert_eq!(step("drain-started").await.json()["life"], "draining");
    assert_eq!(step("drain-stopped").await.json()["life"], "suspect");
    assert_eq!(step("failed").await.json()["life"], "failed");
    assert_ne!(step("cleared").await.json()["life"], "failed");
    assert_eq!(step("blessed").await.problem(), "bad-request");
    assert_eq!(
        agent.send(post("/v1/drives/b/life", r#"{"step":"cleared"}"#)).await.problem(),
        "unknown-drive"
    );
}

#[tokio::test]
async fn a_drive_without_a_device_file_is_unknown_and_cannot_be_asked() {
    let place = Place::new();
    let simulated =
        imbrex_api::drive::DriveStatus { path: "/tmp/drive.img".to_owned(), ..serving("a", "S1") };
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(simulated)));
    let agent = place.start().await;
    let health = health_when(&agent, "a", |health| health["serial"] == "S1").await;
    assert_eq!(health["level"], "unknown", "{health:#}");
    assert!(health["polling"]["reason"].as_str().unwrap().contains("no device file"), "{health:#}");
    assert_eq!(agent.send(post("/v1/drives/a/health", "")).await.problem(), "no-device");
}
