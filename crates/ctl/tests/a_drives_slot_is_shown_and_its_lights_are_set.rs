//! `imbrexctl slot` shows where a drive sits, and turns its lights on and off.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::sync::{Arc, Mutex};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use fake::node::{FakeNode, Orders, Signs};
use fake::told_by_node;
use imbrex_api::slot::{LightOrder, Slot};

type Lights = Arc<Mutex<Vec<(String, bool)>>>;

fn slot() -> Slot {
    Slot {
        enclosure: "0:0:30:0".into(),
        enclosure_id: Some("0x500304801f1e8d3f".into()),
        name: "Slot 07".into(),
        number: Some(7),
        status: Some("OK".into()),
        locate: Some(false),
        fault: None,
    }
}

/// A node with one drive in a slot, which notes the orders to its lights.
fn node(lights: &Lights) -> FakeNode {
    let set = |light: &'static str| {
        let lights = lights.clone();
        put(move |Json(order): Json<LightOrder>| async move {
            lights.lock().unwrap().push((light.to_owned(), order.on));
            Json(if light == "locate" {
                Slot { locate: Some(order.on), ..slot() }
            } else {
                Slot { locate: Some(true), fault: Some(order.on), ..slot() }
            })
        })
    };
    let of_drive = |Path(id): Path<String>| async move {
        if id == "wwn-1" { Ok(Json(slot())) } else { Err(StatusCode::NOT_FOUND) }
    };
    let routes: Router<Orders> = Router::new()
        .route("/v1/drives/{id}/slot", get(of_drive))
        .route("/v1/drives/{id}/locate", set("locate"))
        .route("/v1/drives/{id}/fault", set("fault"));
    FakeNode::start_with(Vec::new(), Signs::WithItsOwnKey, routes)
}

#[test]
fn a_drives_slot_is_shown_and_its_lights_are_set() {
    let lights = Lights::default();
    let node = node(&lights);
    let (success, text, told) = told_by_node(&node, &["slot", "wwn-1"]);
    assert!(success && text.contains("Slot 07") && text.contains("off"), "{text} {told}");
    assert!(text.contains("unknown"), "a light that nobody tells of: {text}");
    assert!(lights.lock().unwrap().is_empty(), "to show is not to set");
    let (success, text, told) = told_by_node(&node, &["slot", "wwn-1", "--locate", "on", "--fault", "off"]);
    assert!(success && text.contains(" on "), "{text} {told}");
    assert_eq!(*lights.lock().unwrap(), [("locate".to_owned(), true), ("fault".to_owned(), false)]);
    let (_, text, _) = told_by_node(&node, &["--json", "slot", "wwn-1"]);
    assert_eq!(serde_json::from_str::<Slot>(&text).unwrap(), slot());
    assert!(!told_by_node(&node, &["slot", "wwn-9"]).0, "no such drive");
    assert!(!told_by_node(&node, &["slot", "wwn-1", "--locate", "maybe"]).0);
}
