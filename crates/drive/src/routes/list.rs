//! Listings of blocks: the whole drive's and one zone's.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use imbrex_api::drive::{ListPage, ListedBlock};
use imbrex_engine::{BlockEntry, Cursor, Page};
use imbrex_format::UNIT_BYTES;

use super::Origin;
use super::request::{ListQuery, ZoneNumber, class_of};
use super::zones::check_zone;
use crate::app::App;
use crate::cursor::{Place, decode_cursor, encode_cursor};
use crate::lists::{Room, Topic, list_answer};
use crate::problem::Refusal;

/// `GET /v1/blocks?cursor=&limit=`.
pub(super) async fn blocks(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let class = class_of(&headers)?;
    let query = ListQuery::read(query)?;
    let limit = query.limit()?;
    let cursor = cursor_of(&app, &query, None)?;
    let room = app.lists.room::<BlockEntry>(origin, Topic::Blocks, limit).await?;
    let page = app.engine.list(cursor, limit, class).await?;
    Ok(list_page(&app, page, None, room))
}

/// `GET /v1/zones/{zone}/blocks?cursor=&limit=`.
pub(super) async fn zone_blocks(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
    ZoneNumber(zone): ZoneNumber,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let class = class_of(&headers)?;
    check_zone(&app, zone)?;
    let query = ListQuery::read(query)?;
    let limit = query.limit()?;
    let cursor = cursor_of(&app, &query, Some(zone))?;
    let room = app.lists.room::<BlockEntry>(origin, Topic::Blocks, limit).await?;
    let page = app.engine.list_zone(zone, cursor.unit_offset, limit, class).await?;
    Ok(list_page(&app, page, Some(zone), room))
}

fn drive_id(app: &App) -> [u8; 16] {
    app.engine.status().drive_id.as_ref().map_or([0; 16], |id| id.0)
}

/// The cursor of a query for the listing of `zone`, or of the drive; the beginning where it has none.
fn cursor_of(app: &App, query: &ListQuery, zone: Option<u32>) -> Result<Cursor, Refusal> {
    let Some(text) = query.cursor.as_deref() else {
        return Ok(Cursor::default());
    };
    let place = decode_cursor(text, &drive_id(app)).ok_or_else(|| {
        Refusal::bad_request(
            "the cursor is none of this drive's: give `next_cursor` of the page before, unchanged",
        )
    })?;
    if place.zone == zone {
        return Ok(place.cursor);
    }
    let listing = |zone: Option<u32>| match zone {
        Some(zone) => format!("zone {zone}"),
        None => "the whole drive".to_owned(),
    };
    let (its, asked) = (listing(place.zone), listing(zone));
    Err(Refusal::bad_request(format!("the cursor belongs to the listing of {its}, not to that of {asked}")))
}

fn list_page(app: &App, page: Page, zone: Option<u32>, room: Room) -> Response {
    let Page { entries, next } = page;
    let next_cursor = next.map(|cursor| encode_cursor(Place { zone, cursor }, &drive_id(app)));
    let blocks = entries.into_iter().map(|entry| ListedBlock {
        key: entry.key.to_string(),
        payload_bytes: entry.payload_bytes,
        zone: entry.zone,
        zone_offset_bytes: u64::from(entry.unit_offset) * UNIT_BYTES as u64,
    });
    list_answer(&ListPage { blocks: Vec::new(), next_cursor }, blocks, room)
}
