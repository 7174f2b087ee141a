use imbrex_api::drive::ScrubStatus;

use crate::support::http::{Answer, Client};
use crate::support::node::{Node, Setup, eventually};
use crate::support::payload::{bytes_of, path_of};

fn quiet(node: &Node, json: &str) -> Answer {
    let mut client = Client::connect_local(&node.socket).unwrap();
    client.request("POST", "/v1/quiet", &[], Some(json.as_bytes())).unwrap()
}

#[test]
fn a_quiet_time_is_granted_for_ten_seconds_at_most_and_over_the_socket_only() {
    let node = Node::start(Setup::default());
    for (asked_ms, granted_ms) in [(1, 1), (2500, 2500), (3_600_000, 10_000), (u64::MAX, 10_000), (0, 0)] {
        let answer = quiet(&node, &format!(r#"{{"for_ms":{asked_ms}}}"#));
        assert_eq!((answer.status, &answer.json()["granted_ms"]), (200, &granted_ms.into()), "{answer:?}");
    }
    for body in ["", "{}", r#"{"for_ms":-1}"#, r#"{"for_ms":1,"more":2}"#] {
        assert_eq!(quiet(&node, body).status, 400, "{body}");
    }
    let over_tcp = node.client().request("POST", "/v1/quiet", &[], Some(b"{}")).unwrap();
    assert_eq!((over_tcp.status, over_tcp.kind().as_str()), (403, "orders-are-local"));
}

#[test]
fn clients_are_served_in_a_quiet_time_and_what_was_held_goes_on_when_it_ends() {
    let node = Node::start(Setup::default());
    for seed in 0..8 {
        assert_eq!(node.put(&path_of(seed), &bytes_of(seed, 1 << 20)).status, 201);
    }
    assert_eq!(quiet(&node, r#"{"for_ms":10000}"#).status, 200);
    assert_eq!(node.client().request("POST", "/v1/scrub", &[], Some(b"")).unwrap().status, 202);
    assert_eq!(node.put(&path_of(9), &bytes_of(9, 1000)).status, 201);
    assert_eq!(node.client().get(&path_of(1)).unwrap().body, bytes_of(1, 1 << 20));
    assert_eq!(quiet(&node, r#"{"for_ms":0}"#).status, 200);
    eventually("the scrub goes on", || {
        let now: ScrubStatus = serde_json::from_value(node.get_json("/v1/scrub")).unwrap();
        now.zones > 0 && now.covered_zones == now.zones && now.records >= 8
    });
}

#[test]
fn a_drive_that_is_not_mounted_grants_no_quiet_time() {
    let node = Node::start(Setup { format: false, ..Setup::default() });
    let answer = quiet(&node, r#"{"for_ms":1000}"#);
    assert_eq!((answer.status, answer.kind().as_str()), (503, "drive-unavailable"));
}
