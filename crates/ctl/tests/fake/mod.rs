//! A data API in memory that does what it is told, faults included, and the program run against it.

#![allow(dead_code, reason = "every test file uses its own part of this")]

pub(crate) mod node;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use imbrex_api::drive::{DriveStatus, ListPage, ListedBlock, State as DriveState};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

/// What a fake drive does wrong.
#[derive(Default)]
pub(crate) struct Faults {
    /// So many requests for a block are answered 503 with Retry-After.
    pub(crate) busy: u32,
    /// Every PUT is answered 507.
    pub(crate) full: bool,
    /// Every PUT is answered 503 without Retry-After.
    pub(crate) read_only: bool,
    /// Blocks that come back with a flipped bit, and how often.
    pub(crate) flipped: HashMap<String, u32>,
    /// Blocks whose answer breaks off, and how often.
    pub(crate) truncated: HashMap<String, u32>,
    /// Blocks that are answered 500.
    pub(crate) corrupt: HashMap<String, &'static str>,
    /// How long every PUT takes.
    pub(crate) put_takes: Duration,
}

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) blocks: BTreeMap<String, Bytes>,
    pub(crate) faults: Faults,
    pub(crate) puts: u64,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_max: usize,
}

type Shared = Arc<Mutex<Store>>;

/// One fake drive, which serves until it is dropped.
pub(crate) struct FakeDrive {
    pub(crate) address: SocketAddr,
    pub(crate) drive_id: String,
    store: Shared,
    runtime: Option<Runtime>,
}

impl FakeDrive {
    pub(crate) fn start(number: u8) -> Self {
        Self::start_in(number, DriveState::Serving, None)
    }

    /// A drive that says of itself that it is in `state`, and why.
    pub(crate) fn start_in(number: u8, state: DriveState, state_reason: Option<&str>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = Shared::default();
        let drive_id = format!("{number:032x}");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let status = DriveStatus {
            id: format!("fake-{number}"),
            drive_id: Some(drive_id.clone()),
            state,
            state_reason: state_reason.map(str::to_owned),
            data_port: Some(address.port()),
            ..DriveStatus::default()
        };
        let router = Router::new()
            .route("/v1/drive", get(move || async move { axum::Json(status) }))
            .route("/v1/blocks", get(list))
            .route("/v1/blocks/{key}", get(get_block).put(put_block).delete(delete_block))
            .layer(DefaultBodyLimit::max(16 << 20))
            .with_state(store.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, drive_id, store, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.store().blocks.keys().cloned().collect()
    }

    /// Stores bytes behind the program's back; the key is theirs.
    pub(crate) fn plant(&self, bytes: &[u8]) -> String {
        let key = hex(&Sha256::digest(bytes));
        self.store().blocks.insert(key.clone(), Bytes::copy_from_slice(bytes));
        key
    }

    /// Pulls the drive: its port is closed, and so is every connection.
    pub(crate) fn pull(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for FakeDrive {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn put_block(
    State(store): State<Shared>,
    UrlPath(key): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if headers.get(header::CONTENT_LENGTH).is_none() {
        return problem(StatusCode::LENGTH_REQUIRED, "length-required", None);
    }
    let digest = Sha256::digest(&body);
    let expected = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest));
    if headers.get("content-digest").is_none_or(|given| *given != *expected) {
        return problem(StatusCode::BAD_REQUEST, "digest-mismatch", None);
    }
    let takes = {
        let mut store = store.lock().unwrap();
        store.puts += 1;
        store.in_flight += 1;
        store.in_flight_max = store.in_flight_max.max(store.in_flight);
        store.faults.put_takes
    };
    tokio::time::sleep(takes).await;
    let mut store = store.lock().unwrap();
    store.in_flight -= 1;
    if let Some(refusal) = busy(&mut store) {
        return refusal;
    }
    if store.faults.full {
        return problem(StatusCode::INSUFFICIENT_STORAGE, "full", None);
    }
    if store.faults.read_only {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "read-only", Some("read-only"));
    }
    let known = store.blocks.insert(key, body).is_some();
    if known { StatusCode::OK.into_response() } else { StatusCode::CREATED.into_response() }
}

async fn get_block(State(store): State<Shared>, UrlPath(key): UrlPath<String>) -> Response {
    let mut store = store.lock().unwrap();
    if let Some(refusal) = busy(&mut store) {
        return refusal;
    }
    let Some(bytes) = store.blocks.get(&key).cloned() else {
        return problem(StatusCode::NOT_FOUND, "not-found", None);
    };
    if let Some(kind) = store.faults.corrupt.get(&key) {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, kind, None);
    }
    if again(&mut store.faults.flipped, &key) {
        let mut bytes = bytes.to_vec();
        bytes[0] ^= 1;
        return bytes.into_response();
    }
    if again(&mut store.faults.truncated, &key) {
        let half = bytes.slice(..bytes.len() / 2);
        return ([(header::CONTENT_LENGTH, bytes.len())], Body::new(Half(Some(half)))).into_response();
    }
    bytes.into_response()
}

async fn delete_block(State(store): State<Shared>, UrlPath(key): UrlPath<String>) -> Response {
    match store.lock().unwrap().blocks.remove(&key) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => problem(StatusCode::NOT_FOUND, "not-found", None),
    }
}

/// The cursor is the last key of the page before, with characters that a query must escape.
async fn list(State(store): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let store = store.lock().unwrap();
    let limit: usize = query["limit"].parse::<usize>().unwrap().min(100);
    let after = query.get("cursor").map(|cursor| cursor.strip_prefix("&= ").unwrap().to_owned());
    let mut page = ListPage::default();
    for (key, bytes) in &store.blocks {
        if after.as_ref().is_some_and(|after| key <= after) {
            continue;
        }
        if page.blocks.len() == limit {
            page.next_cursor = page.blocks.last().map(|block| format!("&= {}", block.key));
            break;
        }
        page.blocks.push(ListedBlock {
            key: key.clone(),
            payload_bytes: u32::try_from(bytes.len()).unwrap(),
            ..ListedBlock::default()
        });
    }
    axum::Json(page).into_response()
}

fn busy(store: &mut Store) -> Option<Response> {
    store.faults.busy = store.faults.busy.checked_sub(1)?;
    let refusal = problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", None);
    Some(([(header::RETRY_AFTER, "0")], refusal).into_response())
}

fn again(times: &mut HashMap<String, u32>, key: &str) -> bool {
    times.get_mut(key).is_some_and(|left| left.checked_sub(1).map(|less| *left = less).is_some())
}

fn problem(status: StatusCode, kind: &str, state: Option<&str>) -> Response {
    let mut problem = imbrex_api::Problem::new(kind, status.as_u16(), kind, format!("the fake says {kind}"));
    problem.state = state.map(str::to_owned);
    (status, axum::Json(problem)).into_response()
}

/// A body that ends before its length.
struct Half(Option<Bytes>);

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn key_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The program, without what the caller's environment says.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrexctl"));
    command.env_remove("IMBREX_NODE").env_remove("IMBREX_FINGERPRINT").stdin(Stdio::null());
    command
}

/// The program with these drives and arguments.
pub(crate) fn on_drives(drives: &[&FakeDrive], arguments: &[&str]) -> Command {
    let mut command = program();
    for drive in drives {
        command.args(["--drive", &drive.url()]);
    }
    command.args(arguments);
    command
}

/// Runs the program on these drives.
pub(crate) fn run(drives: &[&FakeDrive], arguments: &[&str]) -> Output {
    on_drives(drives, arguments).output().unwrap()
}

/// Runs it, expects success, and gives back what it printed.
pub(crate) fn run_well(drives: &[&FakeDrive], arguments: &[&str]) -> String {
    let output = run(drives, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the program against a node.
pub(crate) fn on_node(node: &node::FakeNode, arguments: &[&str]) -> Output {
    let place = ["--node", &node.url(), "--fingerprint", &node.fingerprint];
    program().args(place).args(arguments).output().unwrap()
}

/// Whether the program, run against a node, has succeeded, and what it said on its output and its error output.
pub(crate) fn told_by_node(node: &node::FakeNode, arguments: &[&str]) -> (bool, String, String) {
    let output = on_node(node, arguments);
    (output.status.success(), String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
}

/// Puts a path and gives back its key.
pub(crate) fn put(drives: &[&FakeDrive], path: &Path) -> String {
    let json = run_well(drives, &["--json", "put", path.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    report["items"][0]["key"].as_str().unwrap().to_owned()
}

/// Bytes that look random and are the same at each run.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
