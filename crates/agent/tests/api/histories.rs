//! The drives' histories beyond one run of the agent.

use hyper::StatusCode;
use imbrex_api::drive::DriveStats;
use serde_json::{Value, json};

use crate::client::{get, post, put};
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::health::health_when;
use crate::process::Place;

fn drive(place: &Place, id: &str, serial: &str) -> FakeDrive {
    FakeDrive::start(&place.run(), id, Behaviour::Says(Box::new(serving(id, serial))))
}

#[tokio::test]
async fn a_history_that_was_kept_elsewhere_is_given_back_to_a_node_that_has_forgotten_it() {
    let before = Place::new();
    let ill = drive(&before, "a", "S1");
    ill.count(DriveStats { read_errors: 2, ..DriveStats::default() });
    let agent = before.start().await;
    health_when(&agent, "a", |health| health["level"] == "degraded").await;
    agent.send(post("/v1/drives/a/life", r#"{"step":"failed"}"#)).await;
    let kept = agent.json("/v1/drives/a/history").await;

    // As after a boot: the same drive, of which nothing is known. Another one sits beside it.
    let after = Place::new();
    let _drives = [drive(&after, "a", "S1"), drive(&after, "b", "S2")];
    let agent = after.start().await;
    let fresh = health_when(&agent, "a", |health| health["serial"] == "S1").await;
    assert_ne!(fresh["life"], "failed");
    let give =
        |id: &str, kept: &Value| agent.send(put(&format!("/v1/drives/{id}/history"), kept.to_string()));
    for _ in 0..2 {
        let answer = give("a", &kept).await;
        assert_eq!(answer.status, StatusCode::OK);
        let health = answer.json();
        assert_eq!((&health["level"], &health["life"]), (&"degraded".into(), &"failed".into()), "{health:#}");
        assert!(health["watched_since_unix_s"].as_u64() <= fresh["watched_since_unix_s"].as_u64());
        let axes = health["axes"].as_array().unwrap();
        let media = axes.iter().find(|axis| axis["axis"] == "media").unwrap();
        let value = media["evidence"][0]["value"].as_str().unwrap();
        assert!(value.starts_with("2 in 7 days"), "given twice, it counts once: {health:#}");
    }
    health_when(&agent, "b", |health| health["serial"] == "S2").await;
    assert_eq!(give("b", &kept).await.problem(), "another-drive");
    assert_eq!(give("c", &kept).await.problem(), "unknown-drive");
    assert_eq!(give("a", &json!({ "version": 9, "history": {} })).await.problem(), "history-version");
    assert_eq!(give("a", &json!({ "version": 1, "history": "none" })).await.problem(), "bad-request");
    let mut early = kept.clone();
    early["history"]["first_seen_unix_s"] = json!(9_000_000_000_u64);
    assert_eq!(give("a", &early).await.problem(), "history-from-the-future");
    assert_eq!(agent.send(get("/v1/drives/c/history")).await.problem(), "unknown-drive");
}
