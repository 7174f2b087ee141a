use std::time::Duration;

use imbrex_drive::server::Stopped;

use crate::support::node::{Node, Setup, eventually};
use crate::support::payload::{bytes_of, path_of};

#[test]
fn a_stop_finishes_what_is_in_flight_and_refuses_new_work_with_the_state() {
    let mut node = Node::start(Setup::default());
    let body = bytes_of(1, 1 << 20);
    let mut uploading = node.client();
    uploading.send_head("PUT", &path_of(1), &[("Content-Length", "1048576")]).unwrap();
    uploading.send(&body[..1000]).unwrap();
    let mut idle = node.client();
    assert_eq!(idle.get("/healthz").unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(50));
    node.begin_stop();
    eventually("the drive drains", || {
        node.client().get("/healthz").is_ok_and(|answer| answer.body == b"draining\n")
    });
    let refused = node.put(&path_of(2), b"x");
    assert_eq!((refused.status, refused.kind().as_str()), (503, "drive-unavailable"));
    assert_eq!(refused.json()["state"], "draining");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(node.client().get("/v1/blocks").unwrap().status, 503);
    assert!(idle.get("/healthz").is_err(), "an idle connection is closed");
    uploading.send(&body[1000..]).unwrap();
    assert_eq!(uploading.read_answer(true).unwrap().status, 201);
    assert_eq!(node.wait(), Stopped::InOrder);
}

#[test]
fn what_was_stored_before_a_stop_is_there_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let setup = || Setup { file: Some(file.clone()), ..Setup::default() };
    let node = Node::start(setup());
    for seed in 0..20 {
        assert_eq!(node.put(&path_of(seed), &bytes_of(seed, 50_000)).status, 201);
    }
    assert_eq!(node.client().delete(&path_of(7)).unwrap().status, 204);
    assert_eq!(node.wait(), Stopped::InOrder);
    let node = Node::start(setup());
    for seed in (0..20).filter(|seed| *seed != 7) {
        assert!(node.client().get(&path_of(seed)).unwrap().body == bytes_of(seed, 50_000));
    }
    assert_eq!(node.client().get(&path_of(7)).unwrap().status, 404);
}
