//! Format orders: what the agent refuses never reaches a drive; what it hands on, the drive decides.

use hyper::StatusCode;
use imbrex_api::drive::{DriveStatus, State};
use serde_json::{Value, json};

use crate::client::post;
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::process::{Agent, Place};

const LABEL: &str = "00112233445566778899aabbccddeeff";

fn empty(serial: &str) -> Behaviour {
    Behaviour::Says(Box::new(DriveStatus {
        drive_id: None,
        state: State::Unformatted,
        ..serving("a", serial)
    }))
}

async fn order(agent: &Agent, order: &Value) -> crate::client::Answer {
    agent.send(post("/v1/drives/a/format", order.to_string())).await
}

#[tokio::test]
async fn an_empty_drive_is_formatted_by_its_serial_and_is_seen_to_serve_at_once() {
    let place = Place::new();
    let drive = FakeDrive::start(&place.run(), "a", empty("S1"));
    let agent = place.start().await;
    assert_eq!(agent.json("/v1/drives/a").await["state"], "unformatted");
    let answer = order(&agent, &json!({"serial": "S1", "blocks_max": 1000})).await;
    assert_eq!((answer.status, &answer.json()["drive_id"]), (StatusCode::OK, &json!("f".repeat(32))));
    assert_eq!(drive.orders()[0].blocks_max, Some(1000), "the order is handed on as it is");
    assert_eq!(agent.json("/v1/drives/a").await["state"], "serving");
}

#[tokio::test]
async fn an_order_that_names_the_wrong_drive_or_no_data_never_reaches_the_drive() {
    let place = Place::new();
    let drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    for (body, problem) in [
        (json!({"serial": "S2", "replace": LABEL}), "serial-mismatch"),
        (json!({"serial": "S1"}), "drive-holds-data"),
        (json!({"serial": "S1", "replace": "foreign"}), "drive-holds-data"),
        (json!({"serial": "S1", "replace": "f".repeat(32)}), "drive-holds-data"),
    ] {
        let answer = order(&agent, &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::CONFLICT, problem), "{body}");
    }
    assert!(order(&agent, &json!({"serial": "S1"})).await.json()["detail"].as_str().unwrap().contains(LABEL));
    for body in ["{}", "serial", r#"{"serial":"S1","force":true}"#, r#"{"serial":7}"#] {
        let answer = agent.send(post("/v1/drives/a/format", body)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "bad-request"),
            "{body}"
        );
    }
    let answer = agent.send(post("/v1/drives/b/format", r#"{"serial":"S1"}"#)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "unknown-drive"));
    assert_eq!(drive.orders(), []);
    assert_eq!(order(&agent, &json!({"serial": "S1", "replace": LABEL})).await.status, StatusCode::OK);
    assert_eq!(drive.orders().len(), 1);
}

#[tokio::test]
async fn the_drives_own_refusal_is_handed_back_as_it_is() {
    let place = Place::new();
    let drive = FakeDrive::start(&place.run(), "a", empty("S-refused"));
    let agent = place.start().await;
    let answer = order(&agent, &json!({"serial": "S-refused"})).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::CONFLICT, "drive-in-use"));
    assert_eq!(drive.orders().len(), 1);
}

#[tokio::test]
async fn what_is_checked_is_the_drive_of_now_and_not_a_list_of_before() {
    let place = Place::impatient();
    let drive = FakeDrive::start(&place.run(), "a", empty("S1"));
    let agent = place.start().await;
    assert_eq!(agent.json("/v1/drives/a").await["state"], "unformatted");
    drive.behave(Behaviour::Says(Box::new(serving("a", "S1"))));
    assert_eq!(order(&agent, &json!({"serial": "S1"})).await.problem(), "drive-holds-data");
    drive.behave(Behaviour::Silent);
    assert_eq!(
        order(&agent, &json!({"serial": "S1", "replace": LABEL})).await.problem(),
        "drive-unavailable"
    );
    assert_eq!(drive.orders(), []);
}
