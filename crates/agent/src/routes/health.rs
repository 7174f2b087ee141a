//! How the drives are.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use imbrex_api::Problem;
use imbrex_api::health::{DriveHealth, LifeOrder, LifeStep, NodeHealth, PollOrder};
use imbrex_api::node::Accepted;
use imbrex_health::Finding;

use super::Agent;
use super::extract::{Name, Order};
use super::refusal::{self, Refusal};
use crate::health::{OrderError, now_unix_s};

/// Every drive's health in short, what bad drives have in common, and which one may be drained.
///
/// Answered from memory: no drive is asked for it.
#[utoipa::path(get, path = "/v1/health", tag = "health", responses((status = 200, body = NodeHealth)))]
pub(super) async fn node_health(State(agent): State<Arc<Agent>>) -> Json<NodeHealth> {
    agent.inventory.survey().await;
    Json(agent.node_health())
}

/// One drive's health: the verdict on each axis with its evidence, one next action, and the age of the data.
///
/// Answered from memory: the drive is not asked for it. POST asks it.
#[utoipa::path(get, path = "/v1/drives/{id}/health", tag = "health",
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, body = DriveHealth),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn drive_health(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
) -> Result<Json<DriveHealth>, Refusal> {
    agent.inventory.survey().await;
    agent.book.drive_health(&id).map(Json).ok_or_else(|| refusal::unknown_drive(&id))
}

/// Asks the drive by smartctl now. The answer comes later: `polling.asking` of its health is true until then.
///
/// A drive takes such an order once in 5 s. It is never woken for it.
#[utoipa::path(post, path = "/v1/drives/{id}/health", tag = "health", request_body = PollOrder,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 202, body = Accepted),
        (status = 400, description = "bad-request", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "drive-missing, no-device or drive-masked", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "asked-too-often", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn ask(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(order): Order<PollOrder>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    agent.inventory.survey().await;
    agent.book.order(&id, order.full, Instant::now()).map_err(|error| refuse(&id, error))?;
    let detail = format!("Drive {id} is asked as soon as its adapter and its engine allow.");
    Ok((StatusCode::ACCEPTED, Json(Accepted { detail })))
}

/// Tells the node of a step in a drive's life that a person, or the control plane, has taken.
///
/// `cleared` strikes out what was recorded of the drive before: it was looked at and is well, or was repaired.
/// `drain-started`, `drain-stopped` and `failed` tell the guards what becomes of it. The node moves no block for any of
/// them. It keeps them with the drive's history: where its root is in memory, the history has to be given back when it has
/// booted again (`PUT /v1/drives/{id}/history`).
#[utoipa::path(post, path = "/v1/drives/{id}/life", tag = "health", request_body = LifeOrder,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, description = "The drive's health from now on", body = DriveHealth),
        (status = 400, description = "bad-request", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn take_step(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(order): Order<LifeOrder>,
) -> Result<Json<DriveHealth>, Refusal> {
    agent.inventory.survey().await;
    let step = match order.step {
        LifeStep::DrainStarted => imbrex_health::LifeStep::DrainStarted,
        LifeStep::DrainStopped => imbrex_health::LifeStep::DrainStopped,
        LifeStep::Failed => imbrex_health::LifeStep::Failed,
        LifeStep::Cleared => imbrex_health::LifeStep::Cleared,
    };
    tracing::info!(drive = id, ?step, "a step in the drive's life");
    agent.book.record(&id, now_unix_s(), Finding::Life { step });
    agent.book.drive_health(&id).map(Json).ok_or_else(|| refusal::unknown_drive(&id))
}

fn refuse(id: &str, error: OrderError) -> Refusal {
    let problem = match error {
        OrderError::Unknown => return refusal::unknown_drive(id),
        OrderError::Missing => {
            let detail = format!("Drive {id} is not there: see whether it was pulled or lost its power.");
            Problem::new("drive-missing", 409, "The drive is missing", detail)
        }
        OrderError::NoDevice => {
            let detail =
                format!("Drive {id} has no device file that smartctl could open: it may be simulated.");
            Problem::new("no-device", 409, "The drive cannot be asked", detail)
        }
        OrderError::Masked(note) => {
            let detail =
                format!("Drive {id} is never asked by smartctl, because of the firmware note {note}");
            Problem::new("drive-masked", 409, "The drive must not be asked", detail)
        }
        OrderError::TooSoon(wait) => {
            let detail = format!(
                "Drive {id} was asked a moment ago, or is being asked: try again in {} s.",
                wait.as_secs().max(1)
            );
            Problem::new("asked-too-often", 429, "Asked too often", detail)
        }
    };
    problem.with_drive(id).into()
}
