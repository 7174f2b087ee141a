//! The drives for tools that speak Redfish, read-only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use imbrex_api::Problem;
use serde_json::Value;

use super::Agent;
use super::extract::Name;
use super::refusal::{self, Refusal};
use crate::redfish;

/// Every answer says which version of OData it is (DSP0266, "Response headers").
const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");

fn answer(resource: Value) -> Response {
    ([(ODATA_VERSION, "4.0")], Json(resource)).into_response()
}

/// The versions of Redfish.
#[utoipa::path(get, path = "/redfish", tag = "redfish", responses((status = 200, body = Value)))]
pub(super) async fn versions() -> Response {
    answer(redfish::versions())
}

/// Redfish's root.
#[utoipa::path(get, path = "/redfish/v1/", tag = "redfish", responses((status = 200, body = Value)))]
pub(super) async fn root() -> Response {
    answer(redfish::root())
}

/// Redfish's list of chassis: this node.
#[utoipa::path(get, path = "/redfish/v1/Chassis", tag = "redfish", responses((status = 200, body = Value)))]
pub(super) async fn chassis_collection() -> Response {
    answer(redfish::chassis_collection())
}

/// This node as a chassis of Redfish's.
#[utoipa::path(get, path = "/redfish/v1/Chassis/node", tag = "redfish", responses((status = 200, body = Value)))]
pub(super) async fn chassis(State(agent): State<Arc<Agent>>) -> Response {
    agent.inventory.survey().await;
    answer(redfish::chassis(agent.node_health().level))
}

/// Redfish's list of drives.
#[utoipa::path(get, path = "/redfish/v1/Chassis/node/Drives", tag = "redfish",
    responses((status = 200, body = Value)))]
pub(super) async fn drives(State(agent): State<Arc<Agent>>) -> Response {
    let survey = agent.inventory.survey().await;
    answer(redfish::drives(survey.drives.iter().map(|drive| drive.entry.id.as_str())))
}

/// One drive as a `Drive` of Redfish's (DSP0268). A drive of which nobody knows how it is has no `Status.Health`.
#[utoipa::path(get, path = "/redfish/v1/Chassis/node/Drives/{id}", tag = "redfish",
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, body = Value),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn drive(State(agent): State<Arc<Agent>>, Name(id): Name) -> Result<Response, Refusal> {
    let survey = agent.inventory.survey().await;
    let drive = &survey.drive(&id).ok_or_else(|| refusal::unknown_drive(&id))?.entry;
    let verdict = agent.book.drive_health(&id).ok_or_else(|| refusal::unknown_drive(&id))?;
    let (used_percent, rpm) = agent.book.life_and_rotation(&id);
    Ok(answer(redfish::drive(drive, &verdict, used_percent, rpm)))
}
