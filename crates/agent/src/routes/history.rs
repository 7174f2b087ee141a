//! The drives' histories, to be kept where they outlive the node.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use imbrex_api::Problem;
use imbrex_api::health::{DriveHealth, KeptHistory};

use super::Agent;
use super::extract::{Name, Order};
use super::refusal::{self, Refusal};
use crate::health::KeepError;

/// A history may be this long, in bytes: a full one has some 100 KiB.
const HISTORY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// All that was recorded of a drive, to be kept elsewhere: a node that boots from memory forgets it.
#[utoipa::path(get, path = "/v1/drives/{id}/history", tag = "health",
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, body = KeptHistory),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "no-name: the drive tells neither WWN nor serial", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn get(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
) -> Result<Json<KeptHistory>, Refusal> {
    agent.inventory.survey().await;
    agent.book.kept_history(&id).map(Json).map_err(|error| refuse(&id, error))
}

/// Gives a drive's history back to the node, beside what it has recorded since.
///
/// The later of two facts counts, steps in the drive's life included, and to give the same history twice changes nothing.
/// Only a history of this very drive is taken, by its WWN and serial.
#[utoipa::path(put, path = "/v1/drives/{id}/history", tag = "health", request_body = KeptHistory,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, description = "The drive's health from now on", body = DriveHealth),
        (status = 400, description = "bad-request, or history-version", body = Problem,
            content_type = "application/problem+json"),
        (status = 404, description = "unknown-drive", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "no-name, another-drive or history-from-the-future", body = Problem,
            content_type = "application/problem+json")))]
pub(super) async fn put(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(kept): Order<KeptHistory, HISTORY_BYTES_MAX>,
) -> Result<Json<DriveHealth>, Refusal> {
    agent.inventory.survey().await;
    agent.book.take_history(&id, kept).map_err(|error| refuse(&id, error))?;
    tracing::info!(drive = id, "a history that was kept elsewhere was taken");
    agent.book.drive_health(&id).map(Json).ok_or_else(|| refusal::unknown_drive(&id))
}

fn refuse(id: &str, error: KeepError) -> Refusal {
    let problem = match error {
        KeepError::Unknown => return refusal::unknown_drive(id),
        KeepError::Nameless => {
            let detail =
                format!("Drive {id} tells neither WWN nor serial: whose history it is could not be told.");
            Problem::new("no-name", 409, "The drive has no name", detail)
        }
        KeepError::Another(of) => {
            let detail = format!("The history is that of {of}, and not of drive {id}.");
            Problem::new("another-drive", 409, "Another drive's history", detail)
        }
        KeepError::Version(version) => {
            let detail = format!("The history has version {version}, which this node does not read.");
            Problem::new("history-version", 400, "Another version", detail)
        }
        KeepError::Broken(reason) => {
            Problem::new("bad-request", 400, "Bad request", format!("The body is no history: {reason}."))
        }
        KeepError::FromTheFuture(seconds) => {
            let detail = format!(
                "The history tells of a time {seconds} s from now: see whether the node's clock is right, and try again."
            );
            Problem::new("history-from-the-future", 409, "The clock is wrong", detail)
        }
    };
    problem.with_drive(id).into()
}
