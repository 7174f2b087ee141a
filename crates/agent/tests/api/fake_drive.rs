//! A drive's process that behaves as a test wants.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use imbrex_api::Problem;
use imbrex_api::drive::{DriveStats, DriveStatus, FormatOrder, QuietGrant, QuietOrder, ScrubStatus};
use tokio::net::UnixListener;

/// How the process behaves.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Says this.
    Says(Box<DriveStatus>),
    /// Takes connections and never answers.
    Silent,
    /// Answers with this text.
    Text(String),
}

/// A fake drive.
#[derive(Clone)]
pub(crate) struct FakeDrive {
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    behaviour: Behaviour,
    asked: usize,
    orders: Vec<FormatOrder>,
    stats: DriveStats,
    scrub: Option<ScrubStatus>,
    quiet_refusals: usize,
    quiet_orders: Vec<u64>,
}

/// A drive that serves, with this ID and serial.
pub(crate) fn serving(id: &str, serial: &str) -> DriveStatus {
    DriveStatus {
        id: id.to_owned(),
        drive_id: Some("00112233445566778899aabbccddeeff".to_owned()),
        serial: Some(serial.to_owned()),
        model: Some("FAKE 1".to_owned()),
        bus: "nvme".to_owned(),
        path: format!("/dev/{id}"),
        capacity_bytes: 4 << 30,
        state: imbrex_api::drive::State::Serving,
        data_port: Some(7501),
        blocks: Some(42),
        live_bytes: Some(1 << 20),
        free_bytes: Some(3 << 30),
        ..DriveStatus::default()
    }
}

impl FakeDrive {
    /// Listens as `drive-ID.sock` in `run_dir`.
    pub(crate) fn start(run_dir: &Path, id: &str, behaviour: Behaviour) -> Self {
        let listener = UnixListener::bind(run_dir.join(format!("drive-{id}.sock"))).unwrap();
        let state = Arc::new(Mutex::new(Inner {
            behaviour,
            asked: 0,
            orders: Vec::new(),
            stats: DriveStats::default(),
            scrub: None,
            quiet_refusals: 0,
            quiet_orders: Vec::new(),
        }));
        let drive = Self { state };
        let router = Router::new()
            .route("/v1/drive", get(tell))
            .route("/v1/stats", get(stats))
            .route("/v1/scrub", get(scrub))
            .route("/v1/quiet", post(quiet))
            .route("/v1/format", post(format))
            .with_state(drive.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        drive
    }

    /// Behaves otherwise from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// Tells these counters from now on.
    pub(crate) fn count(&self, stats: DriveStats) {
        self.state.lock().unwrap().stats = stats;
    }

    /// Tells that its scrub is so far from now on; before that it has no answer to this.
    pub(crate) fn scrubs(&self, scrub: ScrubStatus) {
        self.state.lock().unwrap().scrub = Some(scrub);
    }

    /// Refuses the next quiet times, so many.
    pub(crate) fn refuse_quiet(&self, times: usize) {
        self.state.lock().unwrap().quiet_refusals = times;
    }

    /// For how long it was asked to be quiet, each time.
    pub(crate) fn quiet_orders(&self) -> Vec<u64> {
        self.state.lock().unwrap().quiet_orders.clone()
    }

    /// How often its status was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// The format orders that it got.
    pub(crate) fn orders(&self) -> Vec<FormatOrder> {
        self.state.lock().unwrap().orders.clone()
    }
}

async fn tell(State(drive): State<FakeDrive>) -> Response {
    let behaviour = {
        let mut state = drive.state.lock().unwrap();
        state.asked += 1;
        state.behaviour.clone()
    };
    match behaviour {
        Behaviour::Says(status) => Json(status).into_response(),
        Behaviour::Text(text) => text.into_response(),
        Behaviour::Silent => std::future::pending().await,
    }
}

async fn stats(State(drive): State<FakeDrive>) -> Json<DriveStats> {
    Json(drive.state.lock().unwrap().stats)
}

async fn scrub(State(drive): State<FakeDrive>) -> Response {
    match drive.state.lock().unwrap().scrub {
        Some(scrub) => Json(scrub).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn quiet(State(drive): State<FakeDrive>, Json(order): Json<QuietOrder>) -> Response {
    let mut state = drive.state.lock().unwrap();
    state.quiet_orders.push(order.for_ms);
    if order.for_ms > 0 && state.quiet_refusals > 0 {
        state.quiet_refusals -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response();
    }
    Json(QuietGrant { granted_ms: order.for_ms }).into_response()
}

/// Refuses the serial `S-refused` as a drive does that sees what the agent could not see.
async fn format(State(drive): State<FakeDrive>, Json(order): Json<FormatOrder>) -> Response {
    let mut state = drive.state.lock().unwrap();
    state.orders.push(order.clone());
    if order.serial == "S-refused" {
        let problem = Problem::new("drive-in-use", 409, "In use", "The drive is mounted.");
        return (
            StatusCode::CONFLICT,
            [(CONTENT_TYPE, "application/problem+json")],
            Json(problem).into_response().into_body(),
        )
            .into_response();
    }
    if let Behaviour::Says(status) = &mut state.behaviour {
        status.state = imbrex_api::drive::State::Serving;
        status.drive_id = Some("ffffffffffffffffffffffffffffffff".to_owned());
        return Json(status.clone()).into_response();
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
