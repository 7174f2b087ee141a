//! SMART statuses in the drives' entries.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::process::{Agent, Place};

async fn agent_with_drive(place: &Place) -> (Agent, FakeDrive) {
    let drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    (place.start().await, drive)
}

#[tokio::test]
async fn the_status_is_smartctls_with_the_time_of_asking() {
    let place = Place::new();
    place.smartctl(
        r#"echo '{"smart_status":{"passed":false},"nvme_smart_health_information_log":{"critical_warning":4}}'; exit 8"#,
    );
    let (agent, _drive) = agent_with_drive(&place).await;
    let drive = agent.drive_when("a", |drive| drive["smart"]["checked_at_unix_s"].is_u64()).await;
    assert_eq!(drive["smart"]["status"], "failed");
    assert_eq!(drive["smart"]["reason"], "critical warning 0x04");
}

#[tokio::test]
async fn without_smartctl_the_status_is_unknown_and_says_why() {
    let place = Place::new();
    let (agent, _drive) = agent_with_drive(&place).await;
    let drive = agent.drive_when("a", |drive| drive["smart"]["checked_at_unix_s"].is_u64()).await;
    assert_eq!(drive["smart"]["status"], "unknown");
    assert!(drive["smart"]["reason"].as_str().unwrap().contains("could not be run"), "{drive:#}");
}

#[tokio::test]
async fn a_smartctl_that_hangs_delays_no_answer() {
    let place = Place::new();
    place.smartctl("exec sleep 60");
    let (agent, _drive) = agent_with_drive(&place).await;
    let started = Instant::now();
    let drive = agent.json("/v1/drives/a").await;
    assert!(started.elapsed() < Duration::from_secs(9));
    assert_eq!(drive["smart"]["status"], "unknown");
    assert_eq!(drive["smart"]["checked_at_unix_s"], Value::Null);
}
