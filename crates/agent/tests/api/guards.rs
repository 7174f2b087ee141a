//! The drain that the node publishes, and each guard that holds one back.

use std::fs;

use hyper::StatusCode;
use imbrex_api::drive::DriveStatus;
use serde_json::{Value, json};

use crate::client::post;
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::health::{health_when, nvme_report};
use crate::process::{Agent, Place};

/// Drives with one letter each as ID and serial, and a smartctl that says of each what it was told to say.
struct Node {
    place: Place,
    agent: Agent,
    _drives: Vec<FakeDrive>,
}

impl Node {
    /// Of these drives those that are named in `failing` say that they fail.
    async fn start(drives: &str, failing: &str, free_bytes: u64) -> Self {
        let place = Place::new();
        place.smartctl("for last; do :; done\ncat $(dirname $0)/$(basename $last).json");
        let ids: Vec<_> = drives.chars().map(|id| id.to_string()).collect();
        let drives = ids.iter().map(|id| {
            say(&place, id, failing.contains(id));
            let status = DriveStatus { free_bytes: Some(free_bytes), ..serving(id, id) };
            FakeDrive::start(&place.run(), id, Behaviour::Says(Box::new(status)))
        });
        let drives = drives.collect();
        let agent = place.start().await;
        // All have told what they are: what they share shows only then.
        for id in &ids {
            let level = if failing.contains(id) { "failing" } else { "healthy" };
            health_when(&agent, id, |health| health["level"] == level).await;
        }
        Self { place, agent, _drives: drives }
    }

    /// This drive says that it fails from now on, and is asked.
    async fn fail(&self, id: &str) {
        say(&self.place, id, true);
        let answer = self.agent.send(post(&format!("/v1/drives/{id}/health"), "")).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        health_when(&self.agent, id, |health| health["level"] == "failing").await;
    }

    async fn step(&self, id: &str, step: &str) {
        let body = json!({ "step": step }).to_string();
        let answer = self.agent.send(post(&format!("/v1/drives/{id}/life"), body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    /// What may be drained, and the guards that hold.
    async fn drain(&self) -> (Value, Vec<String>) {
        let mut health = self.agent.json("/v1/health").await;
        let guards = health["guards"].as_array().unwrap().iter();
        for guard in guards.clone() {
            assert!(guard["why"].as_str().unwrap().ends_with('.'), "no sentence: {guard:#}");
        }
        let names = guards.map(|guard| guard["guard"].as_str().unwrap().to_owned()).collect();
        (health["drain"].take(), names)
    }
}

fn say(place: &Place, id: &str, fails: bool) {
    let path = place.run().with_file_name(format!("{id}.json"));
    let new = path.with_extension("new");
    fs::write(&new, nvme_report(id, if fails { 4 } else { 0 })).unwrap();
    fs::rename(new, path).unwrap();
}

const ROOMY_BYTES: u64 = 3 << 30;

#[tokio::test]
async fn a_failing_drive_may_be_drained_one_at_a_time_and_the_third_of_a_kind_waits_for_a_person() {
    let node = Node::start("abcde", "a", ROOMY_BYTES).await;
    assert_eq!(node.drain().await, (json!("a"), vec![]));
    node.step("a", "drain-started").await;
    assert_eq!(node.drain().await, (Value::Null, vec![]), "it is being drained, and no other needs it");
    node.fail("b").await;
    assert_eq!(node.drain().await, (Value::Null, vec!["one-at-a-time".to_owned()]));
    node.step("a", "failed").await;
    assert_eq!(node.drain().await, (json!("b"), vec![]), "the first is given up");
    node.step("b", "failed").await;
    node.fail("c").await;
    assert_eq!(node.drain().await, (Value::Null, vec!["same-firmware".to_owned()]));
}

#[tokio::test]
async fn drives_that_fail_together_drain_none_of_them() {
    let node = Node::start("abcd", "abc", ROOMY_BYTES).await;
    let (drain, guards) = node.drain().await;
    assert_eq!((drain, guards), (Value::Null, vec!["one-at-a-time".to_owned(), "common-cause".to_owned()]));
    let cause = node.agent.json("/v1/health").await["common_cause"].take();
    assert!(cause.as_str().unwrap().starts_with("common cause: 3 of 4 drives"), "{cause}");
}

#[tokio::test]
async fn a_drive_is_not_drained_where_its_blocks_would_find_no_room() {
    let node = Node::start("abc", "a", 1 << 20).await;
    assert_eq!(node.drain().await, (Value::Null, vec!["free-space".to_owned()]));
}
