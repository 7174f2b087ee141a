use crate::support::node::{Node, Setup, eventually};
use crate::support::payload::{bytes_of, path_of};

#[test]
fn the_status_tells_who_the_drive_is_and_how_full() {
    let node = Node::start(Setup::default());
    node.put(&path_of(1), &bytes_of(1, 100_000));
    eventually("the block is counted", || node.get_json("/v1/drive")["blocks"] == 1);
    let status = node.get_json("/v1/drive");
    assert_eq!(status["id"], "test-drive");
    assert_eq!(status["state"], "serving");
    assert_eq!(status["bus"], "simulated");
    assert_eq!(status["blocks_max"], 10_000);
    assert_eq!(status["data_port"], node.address.port());
    assert_eq!(status["drive_id"].as_str().map(str::len), Some(32));
    assert_eq!(status["geometry"]["zone_count"], 16);
    assert_eq!(status["capacity_bytes"], 16_u64 * (32 << 20));
    assert!(status["free_bytes"].as_u64().unwrap() > 300 << 20);
    let zones = status["zones"].as_object().unwrap();
    assert_eq!(zones.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 16);
}

#[test]
fn metrics_are_text_that_prometheus_reads_with_units_in_their_names() {
    let node = Node::start(Setup::default());
    node.put(&path_of(1), &bytes_of(1, 100_000));
    let text = || String::from_utf8(node.client().get("/metrics").unwrap().body).unwrap();
    eventually("the put is counted", || text().contains("\nimbrex_drive_puts_total 1\n"));
    let text = text();
    for line in [
        "imbrex_drive_state{state=\"serving\"} 1",
        "imbrex_drive_blocks 1",
        "imbrex_drive_payload_written_bytes_total 100000",
        "imbrex_drive_request_duration_seconds_count{operation=\"put\",status=\"201\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn health_is_200_with_the_state_in_a_word() {
    let node = Node::start(Setup::default());
    let answer = node.client().get("/healthz").unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"serving\n"[..]));
}
