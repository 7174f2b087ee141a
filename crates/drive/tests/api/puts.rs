use crate::support::node::{Node, Setup};
use crate::support::payload::{bytes_of, key_of, path_of};

#[test]
fn a_block_of_any_size_comes_back_byte_for_byte() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    for (seed, length) in
        [0, 1, 4095, 65_536, 65_537, 1 << 20, (4 << 20) + 3, 16 << 20].into_iter().enumerate()
    {
        let (path, body) = (path_of(seed as u64), bytes_of(seed as u64, length));
        let put = client.put(&path, &body).unwrap();
        assert_eq!((put.status, put.body.len()), (201, 0), "{length}: {put:?}");
        let get = client.get(&path).unwrap();
        assert_eq!(get.status, 200);
        assert!(get.body == body, "the block of {length} bytes came back otherwise");
        assert_eq!(get.header("accept-ranges"), Some("bytes"));
        assert_eq!(get.header("content-type"), Some("application/octet-stream"));
        assert!(get.header("etag").is_some_and(|tag| tag.starts_with('"')));
        let head = client.request("HEAD", &path, &[], None).unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
        assert_eq!(head.header("etag"), get.header("etag"));
    }
}

#[test]
fn the_same_bytes_again_are_200_and_write_nothing_and_other_bytes_are_409() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    let (path, body) = (path_of(1), bytes_of(1, 100_000));
    assert_eq!(client.put(&path, &body).unwrap().status, 201);
    let written = |node: &Node| {
        // The engine publishes its figures a moment later.
        std::thread::sleep(std::time::Duration::from_millis(120));
        node.get_json("/v1/stats")["device_written_bytes"].as_u64().unwrap()
    };
    let before = written(&node);
    assert_eq!(client.put(&path, &body).unwrap().status, 200);
    assert_eq!(written(&node), before);
    let other = client.put(&path, &bytes_of(2, 100_000)).unwrap();
    assert_eq!((other.status, other.kind().as_str()), (409, "block-conflict"));
    let shorter = client.put(&path, &body[..99_999]).unwrap();
    assert_eq!(shorter.status, 409);
    assert_eq!(shorter.json()["key"], key_of(1));
    assert!(client.get(&path).unwrap().body == body);
}

#[test]
fn a_put_without_a_length_is_411_and_one_too_large_is_413_before_its_body_is_read() {
    let node = Node::start(Setup::default());
    let path = path_of(1);
    let mut client = node.client();
    client.send_head("PUT", &path, &[("Transfer-Encoding", "chunked")]).unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (411, "length-required"));

    for length in [(16 << 20) + 1_u64, 1 << 40] {
        let mut client = node.client();
        // Not one byte of the body is sent.
        client.send_head("PUT", &path, &[("Content-Length", &length.to_string())]).unwrap();
        let answer = client.read_answer(true).unwrap();
        assert_eq!((answer.status, answer.kind().as_str()), (413, "block-too-large"), "{length}");
    }
    assert_eq!(node.client().get(&path).unwrap().status, 404);
}

#[test]
fn a_client_that_keeps_sending_still_reads_why_it_was_refused() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    client.send_head("PUT", &path_of(1), &[("Content-Length", "20000000")]).unwrap();
    // The kernel may refuse the later parts: the answer counts.
    let part = vec![0; 1 << 20];
    for _ in 0..19 {
        if client.send(&part).is_err() {
            break;
        }
    }
    assert_eq!(client.read_answer(true).unwrap().status, 413);
}

#[test]
fn a_body_shorter_than_its_length_is_400_and_nothing_is_kept() {
    let node = Node::start(Setup::default());
    let path = path_of(1);
    let mut client = node.client();
    client.send_head("PUT", &path, &[("Content-Length", "100000")]).unwrap();
    client.send(&bytes_of(1, 70_000)).unwrap();
    client.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (400, "body-incomplete"));
    assert!(answer.detail().contains("70000 of 100000"), "{}", answer.detail());
    assert_eq!(node.client().get(&path).unwrap().status, 404);
    assert_eq!(node.get_json("/v1/stats")["uploads_broken_off"], 1);
}

#[test]
fn expect_100_continue_is_answered_before_the_body_and_only_where_it_is_wanted() {
    let node = Node::start(Setup::default());
    let (path, body) = (path_of(1), bytes_of(1, 5_000));
    let mut client = node.client();
    client.send_head("PUT", &path, &[("Content-Length", "5000"), ("Expect", "100-continue")]).unwrap();
    assert_eq!(client.read_answer(false).unwrap().status, 100);
    client.send(&body).unwrap();
    assert_eq!(client.read_answer(true).unwrap().status, 201);

    let mut client = node.client();
    client.send_head("PUT", &path, &[("Content-Length", "99999999"), ("Expect", "100-continue")]).unwrap();
    assert_eq!(client.read_answer(true).unwrap().status, 413);
}

#[test]
fn a_key_that_is_none_is_400_with_what_is_wrong_and_upper_case_is_taken() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    let key = key_of(1);
    for (wrong, sentence) in [
        (key[..63].to_owned(), "63 digits were given, a key has 64"),
        (format!("{key}0"), "65 digits were given, a key has 64"),
        (format!("{}g", &key[..63]), "'g' is no hex digit"),
        ("%C3%A9".to_owned(), "'é' is no hex digit"),
    ] {
        for method in ["PUT", "GET", "DELETE"] {
            let body = (method == "PUT").then_some(&b"x"[..]);
            let answer = node.client().request(method, &format!("/v1/blocks/{wrong}"), &[], body).unwrap();
            assert_eq!((answer.status, answer.kind().as_str()), (400, "bad-key"), "{method} {wrong}");
            assert!(answer.detail().contains(sentence), "{}", answer.detail());
        }
    }
    assert_eq!(client.put(&format!("/v1/blocks/{}", key.to_uppercase()), b"x").unwrap().status, 201);
    assert_eq!(client.get(&format!("/v1/blocks/{key}")).unwrap().body, b"x");
}

#[test]
fn a_class_is_taken_and_an_unknown_one_is_400() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    for (seed, class) in ["foreground", "repair", "background"].into_iter().enumerate() {
        let headers = [("Imbrex-Class", class)];
        let answer = client.request("PUT", &path_of(seed as u64), &headers, Some(b"x")).unwrap();
        assert_eq!(answer.status, 201, "{class}");
    }
    for method in ["PUT", "GET", "HEAD", "DELETE"] {
        let body = (method == "PUT").then_some(&b"x"[..]);
        let answer = node.client().request(method, &path_of(0), &[("Imbrex-Class", "urgent")], body).unwrap();
        assert_eq!(answer.status, 400, "{method}");
    }
    for (class, status) in [("repair", 200), ("urgent", 400)] {
        for path in ["/v1/blocks", "/v1/zones/2/blocks"] {
            let answer = node.client().request("GET", path, &[("Imbrex-Class", class)], None).unwrap();
            assert_eq!(answer.status, status, "{path} for {class}");
        }
    }
}

#[test]
fn blocks_of_another_lifetime_lie_in_another_zone_and_an_unknown_one_is_400() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    for (seed, lifetime) in ["unknown", "short", "long"].into_iter().enumerate() {
        let headers = [("Imbrex-Lifetime", lifetime)];
        let answer = client.request("PUT", &path_of(seed as u64), &headers, Some(b"x")).unwrap();
        assert_eq!(answer.status, 201, "{lifetime}");
    }
    let listed = node.get_json("/v1/blocks");
    let zone = |seed| {
        let blocks = listed["blocks"].as_array().unwrap();
        blocks.iter().find(|block| block["key"] == key_of(seed)).unwrap()["zone"].as_u64().unwrap()
    };
    assert!(zone(0) != zone(1) && zone(1) != zone(2), "{listed}");
    let answer = client.request("PUT", &path_of(9), &[("Imbrex-Lifetime", "brief")], Some(b"x")).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (400, "bad-request"));
}

#[test]
fn a_put_only_if_absent_is_412_where_the_block_is_there() {
    let node = Node::start(Setup::default());
    let path = path_of(1);
    let put = |tag| node.client().request("PUT", &path, &[("If-None-Match", tag)], Some(b"x")).unwrap();
    assert_eq!(put("*").status, 201);
    assert_eq!(put("*").status, 412);
    assert_eq!(put("\"1-1\"").status, 400);
}
