use std::collections::BTreeMap;
use std::time::Duration;

use imbrex_drive::limits::Limits;

use crate::support::http::Client;
use crate::support::node::{Node, Setup, eventually, geometry, quick_limits};
use crate::support::payload::{bytes_of, key_of, path_of};

/// All pages of a listing: each key with its length and zone. A key that comes twice fails the test.
fn list_all(node: &Node, path: &str, limit: usize) -> BTreeMap<String, (u64, u64)> {
    let mut found = BTreeMap::new();
    let mut cursor: Option<String> = None;
    for _ in 0..10_000 {
        let cursor_part = cursor.as_deref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = node.get_json(&format!("{path}?limit={limit}{cursor_part}"));
        let blocks = page["blocks"].as_array().unwrap();
        assert!(blocks.len() <= limit);
        for block in blocks {
            let key = block["key"].as_str().unwrap().to_owned();
            let place = (block["payload_bytes"].as_u64().unwrap(), block["zone"].as_u64().unwrap());
            assert!(found.insert(key, place).is_none(), "{block} is listed twice");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
    panic!("the listing never ends");
}

#[test]
fn pages_cover_every_block_once_and_no_deleted_one() {
    let node = Node::start(Setup { geometry: geometry(16, 32 << 20), ..Setup::default() });
    let mut client = node.client();
    let length = |seed: u64| usize::try_from(seed % 7).unwrap() * 300_000 + 1;
    for seed in 0..90 {
        assert_eq!(client.put(&path_of(seed), &bytes_of(seed, length(seed))).unwrap().status, 201);
    }
    for seed in (0..90).step_by(3) {
        assert_eq!(client.delete(&path_of(seed)).unwrap().status, 204);
    }
    let wanted: BTreeMap<String, u64> =
        (0..90).filter(|seed| seed % 3 != 0).map(|seed| (key_of(seed), length(seed) as u64)).collect();
    for limit in [1, 7, 10_000] {
        let found = list_all(&node, "/v1/blocks", limit);
        let lengths: BTreeMap<String, u64> =
            found.iter().map(|(key, (length, _))| (key.clone(), *length)).collect();
        assert!(lengths == wanted, "{limit}: {} of {}", lengths.len(), wanted.len());
    }
    let whole = list_all(&node, "/v1/blocks", 1_000);
    let mut by_zone = BTreeMap::new();
    for zone in 0..16 {
        let found = list_all(&node, &format!("/v1/zones/{zone}/blocks"), 3);
        assert!(found.values().all(|(_, in_zone)| *in_zone == zone));
        by_zone.extend(found);
    }
    assert!(by_zone == whole);
}

#[test]
fn a_listing_of_an_empty_drive_is_one_empty_page() {
    let node = Node::start(Setup::default());
    assert!(list_all(&node, "/v1/blocks", 100).is_empty());
}

#[test]
fn a_cursor_or_a_limit_that_cannot_be_is_400() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    for query in [
        "cursor=",
        "cursor=abc",
        "cursor=000000000000000000000000000000000000000000000000",
        "limit=0",
        "limit=10001",
        "limit=-1",
        "limit=many",
        "page=2",
    ] {
        let answer = client.get(&format!("/v1/blocks?{query}")).unwrap();
        assert_eq!((answer.status, answer.kind().as_str()), (400, "bad-request"), "{query}");
    }
}

#[test]
fn zones_are_listed_one_is_shown_and_one_that_is_not_there_is_404() {
    let node = Node::start(Setup::default());
    node.put(&path_of(1), &bytes_of(1, 100_000));
    let zones = node.get_json("/v1/zones");
    let zones = zones["zones"].as_array().unwrap();
    assert_eq!(zones.len(), 16);
    assert_eq!(zones[0]["kind"], "conventional");
    assert_eq!(zones[0]["role"], "label");
    let written: Vec<_> = zones.iter().filter(|zone| zone["role"] == "open").collect();
    assert!(!written.is_empty(), "{zones:?}");
    let number = written[0]["zone"].as_u64().unwrap();
    assert_eq!(node.get_json(&format!("/v1/zones/{number}"))["zone"], number);
    let mut client = node.client();
    assert_eq!(client.get("/v1/zones/16").unwrap().kind(), "zone-not-found");
    assert_eq!(client.get("/v1/zones/16/blocks").unwrap().status, 404);
    assert_eq!(client.get("/v1/zones/x").unwrap().status, 400);
}

/// A client that asks for pages again and again, more than any socket takes (tcp(7): `tcp_wmem`, 4 MiB at most where
/// nobody has changed it), and reads none of them.
fn slow_lister(node: &Node) -> Client {
    let mut client = node.client();
    for _ in 0..40 {
        client.send_head("GET", "/v1/blocks?limit=10000", &[]).unwrap();
    }
    client
}

#[test]
fn slow_readers_of_block_lists_keep_nobody_from_zones_and_damage_and_nobody_from_the_unix_socket() {
    let limits = Limits { lists_bytes: 64 << 10, stall_time_max: Duration::from_secs(60), ..quick_limits() };
    let node = Node::start(Setup { limits, ..Setup::default() });
    let mut client = node.client();
    // A page of them is longer than what is kept of an answer besides the room: `connection_buffer_bytes_max`.
    for seed in 0..2_500 {
        assert_eq!(client.put(&path_of(seed), b"x").unwrap().status, 201);
    }
    let slow = slow_lister(&node);
    let mut refused = 0;
    eventually("all the room for block lists is taken, and stays so", || {
        let answer = client.get("/v1/blocks?limit=1").unwrap();
        refused = if answer.status == 503 { refused + 1 } else { 0 };
        refused == 3
    });
    for path in ["/v1/zones", "/v1/zones/3", "/v1/damage"] {
        assert_eq!(client.get(path).unwrap().status, 200, "{path}");
    }
    let mut local = Client::connect_local(&node.socket).unwrap();
    for path in ["/v1/blocks?limit=10000", "/v1/zones/3/blocks", "/v1/zones", "/v1/zones/3", "/v1/damage"] {
        assert_eq!(local.get(path).unwrap().status, 200, "{path}");
    }
    assert_eq!(client.get("/v1/blocks?limit=1").unwrap().kind(), "overloaded");
    drop(slow);
    eventually("the room comes back", || client.get("/v1/blocks?limit=1").unwrap().status == 200);
}
