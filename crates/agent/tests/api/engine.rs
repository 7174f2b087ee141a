//! What a drive's engine tells of its own state, as evidence, in the drive's entry and as metrics.

use imbrex_api::drive::{DriveStats, DriveStatus, ScrubStatus};
use serde_json::Value;

use crate::client::get;
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::health::{axis, health_when};
use crate::process::Place;

const DAY_S: u64 = 86_400;

fn now_unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn drive(place: &Place, status: DriveStatus) -> FakeDrive {
    FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(status)))
}

/// The evidence of the engine's on an axis whose words have `words` in them.
fn evidence<'a>(health: &'a Value, name: &str, words: &str) -> Option<&'a Value> {
    let all = axis(health, name)["evidence"].as_array().unwrap().iter();
    all.into_iter()
        .find(|evidence| evidence["source"] == "engine" && evidence["what"].as_str().unwrap().contains(words))
}

#[tokio::test]
async fn zones_that_cannot_be_read_make_a_drive_degraded_and_ask_for_its_blocks() {
    let place = Place::new();
    let _drive = drive(&place, DriveStatus { unknown_zones: 2, ..serving("a", "S1") });
    let agent = place.start().await;
    let health = health_when(&agent, "a", |health| axis(health, "media")["level"] == "degraded").await;
    assert_eq!((&health["level"], &health["action"]), (&"degraded".into(), &"restore-blocks".into()));
    let told = evidence(&health, "media", "not answered for").expect("evidence");
    assert_eq!((&told["value"], told["since_unix_s"].is_u64()), (&"2".into(), true), "{health:#}");
}

#[tokio::test]
async fn a_drive_that_was_slow_once_or_keeps_no_checkpoints_is_no_worse_and_it_is_told() {
    let place = Place::new();
    let reason = Some("the zones for checkpoints have failed".to_owned());
    let slow = DriveStatus {
        slow_since_unix_s: Some(now_unix_s() - 60),
        without_checkpoints: reason,
        ..serving("a", "S1")
    };
    let fake = drive(&place, slow);
    fake.count(DriveStats { slowdowns: 1, ..DriveStats::default() });
    let agent = place.start().await;
    let is_told = |health: &Value| evidence(health, "mechanics", "slower than it was").is_some();
    let health = health_when(&agent, "a", is_told).await;
    assert_eq!(evidence(&health, "mechanics", "slower than it was").unwrap()["level"], "healthy");
    assert_eq!(
        evidence(&health, "media", "checkpoints").expect("evidence")["level"],
        "healthy",
        "{health:#}"
    );
    let entry = agent.json("/v1/drives/a").await;
    assert_eq!(entry["without_checkpoints"], "the zones for checkpoints have failed");
    assert!(entry["slow_since_unix_s"].is_u64(), "{entry:#}");
}

#[tokio::test]
async fn a_scrub_that_is_overdue_is_told_with_what_to_do_and_is_in_the_entry_and_the_metrics() {
    let place = Place::new();
    let fake = drive(&place, serving("a", "S1"));
    fake.scrubs(ScrubStatus {
        period_s: 30 * DAY_S,
        zones: 800,
        covered_zones: 500,
        overdue_zones: 300,
        live_bytes: 4096,
        covered_bytes: 1024,
        oldest_unix_s: Some(now_unix_s() - 41 * DAY_S),
        ..ScrubStatus::default()
    });
    let agent = place.start().await;
    let is_told = |health: &Value| evidence(health, "media", "overdue").is_some();
    let health = health_when(&agent, "a", is_told).await;
    let told = evidence(&health, "media", "overdue").unwrap();
    assert_eq!(told["value"], "last read 41 days ago (period 30 days); 300 of 800 zones are due");
    assert_eq!(told["level"], "healthy", "that the engine is late makes no drive worse: {health:#}");
    let entry = agent.drive_when("a", |drive| drive["scrub"].is_object()).await;
    assert_eq!((&entry["scrub"]["zones"], &entry["scrub"]["covered_zones"]), (&800.into(), &500.into()));
    let text = String::from_utf8(agent.send(get("/metrics")).await.body.to_vec()).unwrap();
    for line in [
        r#"imbrex_drive_scrub_zones{drive="a"} 800"#,
        r#"imbrex_drive_scrub_covered_zones{drive="a"} 500"#,
        r#"imbrex_drive_scrub_due_zones{drive="a"} 300"#,
        r#"imbrex_drive_scrub_period_seconds{drive="a"} 2592000"#,
        r#"imbrex_drive_scrub_covered_bytes{drive="a"} 1024"#,
        r#"imbrex_drive_slow{drive="a"} 0"#,
        r#"imbrex_drive_unknown_zones{drive="a"} 0"#,
        r#"imbrex_drive_without_checkpoints{drive="a"} 0"#,
    ] {
        assert!(text.lines().any(|told| told.strip_suffix(".0").unwrap_or(told) == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_drive_whose_scrub_does_not_answer_is_known_by_the_rest() {
    let place = Place::new();
    let fake = drive(&place, serving("a", "S1"));
    fake.count(DriveStats { read_errors: 2, ..DriveStats::default() });
    let agent = place.start().await;
    health_when(&agent, "a", |health| axis(health, "media")["level"] == "degraded").await;
    assert_eq!(agent.json("/v1/drives/a").await["scrub"], Value::Null);
}

#[tokio::test]
async fn damage_that_was_told_is_not_told_anew_by_the_next_process_of_the_drive() {
    let place = Place::new();
    let told = |uptime_ms, errors| DriveStats { uptime_ms, scrub_errors: errors, ..DriveStats::default() };
    let ill = DriveStatus { damaged_blocks: 5, ..serving("a", "S1") };
    let fake = drive(&place, ill.clone());
    fake.count(told(9_000_000, 5));
    let findings = |health: &Value| Some(evidence(health, "media", "scrub found")?["value"].clone());
    let mut agent = place.start().await;
    health_when(&agent, "a", |health| findings(health).is_some()).await;
    assert!(agent.terminate().await.success());
    // The drive's process and the agent begin anew; the process finds what it had found, and one block more.
    fake.behave(Behaviour::Says(Box::new(DriveStatus { damaged_blocks: 6, ..ill })));
    fake.count(told(60_000, 6));
    let agent = place.start().await;
    let is_more = |health: &Value| findings(health).is_some_and(|value| value != "5 in 7 days, 5 in 30");
    let health = health_when(&agent, "a", is_more).await;
    assert_eq!(findings(&health).unwrap(), "6 in 7 days, 6 in 30", "{health:#}");
}
