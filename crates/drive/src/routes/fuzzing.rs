//! With the feature `fuzzing`: decoders of requests that nobody else calls from outside.

use axum::extract::Query;
use axum::http::{HeaderMap, Uri};
use imbrex_engine::Class;
use imbrex_format::Key;

use super::request::ListQuery;
use super::{conditions, request};

/// The status of the answer that the conditions of a read call for; `None` where the block is sent.
#[must_use]
pub fn unmet_status(headers: &HeaderMap, tag: &str) -> Option<u16> {
    conditions::unmet(headers, tag).map(|response| response.status().as_u16())
}

/// Whether a put is refused where the block is there; `None` where its conditions are refused.
#[must_use]
pub fn put_only_if_absent(headers: &HeaderMap) -> Option<bool> {
    conditions::put_only_if_absent(headers).ok()
}

/// The class that a request names.
#[must_use]
pub fn class_of(headers: &HeaderMap) -> Option<Class> {
    request::class_of(headers).ok()
}

/// Reads a key.
///
/// # Errors
///
/// One sentence that says what is wrong with it.
pub fn parse_key(text: &str) -> Result<Key, String> {
    request::parse_key(text)
}

/// The cursor and the limit of a listing's query.
#[must_use]
pub fn list_query(query: &str) -> Option<(Option<String>, usize)> {
    let uri: Uri = format!("/v1/blocks?{query}").parse().ok()?;
    let query = ListQuery::read(Query::try_from_uri(&uri)).ok()?;
    let limit = query.limit().ok()?;
    Some((query.cursor, limit))
}
