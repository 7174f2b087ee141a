use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use imbrex_engine::Options;

use crate::support::node::{Node, Setup, eventually, geometry};
use crate::support::payload::{bytes_of, key_of, path_of};

/// Flips one bit of a drive's file where `pattern` stands in it.
pub(crate) fn damage(file: &Path, pattern: &[u8]) {
    let content = std::fs::read(file).unwrap();
    let at =
        content.windows(pattern.len()).position(|window| window == pattern).expect("the pattern is there");
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&[content[at] ^ 1], at as u64).unwrap();
}

#[test]
fn a_damaged_block_is_500_never_wrong_bytes_and_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let setup = Setup { file: Some(file.clone()), geometry: geometry(12, 8 << 20), ..Setup::default() };
    let node = Node::start(setup);
    let body = bytes_of(1, 300_000);
    assert_eq!(node.put(&path_of(1), &body).status, 201);
    assert_eq!(node.put(&path_of(2), &bytes_of(2, 300_000)).status, 201);
    damage(&file, &body[200_000..200_032]);
    let answer = node.client().get(&path_of(1)).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (500, "block-corrupt"));
    assert_eq!(answer.json()["key"], key_of(1));
    let damaged = node.get_json("/v1/damage");
    assert_eq!(damaged["blocks"][0]["key"], key_of(1));
    assert_eq!(damaged["blocks"][0]["kind"], "checksum");
    eventually("the damage is counted", || node.get_json("/v1/drive")["damaged_blocks"] == 1);
    assert_eq!(node.client().get(&path_of(2)).unwrap().status, 200);
}

#[test]
fn a_drive_pulled_during_a_put_is_503_with_the_state_and_keeps_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let setup = || Setup { file: Some(file.clone()), ..Setup::default() };
    let node = Node::start(setup());
    let kept = bytes_of(1, 200_000);
    assert_eq!(node.put(&path_of(1), &kept).status, 201);
    let body = bytes_of(2, 1 << 20);
    let mut client = node.client();
    client.send_head("PUT", &path_of(2), &[("Content-Length", "1048576")]).unwrap();
    client.send(&body[..500_000]).unwrap();
    node.drive.pull();
    client.send(&body[500_000..]).unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.kind().as_str()), (503, "drive-unavailable"), "{answer:?}");
    assert_eq!(answer.json()["state"], "failed");
    eventually("the state is told", || node.get_json("/v1/drive")["state"] == "failed");
    assert_eq!(node.client().get("/healthz").unwrap().status, 503);
    assert_eq!(node.client().get(&path_of(1)).unwrap().status, 503);
    // The handle of the drive goes too: it holds the file.
    node.wait();

    let node = Node::start(setup());
    assert!(node.client().get(&path_of(1)).unwrap().body == kept);
    let second = node.client().get(&path_of(2)).unwrap();
    assert!(second.status == 404 || second.body == body, "half a block was kept");
}

#[test]
fn a_full_drive_is_507_and_reads_on() {
    let node = Node::start(Setup { geometry: geometry(24, 8 << 20), ..Setup::default() });
    let mut client = node.client();
    let mut stored = 0;
    let refused = loop {
        let answer = client.put(&path_of(stored), &bytes_of(stored, 300_000)).unwrap();
        if answer.status != 201 {
            break answer;
        }
        stored += 1;
        assert!(stored < 1000, "the drive is never full");
    };
    assert_eq!((refused.status, refused.kind().as_str()), (507, "drive-full"));
    assert!(stored > 10, "{stored}");
    for seed in 0..stored {
        assert!(client.get(&path_of(seed)).unwrap().body == bytes_of(seed, 300_000));
    }
}

#[test]
fn a_full_index_is_507() {
    let node = Node::start(Setup { blocks_max: Some(20), ..Setup::default() });
    let mut client = node.client();
    let first_refused =
        (0..100).map(|seed| client.put(&path_of(seed), b"x").unwrap()).find(|put| put.status != 201);
    let refused = first_refused.expect("the index is never full");
    assert_eq!((refused.status, refused.kind().as_str()), (507, "index-full"));
    assert_eq!(client.get(&path_of(0)).unwrap().status, 200);
}

#[test]
fn the_room_of_deleted_blocks_comes_back() {
    let engine = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let node = Node::start(Setup { geometry: geometry(24, 8 << 20), engine, ..Setup::default() });
    let mut client = node.client();
    let mut live = BTreeSet::new();
    let mut next = 0..;
    // Fills the drive, empties half of it, every second block, and fills it again: most of the room has to be there again.
    let mut filled = Vec::new();
    for _ in 0..4 {
        let mut stored = 0_usize;
        loop {
            let seed = next.next().unwrap();
            let answer = client.put(&path_of(seed), &bytes_of(seed, 300_000)).unwrap();
            if answer.status == 507 {
                assert_eq!(answer.kind(), "drive-full");
                break;
            }
            assert_eq!(answer.status, 201, "{answer:?}");
            live.insert(seed);
            stored += 1;
        }
        filled.push(stored);
        let doomed: Vec<u64> = live.iter().copied().step_by(2).collect();
        for seed in doomed {
            assert_eq!(client.delete(&path_of(seed)).unwrap().status, 204);
            live.remove(&seed);
        }
    }
    for &stored in &filled[1..] {
        assert!(stored * 3 > filled[0], "{filled:?} blocks were stored until the drive was full");
    }
    for seed in 0..next.start {
        let answer = client.get(&path_of(seed)).unwrap();
        let whole = live.contains(&seed) && answer.body == bytes_of(seed, 300_000);
        assert_eq!(answer.status, if whole { 200 } else { 404 }, "block {seed}");
    }
    eventually("reclaim is counted", || node.get_json("/v1/stats")["zones_reset"].as_u64().unwrap() > 0);
    let stats = node.get_json("/v1/stats");
    assert!(
        stats["zones_reclaimed"].as_u64().unwrap() > 0 && stats["moved_blocks"].as_u64().unwrap() > 0,
        "{stats}"
    );
    assert_eq!(stats["resets_refused"], 0);
    let text = String::from_utf8(client.get("/metrics").unwrap().body).unwrap();
    for name in
        ["zones_reset", "moved_bytes", "reclaim_read_bytes", "checkpoints", "scrubbed_bytes", "zones_fenced"]
    {
        assert!(text.contains(&format!("\nimbrex_drive_{name}_total ")), "{name} is missing in\n{text}");
    }
}
