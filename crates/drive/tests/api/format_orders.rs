use imbrex_zoned::simulated::SimulatedDevice;
use imbrex_zoned::{BufferPool, Device as _, Token};

use crate::support::http::{Answer, Client};
use crate::support::node::{Node, Setup, geometry};
use crate::support::payload::path_of;

fn order(node: &Node, json: &str) -> Answer {
    let mut client = Client::connect_local(&node.socket).unwrap();
    client.request("POST", "/v1/format", &[], Some(json.as_bytes())).unwrap()
}

#[test]
fn an_unformatted_drive_tells_its_state_and_serves_after_an_order_over_its_socket() {
    let node = Node::start(Setup { format: false, ..Setup::default() });
    let status = node.get_json("/v1/drive");
    assert_eq!((&status["state"], &status["blocks"]), (&"unformatted".into(), &serde_json::Value::Null));
    let refused = node.put(&path_of(1), b"x");
    assert_eq!((refused.status, refused.kind().as_str()), (503, "drive-unavailable"));
    assert_eq!(refused.json()["state"], "unformatted");
    assert_eq!(node.client().get(&path_of(1)).unwrap().status, 503);

    let over_tcp = node.client().request("POST", "/v1/format", &[], Some(b"{}")).unwrap();
    assert_eq!((over_tcp.status, over_tcp.kind().as_str()), (403, "orders-are-local"));
    assert_eq!(order(&node, r#"{"serial":"another"}"#).kind(), "format-refused");
    assert_eq!(order(&node, "format it").status, 400);
    assert_eq!(order(&node, r#"{"serial":"SIMULATED","replace":"xyz"}"#).status, 400);

    let formatted = order(&node, r#"{"serial":"SIMULATED","blocks_max":5000}"#);
    assert_eq!(formatted.status, 200, "{formatted:?}");
    assert_eq!(formatted.json()["state"], "serving");
    assert_eq!(formatted.json()["blocks_max"], 5000);
    assert_eq!(node.put(&path_of(1), b"x").status, 201);
}

#[test]
fn a_drive_that_holds_blocks_is_formatted_only_by_its_drive_id() {
    let node = Node::start(Setup::default());
    node.put(&path_of(1), b"x");
    let drive_id = node.get_json("/v1/drive")["drive_id"].as_str().unwrap().to_owned();
    for json in [
        r#"{"serial":"SIMULATED"}"#.to_owned(),
        r#"{"serial":"SIMULATED","replace":"foreign"}"#.to_owned(),
        format!(r#"{{"serial":"SIMULATED","replace":"{}"}}"#, "0".repeat(32)),
    ] {
        assert_eq!(order(&node, &json).kind(), "format-refused", "{json}");
    }
    assert_eq!(node.client().get(&path_of(1)).unwrap().status, 200);
    let formatted = order(&node, &format!(r#"{{"serial":"SIMULATED","replace":"{drive_id}"}}"#));
    assert_eq!(formatted.status, 200, "{formatted:?}");
    assert_ne!(formatted.json()["drive_id"], drive_id.as_str());
    assert_eq!(node.client().get(&path_of(1)).unwrap().status, 404);
}

#[test]
fn a_foreign_drive_is_left_alone_until_an_order_says_that_its_data_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    {
        let pool = BufferPool::new(1 << 20).unwrap();
        let geometry = geometry(16, 32 << 20);
        let mut device = SimulatedDevice::create(&file, geometry, pool.clone()).unwrap();
        let mut buffer = pool.try_allocate(4096).unwrap();
        buffer.fill(b'?');
        device.submit_write(Token(1), 3 * (32 << 20), buffer).unwrap();
        let mut done = Vec::new();
        while done.is_empty() {
            device.wait(None, &mut done).unwrap();
        }
    }
    let node = Node::start(Setup { file: Some(file), ..Setup::default() });
    let status = node.get_json("/v1/drive");
    assert_eq!(status["state"], "foreign", "{status}");
    assert!(status["state_reason"].is_string());
    let serial = status["serial"].as_str().unwrap();
    assert_eq!(node.put(&path_of(1), b"x").json()["state"], "foreign");
    assert_eq!(order(&node, &format!(r#"{{"serial":"{serial}"}}"#)).kind(), "format-refused");
    let formatted = order(&node, &format!(r#"{{"serial":"{serial}","replace":"foreign"}}"#));
    assert_eq!(formatted.status, 200, "{formatted:?}");
    assert_eq!(node.put(&path_of(1), b"x").status, 201);
}
