//! The drive's zones.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use imbrex_api::drive::{ZoneList, ZoneStatus};
use imbrex_engine::ZoneStatus as EngineZone;
use imbrex_zoned::{Condition, ZoneKind};

use super::Origin;
use super::request::ZoneNumber;
use crate::app::App;
use crate::lists::{Room, Topic, list_answer};
use crate::problem::Refusal;

/// `GET /v1/zones`.
pub(super) async fn all(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
) -> Result<Response, Refusal> {
    let room = room_for_all(&app, origin, Topic::State).await?;
    let zones = app.engine.zones().await?.into_iter().map(|zone| zone_status(&zone));
    Ok(list_answer(&ZoneList::default(), zones, room))
}

/// `GET /v1/zones/{zone}`.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
    ZoneNumber(number): ZoneNumber,
) -> Result<Json<ZoneStatus>, Refusal> {
    check_zone(&app, number)?;
    let _room = room_for_all(&app, origin, Topic::Lookup).await?;
    let zones = app.engine.zones().await?;
    let zone = zones.iter().find(|zone| zone.zone == number);
    zone.map(|zone| Json(zone_status(zone))).ok_or_else(|| no_such_zone(&app, number))
}

async fn room_for_all(app: &App, origin: Origin, topic: Topic) -> Result<Room, Refusal> {
    app.lists.room::<EngineZone>(origin, topic, app.engine.geometry().zone_count as usize).await
}

/// Refuses the number of a zone that the drive has not.
pub(super) fn check_zone(app: &App, number: u32) -> Result<(), Refusal> {
    if number < app.engine.geometry().zone_count { Ok(()) } else { Err(no_such_zone(app, number)) }
}

fn no_such_zone(app: &App, number: u32) -> Refusal {
    let count = app.engine.geometry().zone_count;
    let detail = format!("the drive has {count} zones, numbered from 0: there is no zone {number}");
    Refusal::new("zone-not-found", StatusCode::NOT_FOUND, "No such zone", detail)
}

fn zone_status(zone: &EngineZone) -> ZoneStatus {
    ZoneStatus {
        zone: zone.zone,
        kind: match zone.kind {
            ZoneKind::Conventional => "conventional",
            ZoneKind::SequentialWriteRequired => "sequential",
        }
        .to_owned(),
        condition: condition_name(zone.condition).to_owned(),
        role: zone.role.name().to_owned(),
        capacity_bytes: zone.capacity_bytes,
        written_bytes: zone.written_bytes,
        live_bytes: zone.live_bytes,
        incarnation: zone.incarnation,
    }
}

/// The name that the API has for a condition.
fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::NotWritePointer => "conventional",
        Condition::Empty => "empty",
        Condition::ImplicitOpen | Condition::ExplicitOpen => "open",
        Condition::Closed => "closed",
        Condition::Full => "full",
        Condition::ReadOnly => "read-only",
        Condition::Offline => "offline",
    }
}
