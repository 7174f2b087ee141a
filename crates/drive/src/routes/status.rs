//! How the drive is and what it has done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use imbrex_api::drive::{DamagePage, DamagedBlock, DriveStats, DriveStatus};
use imbrex_engine::{DAMAGE_LISTED_MAX, Damage, DamageKind, State as EngineState};
use imbrex_format::UNIT_BYTES;

use super::Origin;
use crate::app::App;
use crate::lists::{Topic, list_answer};
use crate::metrics::{MEDIA_TYPE, metrics_text};
use crate::problem::Refusal;

/// `GET /healthz`: 200 while the process does what it can for its drive, 503 when it has given the drive up or
/// stops. One word of text: the state.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let state = app.state();
    let status = match state {
        EngineState::Failed { .. } | EngineState::Draining => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (status, format!("{}\n", state.name())).into_response()
}

/// `GET /v1/drive`.
pub(super) async fn drive(State(app): State<Arc<App>>) -> Json<DriveStatus> {
    Json(app.drive_status())
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let text = metrics_text(&app).map_err(|error| {
        let title = "The figures cannot be written";
        Refusal::new("internal", StatusCode::INTERNAL_SERVER_ERROR, title, error.to_string())
    })?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

/// `GET /v1/damage`.
pub(super) async fn damage(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
) -> Result<Response, Refusal> {
    let mut room = app.lists.room::<Damage>(origin, Topic::State, DAMAGE_LISTED_MAX).await?;
    let damaged = app.engine.damage().await?;
    room.shrink::<Damage>(damaged.capacity());
    let status = app.engine.status();
    let page = DamagePage {
        blocks: Vec::new(),
        damaged_blocks: status.damaged_blocks.max(damaged.len() as u64),
        unknown_zones: status.unknown_zones,
    };
    let blocks = damaged.into_iter().map(|damage| DamagedBlock {
        key: damage.key.to_string(),
        zone: damage.zone,
        zone_offset_bytes: u64::from(damage.unit_offset) * UNIT_BYTES as u64,
        kind: match damage.kind {
            DamageKind::Checksum => "checksum",
            DamageKind::Medium => "medium",
        }
        .to_owned(),
        seen_us: damage.seen_us,
    });
    Ok(list_answer(&page, blocks, room))
}

/// `GET /v1/stats`.
pub(super) async fn stats(State(app): State<Arc<App>>) -> Json<DriveStats> {
    let (stats, figures) = (app.engine.stats(), &app.figures);
    Json(DriveStats {
        uptime_ms: u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        now: app.load(),
        connections: figures.connections.load(Ordering::Relaxed),
        connections_refused: figures.connections_refused.load(Ordering::Relaxed),
        requests: figures.requests.load(Ordering::Relaxed),
        uploads_broken_off: figures.uploads_broken_off.load(Ordering::Relaxed),
        stalled: figures.stalled.load(Ordering::Relaxed),
        puts: stats.puts,
        puts_already_stored: stats.puts_already_stored,
        gets: stats.gets,
        gets_us: figures.gets_us.load(Ordering::Relaxed),
        gets_by_time: figures.gets_by_time(),
        gets_absent: stats.gets_absent,
        deletes: stats.deletes,
        refused_overloaded: figures.refused_overloaded.load(Ordering::Relaxed),
        cancelled: stats.cancelled,
        groups: stats.groups,
        flushes: stats.flushes,
        device_reads: stats.device_reads,
        device_read_bytes: stats.device_read_bytes,
        device_writes: stats.device_writes,
        device_written_bytes: stats.device_written_bytes,
        payload_written_bytes: stats.payload_written_bytes,
        payload_read_bytes: stats.payload_read_bytes,
        index_false_matches: stats.index_false_matches,
        checksum_failures: stats.checksum_failures,
        read_errors: stats.read_errors,
        write_errors: stats.write_errors,
        flush_errors: stats.flush_errors,
        reset_errors: stats.reset_errors,
        zones_sealed: stats.zones_sealed,
        slowdowns: stats.slowdowns,
        zones_fenced: stats.zones_fenced,
        rewritten_blocks: stats.rewritten_blocks,
        zones_reclaimed: stats.zones_reclaimed,
        zones_reset: stats.zones_reset,
        resets_refused: stats.resets_refused,
        moved_blocks: stats.moved_blocks,
        moved_bytes: stats.moved_bytes,
        reclaim_read_bytes: stats.reclaim_read_bytes,
        carried_tombstones: stats.carried_tombstones,
        checkpoints: stats.checkpoints,
        checkpoints_failed: stats.checkpoints_failed,
        checkpoint_bytes: stats.checkpoint_bytes,
        slots_moved: stats.slots_moved,
        labels_renewed: stats.labels_renewed,
        scrubbed_records: stats.scrubbed_records,
        scrubbed_bytes: stats.scrubbed_bytes,
        scrub_errors: stats.scrub_errors,
        scrub_structure_errors: stats.scrub_structure_errors,
    })
}
