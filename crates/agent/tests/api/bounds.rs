//! Clients that take more than their share.

use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{self, get, post};
use crate::process::Place;

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let place = Place::new();
    let agent = place.start().await;
    let answer = agent.send(post("/v1/drives/a/format", vec![b' '; 65 * 1024])).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
}

#[tokio::test]
async fn a_flood_of_silent_connections_locks_out_neither_the_local_socket_nor_anyone_after_it() {
    let place = Place::new();
    let agent = place.start().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(agent.address).await.unwrap());
    }
    assert_eq!(agent.send_locally(get("/healthz")).await.status, StatusCode::OK);
    let waiting = client::over_tls(agent.address, &agent.fingerprint, get("/healthz"));
    let waited = tokio::time::timeout(Duration::from_millis(500), waiting).await;
    assert!(waited.is_err(), "the bound on connections did not hold");
    drop(silent);
    assert_eq!(agent.send(get("/healthz")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_harms_nobody() {
    let place = Place::new();
    let agent = place.start().await;
    let mut stream = TcpStream::connect(agent.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert or a reset; never a page without TLS.
    stream.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(b"HTTP/"));
    assert_eq!(agent.send(get("/healthz")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let place = Place::new();
    let agent = place.start().await;
    let mut request = get("/healthz");
    request.headers_mut().insert("padding", "x".repeat(20 * 1024).parse().unwrap());
    assert_eq!(agent.send_locally(request).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}
