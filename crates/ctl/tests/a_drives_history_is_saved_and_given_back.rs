//! `imbrexctl history` saves what a node has recorded of its drives, and gives it back.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::fs;
use std::sync::{Arc, Mutex};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use fake::node::{FakeNode, Orders, Signs};
use fake::told_by_node;
use imbrex_api::health::KeptHistory;
use imbrex_api::node::Drive;

type Given = Arc<Mutex<Vec<(String, KeptHistory)>>>;

fn history() -> KeptHistory {
    KeptHistory { version: 1, history: serde_json::json!({ "step": "failed" }) }
}

/// A node with the drives `a` and `b`, of which `b` has no history.
fn node(given: &Given) -> FakeNode {
    let given = given.clone();
    let give = move |Path(id): Path<String>, Json(kept): Json<KeptHistory>| async move {
        given.lock().unwrap().push((id, kept));
    };
    let of_drive = |Path(id): Path<String>| async move {
        if id == "a" { Ok(Json(history())) } else { Err(StatusCode::CONFLICT) }
    };
    let routes: Router<Orders> = Router::new().route("/v1/drives/{id}/history", get(of_drive).put(give));
    let drive = |id: &str| Drive { id: id.to_owned(), ..Drive::default() };
    FakeNode::start_with(vec![drive("a"), drive("b")], Signs::WithItsOwnKey, routes)
}

#[test]
fn a_drives_history_is_saved_and_given_back() {
    let (given, directory) = (Given::default(), tempfile::tempdir().unwrap());
    let node = node(&given);
    let place = directory.path().join("node7");
    let (success, text, told) = told_by_node(&node, &["history", "save", place.to_str().unwrap()]);
    assert_eq!(text, "a saved\n");
    assert!(!success && told.contains("b:"), "one drive that fails is told, and costs no other: {told}");
    let names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.json"], "nothing lies about");
    let (success, text, told) = told_by_node(&node, &["history", "restore", place.to_str().unwrap()]);
    assert!(success && text == "a restored\n" && told.contains("b: the directory has no history"), "{told}");
    assert_eq!(*given.lock().unwrap(), [("a".to_owned(), history())]);
    fs::write(place.join("b.json"), "{").unwrap();
    let (success, text, told) = told_by_node(&node, &["history", "restore", place.to_str().unwrap()]);
    assert!(!success && text == "a restored\n" && told.contains("b.json"), "{told}");
}
