use std::io::Read as _;
use std::time::{Duration, Instant};

use imbrex_drive::limits::ENGINE_BYTES;
use imbrex_engine::Options;

use crate::support::node::{Node, Setup, eventually, geometry, quick_limits};
use crate::support::payload::{bytes_of, path_of};

fn buffers_free_bytes(node: &Node) -> u64 {
    node.get_json("/v1/stats")["now"]["buffers_free_bytes"].as_u64().unwrap()
}

#[test]
fn a_put_that_finds_no_memory_is_503_with_retry_after_and_the_memory_comes_back() {
    let node = Node::start(Setup { pool_bytes: ENGINE_BYTES + (33 << 20), ..Setup::default() });
    let free_bytes = buffers_free_bytes(&node);
    let mut holder = node.client();
    holder.send_head("PUT", &path_of(1), &[("Content-Length", "16777216")]).unwrap();
    holder.send(b"x").unwrap();
    eventually("the upload has its memory", || buffers_free_bytes(&node) < free_bytes);
    let began = Instant::now();
    let mut refused = node.client();
    refused.send_head("PUT", &path_of(2), &[("Content-Length", "16777216")]).unwrap();
    let answer = refused.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (503, "overloaded"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    assert!(began.elapsed() >= Duration::from_millis(150), "it did not wait");
    // What is small still fits, and reading goes on.
    assert_eq!(node.put(&path_of(3), b"x").status, 201);
    assert_eq!(node.client().get(&path_of(3)).unwrap().body, b"x");
    drop(holder);
    eventually("the memory comes back", || buffers_free_bytes(&node) == free_bytes);
    assert_eq!(node.get_json("/v1/stats")["refused_overloaded"], 1);
    assert_eq!(node.put(&path_of(2), &bytes_of(2, 16 << 20)).status, 201);
}

#[test]
fn an_upload_that_stands_still_is_408_and_its_memory_comes_back() {
    let node = Node::start(Setup::default());
    let free_bytes = buffers_free_bytes(&node);
    let mut client = node.client();
    client.send_head("PUT", &path_of(1), &[("Content-Length", "1000000")]).unwrap();
    client.send(&bytes_of(1, 300_000)).unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (408, "body-stalled"));
    eventually("the memory comes back", || buffers_free_bytes(&node) == free_bytes);
    assert_eq!(node.client().get(&path_of(1)).unwrap().status, 404);
}

#[test]
fn an_upload_that_trickles_is_cut_off_too() {
    let node = Node::start(Setup::default());
    let mut client = node.client();
    client.send_head("PUT", &path_of(1), &[("Content-Length", "1000000")]).unwrap();
    let began = Instant::now();
    // A byte now and then is no progress.
    while began.elapsed() < Duration::from_secs(3) && client.send(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < Duration::from_secs(3), "it was never cut off");
}

#[test]
fn a_reader_that_does_not_take_its_block_is_cut_off_and_the_memory_comes_back() {
    let node = Node::start(Setup::default());
    assert_eq!(node.put(&path_of(1), &bytes_of(1, 16 << 20)).status, 201);
    eventually("the put is over", || buffers_free_bytes(&node) > 48 << 20);
    let free_bytes = buffers_free_bytes(&node);
    let mut client = node.client();
    client.send_head("GET", &path_of(1), &[]).unwrap();
    // It reads nothing; what the kernel takes is far from all.
    eventually("the block is on its way", || buffers_free_bytes(&node) < free_bytes);
    eventually("the memory comes back", || buffers_free_bytes(&node) == free_bytes);
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert!(rest.len() < 16 << 20, "the whole block was sent");
}

#[test]
fn a_reader_that_takes_its_block_slowly_but_steadily_gets_all_of_it() {
    let node = Node::start(Setup::default());
    let body = bytes_of(1, 16 << 20);
    assert_eq!(node.put(&path_of(1), &body).status, 201);
    let mut client = node.client();
    client.send_head("GET", &path_of(1), &[]).unwrap();
    let mut taken = Vec::new();
    let mut part = vec![0; 1 << 20];
    while taken.len() < body.len() {
        let count = client.stream.read(&mut part).unwrap();
        assert!(count > 0, "cut off after {} bytes", taken.len());
        taken.extend_from_slice(&part[..count]);
        if taken.len() % 7 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(taken.ends_with(&body[1 << 20..]));
}

#[test]
fn a_head_that_does_not_end_is_cut_off_and_an_idle_connection_is_not() {
    let node = Node::start(Setup::default());
    let mut idle = node.client();
    assert_eq!(idle.get("/healthz").unwrap().status, 200);
    let mut slow = node.client();
    slow.send(b"GET /healthz HTTP/1.1\r\nHost: d").unwrap();
    let began = Instant::now();
    let mut nothing = Vec::new();
    let _ = slow.stream.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&began.elapsed()));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(idle.get("/healthz").unwrap().status, 200);
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let limits = imbrex_drive::limits::Limits { idle_time_max: Duration::from_millis(300), ..quick_limits() };
    let node = Node::start(Setup { limits, ..Setup::default() });
    let mut idle = node.client();
    assert_eq!(idle.get("/healthz").unwrap().status, 200);
    let began = Instant::now();
    let mut nothing = Vec::new();
    let _ = idle.stream.read_to_end(&mut nothing);
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&began.elapsed()));
}

#[test]
fn one_connection_too_many_is_503_and_the_socket_is_reachable_all_the_same() {
    let limits = imbrex_drive::limits::Limits { connections_max: 2, ..quick_limits() };
    let node = Node::start(Setup { limits, ..Setup::default() });
    let mut first = node.client();
    let mut second = node.client();
    assert_eq!(first.get("/healthz").unwrap().status, 200);
    assert_eq!(second.get("/healthz").unwrap().status, 200);
    let answer = node.client().get("/healthz").unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (503, "overloaded"));
    let mut local = crate::support::http::Client::connect_local(&node.socket).unwrap();
    assert_eq!(local.get("/healthz").unwrap().status, 200);
    drop(first);
    eventually("a place comes free", || {
        node.client().get("/healthz").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn many_clients_at_once_share_little_memory_and_lose_nothing() {
    let node = Node::start(Setup { pool_bytes: ENGINE_BYTES + (33 << 20), ..Setup::default() });
    let address = node.address;
    let clients: Vec<_> = (0..16_u64)
        .map(|client| {
            std::thread::spawn(move || {
                let mut connection = crate::support::http::Client::connect(address).unwrap();
                let mut stored = Vec::new();
                for number in 0..6 {
                    let seed = client * 100 + number;
                    let body = bytes_of(seed, 1 << 20);
                    let answer = connection.put(&path_of(seed), &body);
                    match answer.map(|answer| answer.status) {
                        Ok(201) => stored.push(seed),
                        Ok(503) | Err(_) => {
                            connection = crate::support::http::Client::connect(address).unwrap();
                        }
                        other => panic!("{other:?}"),
                    }
                }
                stored
            })
        })
        .collect();
    let stored: Vec<u64> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(stored.len() > 40, "{}", stored.len());
    let mut client = node.client();
    for seed in stored {
        assert!(client.get(&path_of(seed)).unwrap().body == bytes_of(seed, 1 << 20));
    }
}

#[test]
fn the_engine_keeps_no_more_of_the_memory_than_was_set_aside_for_it() {
    let pool_bytes = ENGINE_BYTES + (49 << 20);
    let node = Node::start(Setup { geometry: geometry(16, 256 << 20), pool_bytes, ..Setup::default() });
    let free_bytes = buffers_free_bytes(&node);
    assert!(free_bytes >= 49 << 20, "{free_bytes}");
    // One block of the largest size is on its way in, and another still comes out.
    let body = bytes_of(1, 16 << 20);
    assert_eq!(node.put(&path_of(1), &body).status, 201);
    let mut upload = node.client();
    upload.send_head("PUT", &path_of(2), &[("Content-Length", "16777216")]).unwrap();
    upload.send(&body[..1 << 20]).unwrap();
    eventually("the upload has its memory", || buffers_free_bytes(&node) + (15 << 20) < free_bytes);
    let answer = node.client().get(&path_of(1)).unwrap();
    assert!(answer.status == 200 && answer.body == body, "{}", answer.detail());
    upload.send(&body[1 << 20..]).unwrap();
    assert_eq!(upload.read_answer(true).unwrap().status, 201);
}

#[test]
fn a_put_whose_room_does_not_come_in_time_is_503_with_retry_after() {
    // What is deleted rests for an hour before its zone is reset: there will be room, but not within the deadline.
    let engine = Options {
        deadline: Duration::from_millis(300),
        trash_rest: Duration::from_secs(3600),
        ..Options::default()
    };
    let node = Node::start(Setup { geometry: geometry(16, 8 << 20), engine, ..Setup::default() });
    let mut client = node.client();
    let mut put = |seed| client.put(&path_of(seed), &bytes_of(seed, 300_000)).unwrap();
    let stored = 150;
    assert!((0..stored).all(|seed| put(seed).status == 201));
    let mut other = node.client();
    for seed in 0..stored {
        assert_eq!(other.delete(&path_of(seed)).unwrap().status, 204);
    }
    let answer = (stored..10 * stored).map(put).find(|answer| answer.status != 201).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (503, "overloaded"), "{}", answer.detail());
    assert!(answer.header("retry-after").is_some());
    assert!(node.get_json("/v1/stats")["refused_overloaded"].as_u64().unwrap() > 0);
}

#[test]
fn more_requests_than_the_engine_takes_are_503_with_retry_after() {
    let engine = Options { requests_max: 0, ..Options::default() };
    let node = Node::start(Setup { engine, format: false, ..Setup::default() });
    let answer = node.client().get("/v1/damage").unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (503, "overloaded"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
}
