//! The order to format, and how orders are read.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use imbrex_api::drive::{DriveStatus, FormatOrder};
use imbrex_api::node::REPLACE_FOREIGN;
use imbrex_engine::Replace;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Refusal;

/// The largest body of an order in bytes.
const ORDER_BYTES_MAX: usize = 16 << 10;

/// `POST /v1/format` over the Unix socket: answers with the status when the drive serves.
pub(super) async fn format(State(app): State<Arc<App>>, body: Body) -> Result<Json<DriveStatus>, Refusal> {
    let order: FormatOrder = read_order(body).await?;
    let replace = match order.replace.as_deref() {
        None => Replace::Nothing,
        Some(REPLACE_FOREIGN) => Replace::Foreign,
        Some(text) => Replace::Drive(text.parse().map_err(|_| {
            Refusal::bad_request(format!(
                "`replace` is `{text}`: give the drive id of 32 hex digits, or `{REPLACE_FOREIGN}`"
            ))
        })?),
    };
    let order = imbrex_engine::FormatOrder {
        serial: meant_serial(&app, order.serial),
        replace,
        blocks_max: order.blocks_max.or(app.blocks_max),
    };
    app.engine.format(order).await?;
    Ok(Json(app.drive_status()))
}

/// The serial as the engine knows it. A drive without one is named by its ID, which the node may have chosen
/// otherwise than the engine does.
fn meant_serial(app: &App, serial: String) -> String {
    let identity = app.engine.identity();
    if identity.serial.is_none() && serial == app.id { identity.id() } else { serial }
}

/// An order out of a body.
pub(super) async fn read_order<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let body = to_bytes(body, ORDER_BYTES_MAX).await.map_err(|_| {
        Refusal::bad_request(format!("the order is not whole or has more than {ORDER_BYTES_MAX} bytes"))
            .closing()
    })?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(format!("the order cannot be read: {error}")))
}

/// An order over TCP.
pub(super) async fn refuse() -> Refusal {
    let detail = "a drive takes orders over its Unix socket only: ask the node's agent";
    Refusal::new("orders-are-local", StatusCode::FORBIDDEN, "Orders are not taken here", detail)
}
