//! Where a drive sits, and the lights on its slot.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use imbrex_api::Problem;
use imbrex_api::slot::{LightOrder, Slot};

use super::Agent;
use super::extract::{Name, Order};
use super::refusal::{self, Refusal};
use crate::enclosure::{EnclosureError, Light, Sitting};

/// The slot in which a drive sits, as its enclosure tells it; that of a missing drive, in which it sat last, while no other
/// sits in it.
#[utoipa::path(get, path = "/v1/drives/{id}/slot", tag = "drives",
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, body = Slot),
        (status = 404, description = "unknown-drive or no-slot", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "enclosure-busy", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "enclosure-late", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get_slot(State(agent): State<Arc<Agent>>, Name(id): Name) -> Result<Json<Slot>, Refusal> {
    let sitting = sitting(&agent, &id).await?;
    agent.enclosures.slot(&sitting).await.map(Json).map_err(|error| refuse(&id, &error))
}

/// Turns the light that shows a person the drive on or off.
#[utoipa::path(put, path = "/v1/drives/{id}/locate", tag = "drives", request_body = LightOrder,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, description = "Done: the slot as it is now", body = Slot),
        (status = 400, description = "bad-request", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown-drive or no-slot", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "enclosure-refused: the slot has no such light, or cannot set it", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "enclosure-busy", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "enclosure-late", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn locate(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(order): Order<LightOrder>,
) -> Result<Json<Slot>, Refusal> {
    light(&agent, &id, Light::Locate, order).await
}

/// Turns the light that says "faulty" on or off.
#[utoipa::path(put, path = "/v1/drives/{id}/fault", tag = "drives", request_body = LightOrder,
    params(("id" = String, Path, description = "The drive's ID, as the list gives it")),
    responses((status = 200, description = "Done: the slot as it is now", body = Slot),
        (status = 400, description = "bad-request", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown-drive or no-slot", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "enclosure-refused: the slot has no such light, or cannot set it", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "enclosure-busy", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "enclosure-late", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn fault(
    State(agent): State<Arc<Agent>>,
    Name(id): Name,
    Order(order): Order<LightOrder>,
) -> Result<Json<Slot>, Refusal> {
    light(&agent, &id, Light::Fault, order).await
}

async fn light(agent: &Agent, id: &str, light: Light, order: LightOrder) -> Result<Json<Slot>, Refusal> {
    let sitting = sitting(agent, id).await?;
    tracing::info!(drive = id, ?light, on = order.on, "light order");
    agent.enclosures.set(&sitting, light, order.on).await.map(Json).map_err(|error| refuse(id, &error))
}

async fn sitting(agent: &Agent, id: &str) -> Result<Sitting, Refusal> {
    let survey = agent.inventory.survey().await;
    let drive = &survey.drive(id).ok_or_else(|| refusal::unknown_drive(id))?.entry;
    // Another drive may bear the device file of one that went away.
    if drive.state == imbrex_api::node::DriveState::Missing {
        return Ok(Sitting::Gone(id.to_owned()));
    }
    drive.device.clone().map(Sitting::Disk).ok_or_else(|| refuse(id, &EnclosureError::NoSlot))
}

fn refuse(id: &str, error: &EnclosureError) -> Refusal {
    let problem = match error {
        EnclosureError::NoSlot => {
            let detail =
                format!("Drive {id} sits in no slot that an enclosure tells of, or another sits there now.");
            Problem::new("no-slot", 404, "No slot", detail)
        }
        EnclosureError::Busy => {
            let detail =
                format!("Drive {id}'s slot cannot be asked now: other enclosures have not answered yet.");
            Problem::new("enclosure-busy", 503, "The enclosures are busy", detail)
        }
        EnclosureError::Late => {
            let detail =
                format!("Drive {id}'s enclosure did not answer in time: whether it did it is not known.");
            Problem::new("enclosure-late", 504, "The enclosure did not answer", detail)
        }
        EnclosureError::Refused(error) => {
            let detail = format!("Drive {id}'s slot has no such light, or does not set it: {error}.");
            Problem::new("enclosure-refused", 409, "The enclosure refused", detail)
        }
    };
    problem.with_drive(id).into()
}
