use std::time::Duration;

use crate::support::http::Answer;
use crate::support::node::{Node, Setup};
use crate::support::payload::{bytes_of, path_of};

#[test]
fn one_range_is_206_and_what_cannot_be_given_is_416_with_the_length() {
    let node = Node::start(Setup::default());
    let (path, body) = (path_of(1), bytes_of(1, 200_000));
    assert_eq!(node.put(&path, &body).status, 201);
    let mut client = node.client();
    let mut get = |range: &str| client.request("GET", &path, &[("Range", range)], None).unwrap();
    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=199999-", 199_999, 200_000),
        ("bytes=100-999999999", 100, 200_000),
        ("bytes=-1000", 199_000, 200_000),
        ("bytes=-300000", 0, 200_000),
    ] {
        let answer = get(range);
        assert_eq!(answer.status, 206, "{range}");
        let named = format!("bytes {first}-{}/200000", end - 1);
        assert_eq!(answer.header("content-range"), Some(named.as_str()));
        assert!(answer.body == body[first..end], "{range}");
    }
    for range in ["bytes=0-1,5-6", "lines=1-2"] {
        let answer = get(range);
        assert_eq!(answer.status, 200, "{range}");
        assert!(answer.body == body);
    }
    for range in ["bytes=200000-", "bytes=-0", "bytes=9-5", "bytes=x", "bytes"] {
        let answer = get(range);
        assert_eq!((answer.status, answer.kind().as_str()), (416, "range-not-satisfiable"), "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */200000"), "{range}");
    }
}

#[test]
fn a_range_of_an_empty_block_never_breaks_the_answer() {
    let node = Node::start(Setup::default());
    let path = path_of(1);
    assert_eq!(node.put(&path, b"").status, 201);
    let mut client = node.client();
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        let answer = client.request("GET", &path, &[("Range", range)], None).unwrap();
        assert!(matches!(answer.status, 200 | 416), "{range}: {answer:?}");
        assert!(answer.status == 416 || answer.body.is_empty());
    }
}

#[test]
fn a_client_that_has_the_block_is_304_and_a_part_of_another_block_is_never_given() {
    let node = Node::start(Setup::default());
    let (path, body) = (path_of(1), bytes_of(1, 50_000));
    node.put(&path, &body);
    let tag = node.client().get(&path).unwrap().header("etag").unwrap().to_owned();
    let get =
        |headers: &[(&str, &str)]| -> Answer { node.client().request("GET", &path, headers, None).unwrap() };
    assert_eq!(get(&[("If-None-Match", &tag)]).status, 304);
    assert_eq!(get(&[("If-None-Match", "\"other\"")]).status, 200);
    assert_eq!(get(&[("If-Match", "\"other\"")]).status, 412);
    assert_eq!(get(&[("If-Match", &tag)]).status, 200);
    let part = get(&[("Range", "bytes=1-2"), ("If-Range", &tag)]);
    assert_eq!((part.status, part.body.len()), (206, 2));
    let whole = get(&[("Range", "bytes=1-2"), ("If-Range", "\"other\"")]);
    assert_eq!((whole.status, whole.body.len()), (200, 50_000));
    assert_eq!(get(&[("Range", "bytes=50000-"), ("If-Range", &tag)]).status, 416);
    assert_eq!(get(&[("Range", "bytes=50000-"), ("If-Range", "\"other\"")]).status, 200);
}

#[test]
fn an_absent_block_is_404_and_costs_no_read_of_the_drive_and_a_present_one_costs_one() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    assert_eq!(client.put(&path_of(1), &bytes_of(1, 1 << 20)).unwrap().status, 201);
    let reads = || {
        // The engine publishes its figures a moment later.
        std::thread::sleep(Duration::from_millis(120));
        node.get_json("/v1/stats")["device_reads"].as_u64().unwrap()
    };
    let before = reads();
    for seed in 100..200 {
        let answer = client.get(&path_of(seed)).unwrap();
        assert_eq!((answer.status, answer.kind().as_str()), (404, "block-not-found"));
        assert_eq!(client.request("HEAD", &path_of(seed), &[], None).unwrap().status, 404);
        assert_eq!(client.delete(&path_of(seed)).unwrap().status, 404);
    }
    assert_eq!(reads(), before);
    for _ in 0..10 {
        assert_eq!(client.get(&path_of(1)).unwrap().status, 200);
    }
    assert_eq!(reads(), before + 10);
}

#[test]
fn a_path_or_a_method_that_does_not_exist_is_a_problem_too() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    assert_eq!(client.get("/v1/nothing").unwrap().kind(), "no-such-path");
    let answer = client.request("POST", "/v1/blocks", &[], Some(b"")).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    let answer = client.request("PATCH", &path_of(1), &[], Some(b"")).unwrap();
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT, DELETE"));
}
