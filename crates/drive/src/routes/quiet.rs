//! The order to be quiet: for some seconds the engine does nothing of its own accord.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use imbrex_api::drive::{QuietGrant, QuietOrder};

use super::format::read_order;
use crate::app::App;
use crate::problem::Refusal;

/// `POST /v1/quiet` over the Unix socket.
pub(super) async fn quiet(State(app): State<Arc<App>>, body: Body) -> Result<Json<QuietGrant>, Refusal> {
    let order: QuietOrder = read_order(body).await?;
    let granted_us = app.engine.quiet(order.for_ms.saturating_mul(1000)).await?;
    Ok(Json(QuietGrant { granted_ms: granted_us / 1000 }))
}
