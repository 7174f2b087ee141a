//! The node, its services, its page and its metrics.

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::fake_init::{self, FakeInit, service};
use crate::fetch_config;
use crate::process::Place;

#[tokio::test]
async fn without_init_the_node_is_unknown_and_says_why() {
    let place = Place::new();
    let agent = place.start().await;
    let node = agent.json("/v1/node").await;
    assert_eq!(node["state"], "unknown");
    assert!(node["reason"].as_str().unwrap().contains("init.sock"), "{node:#}");
    assert_eq!(node["name"], Value::Null);
    let answer = agent.send(get("/v1/services")).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "init-unavailable")
    );
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn the_node_is_as_init_tells_it_and_has_its_configured_name() {
    let place = Place::new();
    let _init = FakeInit::start(&place.run(), fake_init::status(&[], &[]));
    std::fs::write(place.run().join("node.toml"), "name = \"demo-1\"\n").unwrap();
    let agent = place.start().await;
    let node = agent.json("/v1/node").await;
    assert_eq!(
        (&node["name"], &node["state"], &node["uptime_ms"]),
        (&json!("demo-1"), &json!("running"), &json!(12_345))
    );
    assert_eq!((&node["boot"][0]["took_ms"], &node["helpers_stuck"]), (&json!(1200), &json!(2)));
    assert_eq!(node["certificate_sha256"], agent.fingerprint.as_str());
    assert!(node["memory"]["total_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn services_and_their_logs_are_told_with_what_was_lost() {
    let place = Place::new();
    let _init = FakeInit::start(&place.run(), fake_init::status(&[service("chrony", "ready")], &[]));
    let agent = place.start().await;
    let services = agent.json("/v1/services").await;
    assert_eq!(services["services"][0]["last_exit"], "killed by signal 9");
    assert_eq!(services["services"][0]["last_lines"][0], "a last line");
    let log = agent.send(get("/v1/services/chrony/log")).await;
    assert_eq!(
        (log.body.as_ref(), &log.headers["imbrex-lines-lost"]),
        (&b"one\ntwo\n"[..], &"3".parse().unwrap())
    );
    assert_eq!(agent.send(get("/v1/services/nothing/log")).await.problem(), "unknown-service");
}

#[tokio::test]
async fn a_service_in_maintenance_is_started_by_an_order_and_one_that_nobody_knows_is_not() {
    let place = Place::new();
    let init = FakeInit::start(&place.run(), fake_init::status(&[service("chronyd", "maintenance")], &[]));
    let agent = place.start().await;
    assert_eq!(agent.send(post("/v1/services/chronyd/start", "")).await.status, StatusCode::ACCEPTED);
    assert_eq!(agent.send(post("/v1/services/nothing/start", "")).await.problem(), "unknown-service");
    assert_eq!(init.orders(), [json!({"op": "start", "service": "chronyd"})]);
}

#[tokio::test]
async fn the_next_kernel_is_fetched_and_handed_over_before_init_is_told() {
    let place = Place::new();
    let init = FakeInit::start(&place.run(), fake_init::status(&[], &[]));
    let agent = place.start().await;
    let url = fetch_config::server(fetch_config::ok("a kernel")).await;
    let order = json!({"kernel_url": url, "initrd_url": url}).to_string();
    place.helper("echo \"$1 does not take it\" >&2; exit 1");
    let refused = agent.send(post("/v1/node/kexec", order.clone())).await;
    assert_eq!(refused.problem(), "kernel-not-loaded");
    assert_eq!(refused.json()["detail"], "kexec-load does not take it.");
    assert_eq!(init.orders(), [] as [Value; 0]);
    place.helper("test \"$1\" = kexec-load && grep -q 'a kernel' \"$2\" && grep -q 'a kernel' \"$3\"");
    let taken = agent.send(post("/v1/node/kexec", order.clone())).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
    assert_eq!(init.orders(), [json!({"op": "kexec"})]);
    let elsewhere = json!({"kernel_url": "https://x/", "initrd_url": url}).to_string();
    assert_eq!(agent.send(post("/v1/node/kexec", elsewhere)).await.problem(), "kernel-not-loaded");
}

#[tokio::test]
async fn orders_to_switch_off_and_to_reboot_reach_init() {
    let place = Place::new();
    let init = FakeInit::start(&place.run(), fake_init::status(&[], &[]));
    let agent = place.start().await;
    for path in ["/v1/node/poweroff", "/v1/node/reboot"] {
        assert_eq!(agent.send(post(path, "")).await.status, StatusCode::ACCEPTED);
    }
    assert_eq!(init.orders(), [json!({"op": "poweroff"}), json!({"op": "reboot"})]);
}

#[tokio::test]
async fn an_order_from_another_sites_page_does_not_reach_init() {
    let place = Place::new();
    let init = FakeInit::start(&place.run(), fake_init::status(&[], &[]));
    let agent = place.start().await;
    let mut order = post("/v1/node/poweroff", "");
    order.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(agent.send(order).await.problem(), "cross-site");
    assert_eq!(init.orders(), [] as [Value; 0]);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_sentence() {
    let place = Place::new();
    let agent = place.start().await;
    let answer = agent.send(get("/v2/anything")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    let answer = agent.send(post("/v1/node", "")).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
    );
    let answer = agent.send(get("/v1/drives/%FF")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::BAD_REQUEST, "bad-request"));
}

#[tokio::test]
async fn metrics_and_the_page_and_the_openapi_document_are_served() {
    let place = Place::new();
    let _init = FakeInit::start(
        &place.run(),
        fake_init::status(&[service("drive@a", "ready")], &[fake_init::drive("a", &place.run())]),
    );
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    let metrics = agent.send(get("/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "imbrex_node_state{state=\"running\"} 1",
        "imbrex_node_helpers_stuck{} 2",
        "imbrex_drive_state{drive=\"a\",state=\"serving\"} 1",
        "imbrex_drive_blocks{drive=\"a\"} 42",
        "imbrex_service_restarts{service=\"drive@a\"} 2",
        "# EOF",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    let page = agent.send(get("/")).await;
    assert_eq!(page.headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(page.headers.contains_key("content-security-policy"));
    assert_eq!(agent.json("/v1/openapi.json").await["info"]["title"], "Imbrex node");
}
