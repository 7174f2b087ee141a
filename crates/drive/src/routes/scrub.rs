//! The scrub: how far it is, and the order to begin a full pass.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use imbrex_api::drive::ScrubStatus;

use crate::app::App;
use crate::problem::Refusal;

/// `GET /v1/scrub`.
pub(super) async fn show(State(app): State<Arc<App>>) -> Result<Json<ScrubStatus>, Refusal> {
    let status = app.engine.scrub().await?;
    Ok(Json(scrub_status(&status)))
}

/// `POST /v1/scrub`: 202, since the pass has only begun. Whoever may delete blocks may have them read: the order is
/// taken over either listener.
pub(super) async fn start(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<ScrubStatus>), Refusal> {
    let status = app.engine.start_scrub().await?;
    Ok((StatusCode::ACCEPTED, Json(scrub_status(&status))))
}

fn scrub_status(status: &imbrex_engine::ScrubStatus) -> ScrubStatus {
    let time = |unix_s: u64| (unix_s != 0).then_some(unix_s);
    ScrubStatus {
        period_s: status.period_s,
        pass_since_unix_s: time(status.pass_since_unix_s),
        zone: status.zone,
        zones: status.zones,
        covered_zones: status.covered_zones,
        overdue_zones: status.overdue_zones,
        live_bytes: status.live_bytes,
        covered_bytes: status.covered_bytes,
        oldest_unix_s: time(status.oldest_unix_s),
        slots_unix_s: time(status.slots_unix_s),
        records: status.records,
        bytes: status.bytes,
        errors: status.errors,
    }
}
