//! The drives' histories as a table.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Agent;

/// What was recorded of every drive, in the format of Backblaze's drive statistics.
///
/// A line for each drive and day of the last thirty: `date`, `serial_number`, `model`, `capacity_bytes`, `failure`, and
/// `smart_N_normalized` and `smart_N_raw` of each attribute that any of the drives has. What nobody knows is empty.
/// `imbrex-health replay` reads it.
#[utoipa::path(get, path = "/v1/health/export.csv", tag = "health",
    responses((status = 200, description = "The table", content_type = "text/csv")))]
pub(super) async fn export(State(agent): State<Arc<Agent>>) -> Response {
    agent.inventory.survey().await;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (CONTENT_DISPOSITION, "attachment; filename=\"imbrex-drives.csv\""),
    ];
    (headers, agent.book.export()).into_response()
}
