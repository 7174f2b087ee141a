//! The drives.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use imbrex_api::Problem;
use imbrex_api::drive::DriveStatus;
use imbrex_api::node::{Accepted, Drive, Drives, FormatOrder, RestartOrder, ServiceState};

use super::Agent;
use super::extract::{Name, Order};
use super::refusal::{self, Refusal};
use crate::drive_client::{self, DriveCallError};
use crate::format_rules;
use crate::http_client::Answer;
use crate::inventory::{Survey, SurveyedDrive};

/// Every drive that the node has or had since the agent started.
///
/// A drive that does not answer never delays the list by more than a second; it is `unresponsive`, and
/// `answered_ms_ago` tells the age of what is told of it.
#[utoipa::path(get, path = "/v1/drives", tag = "drives", responses((status = 200, body = Drives)))]
pub(super) async fn list_drives(State(agent): State<Arc<Agent>>) -> Json<Drives> {
    let survey = agent.inventory.survey().await;
    Json(Drives { drives: survey.drives.iter().map(|drive| drive.entry.clone()).collect() })
}

/// One drive.
#[utoipa::path(get, path = "/v1/drives/{id}", tag = "drives",
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, body = Drive),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_drive(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
) -> Result<Json<Drive>, Refusal> {
    let survey = agent.inventory.survey().await;
    Ok(Json(find(&survey, &id)?.entry.clone()))
}

/// Formats a drive: destroys everything on it and writes a new label.
///
/// The body names the drive's serial, and where the drive holds data, what it holds. The answer is the
/// drive's own. A drive that a firmware note refuses (`refused_by`) is not formatted.
#[utoipa::path(post, path = "/v1/drives/{id}/format", tag = "drives", request_body = FormatOrder,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, description = "Formatted: the drive's status", body = DriveStatus),
        (status = 400, description = "bad-request", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "serial-mismatch, drive-refused, drive-holds-data, replace-mismatch or drive-missing",
            body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "drive-unavailable", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "drive-late: whether the drive was formatted is not known",
            body = Problem, content_type = "application/problem+json")))]
pub(super) async fn format_drive(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(order): Order<FormatOrder>,
) -> Result<Response, Refusal> {
    // What is checked is the present, not a survey of before some other order.
    agent.inventory.invalidate().await;
    let survey = agent.inventory.survey().await;
    let drive = find(&survey, &id)?;
    format_rules::check(&drive.entry, &order, agent.book.refusing_note(&id).as_deref())?;
    tracing::info!(drive = id, serial = order.serial, replace = order.replace, "format order handed on");
    let answer = match &drive.socket {
        Some(socket) => hand_on(&id, socket, &order).await,
        None => Err(unavailable(&id, "its process has no socket")),
    };
    agent.inventory.invalidate().await;
    answer
}

async fn hand_on(id: &str, socket: &Path, order: &FormatOrder) -> Result<Response, Refusal> {
    match drive_client::format(socket, order).await {
        Ok(answer) => Ok(as_response(answer)),
        Err(error @ DriveCallError::Late { .. }) => {
            let detail = format!(
                "Drive {id} may or may not be formatted: {error}. GET /v1/drives/{id} tells when it answers again."
            );
            Err(Problem::new("drive-late", 504, "The drive did not answer", detail).with_drive(id).into())
        }
        Err(error) => Err(unavailable(id, &error.to_string())),
    }
}

fn as_response(answer: Answer) -> Response {
    let mut response = (answer.status, answer.body).into_response();
    match answer.content_type {
        Some(content_type) => response.headers_mut().insert(CONTENT_TYPE, content_type),
        None => response.headers_mut().remove(CONTENT_TYPE),
    };
    response
}

/// Stops a drive's process in order, or kills it, and starts it again; also starts one that is down.
#[utoipa::path(post, path = "/v1/drives/{id}/restart", tag = "drives", request_body = RestartOrder,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 202, body = Accepted),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "drive-missing or init-refused", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn restart_drive(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(order): Order<RestartOrder>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let survey = agent.inventory.survey().await;
    let drive = find(&survey, &id)?;
    if let Err(reason) = &survey.init {
        return Err(refusal::init_unavailable(reason));
    }
    let Some(service) = &drive.entry.service else {
        return Err(unavailable(&id, "init runs no process for it"));
    };
    let is_down =
        matches!(drive.entry.service_state, Some(ServiceState::Maintenance | ServiceState::Stopped));
    let detail = if is_down {
        agent.init.start(service).await?;
        format!("{service} is started.")
    } else {
        agent.init.restart(service, order.force).await?;
        let how = if order.force { "killed" } else { "stopped in order" };
        format!("{service} is {how} and started again.")
    };
    agent.inventory.invalidate().await;
    Ok((StatusCode::ACCEPTED, Json(Accepted { detail })))
}

fn find<'a>(survey: &'a Survey, id: &str) -> Result<&'a SurveyedDrive, Refusal> {
    survey.drive(id).ok_or_else(|| refusal::unknown_drive(id))
}

fn unavailable(id: &str, reason: &str) -> Refusal {
    let detail = format!("Drive {id} takes no orders now: {reason}.");
    Problem::new("drive-unavailable", 503, "The drive takes no orders", detail).with_drive(id).into()
}
