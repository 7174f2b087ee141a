//! `imbrexctl services` shows what is down and why, and `imbrexctl clear` brings it back by its name.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::sync::{Arc, Mutex};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use fake::node::{FakeNode, Orders, Signs};
use fake::{on_node, stderr};
use imbrex_api::node::Accepted;
use serde_json::{Value, json};

const DOWN: &str = "drive@naa.1";
const REASON: &str = "it failed 5 times within 10 minutes; the last: killed by signal 11";

fn services() -> Value {
    json!({ "services": [
        { "name": "agent", "state": "ready", "pid": 70, "restarts": 0, "rss_bytes": 8_388_608 },
        { "name": DOWN, "state": "maintenance", "restarts": 4, "last_exit": "killed by signal 11",
          "reason": REASON, "last_lines": ["the last line"] },
    ] })
}

/// A node with a service that is down, and the names of those that it was told to start.
fn node() -> (FakeNode, Arc<Mutex<Vec<String>>>) {
    let started = Arc::new(Mutex::new(Vec::new()));
    let order = started.clone();
    let start = move |Path(name): Path<String>| async move {
        order.lock().unwrap().push(name.clone());
        (StatusCode::ACCEPTED, Json(Accepted { detail: format!("{name} starts.") }))
    };
    let routes: Router<Orders> = Router::new()
        .route("/v1/services", get(|| async { Json(services()) }))
        .route("/v1/services/{name}/start", post(start));
    (FakeNode::start_with(Vec::new(), Signs::WithItsOwnKey, routes), started)
}

#[test]
fn a_service_that_is_down_says_why_and_is_cleared_by_name() {
    let (node, started) = node();
    let output = on_node(&node, &["services"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let row =
        |name: &str| text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    assert!(row("agent").contains("ready") && row(DOWN).contains("maintenance"), "{text}");
    assert!(text.contains(&format!("{DOWN}: {REASON}\n{DOWN} said: the last line\n")), "{text}");
    assert!(text.ends_with(&format!("next: imbrexctl clear {DOWN}\n")), "{text}");

    let output = on_node(&node, &["clear", DOWN]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{DOWN} starts.\n"));
    assert_eq!(*started.lock().unwrap(), [DOWN]);

    let output = on_node(&node, &["--json", "clear", "agent", DOWN]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["cleared"][1]["detail"], format!("{DOWN} starts."));
    assert_eq!(started.lock().unwrap().len(), 3);
}

#[test]
fn a_name_that_would_lead_elsewhere_is_refused_before_anything_is_sent() {
    let (node, started) = node();
    for name in ["../node/poweroff", "a b", "", ".."] {
        let output = on_node(&node, &["clear", name]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
    }
    assert!(started.lock().unwrap().is_empty());
}
