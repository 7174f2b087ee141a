use imbrex_api::drive::ScrubStatus;

use crate::support::http::Client;
use crate::support::node::{Node, Setup, eventually};
use crate::support::payload::{bytes_of, path_of};

fn scrub(node: &Node) -> ScrubStatus {
    serde_json::from_value(node.get_json("/v1/scrub")).unwrap()
}

#[test]
fn an_ordered_scrub_begins_at_once_and_covers_every_zone_that_holds_blocks() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    for seed in 0..40 {
        assert_eq!(client.put(&path_of(seed), &bytes_of(seed, 1 << 20)).unwrap().status, 201);
    }
    let before = scrub(&node);
    assert_eq!((before.period_s, before.pass_since_unix_s), (30 * 24 * 3600, None));
    assert!(before.zones > 0 && before.live_bytes > 40 << 20, "{before:?}");
    let answer = client.request("POST", "/v1/scrub", &[], Some(b"")).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    let ordered: ScrubStatus = serde_json::from_value(answer.json()).unwrap();
    assert!(ordered.pass_since_unix_s.is_some(), "{ordered:?}");
    eventually("the pass is done", || {
        let now = scrub(&node);
        now.zones > 0 && now.covered_zones == now.zones && now.records >= 40
    });
    let after = scrub(&node);
    assert_eq!(
        (after.covered_bytes, after.overdue_zones, after.errors),
        (after.live_bytes, 0, 0),
        "{after:?}"
    );
    assert!(after.oldest_unix_s >= ordered.pass_since_unix_s, "{after:?}");
}

#[test]
fn a_scrub_finds_a_damaged_block_that_nobody_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let node = Node::start(Setup { file: Some(file.clone()), ..Setup::default() });
    let body = bytes_of(1, 300_000);
    assert_eq!(node.put(&path_of(1), &body).status, 201);
    crate::failures::damage(&file, &body[200_000..200_032]);
    assert_eq!(node.client().request("POST", "/v1/scrub", &[], Some(b"")).unwrap().status, 202);
    eventually("the damage is found", || scrub(&node).errors > 0);
    assert_eq!(node.get_json("/v1/damage")["blocks"][0]["kind"], "checksum");
}

#[test]
fn the_scrub_is_shown_over_the_socket_too_and_other_methods_are_405() {
    let node = Node::start(Setup::default());
    let mut local = Client::connect_local(&node.socket).unwrap();
    assert_eq!(local.get("/v1/scrub").unwrap().status, 200);
    let answer = node.client().request("PUT", "/v1/scrub", &[], Some(b"")).unwrap();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, POST")));
}
