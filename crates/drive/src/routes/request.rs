//! What requests have in common: keys, zones, classes, queries.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use imbrex_engine::{Class, Lifetime};
use imbrex_format::Key;
use serde::Deserialize;

use crate::problem::Refusal;

/// Blocks of one page where the client does not say.
const PAGE_BLOCKS: usize = 1_000;
/// Blocks of one page at most.
pub(crate) const PAGE_BLOCKS_MAX: usize = 10_000;

/// The key in a path: 64 hex digits, of either case.
pub(crate) struct BlockKey(pub(crate) Key);

impl<S: Send + Sync> FromRequestParts<S> for BlockKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(text): Path<String> = Path::from_request_parts(parts, state).await.map_err(path_refusal)?;
        parse_key(&text).map(Self).map_err(|detail| {
            Refusal::new("bad-key", axum::http::StatusCode::BAD_REQUEST, "The key is malformed", detail)
        })
    }
}

/// The zone in a path.
pub(crate) struct ZoneNumber(pub(crate) u32);

impl<S: Send + Sync> FromRequestParts<S> for ZoneNumber {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(text): Path<String> = Path::from_request_parts(parts, state).await.map_err(path_refusal)?;
        let zone = text.parse().map_err(|_| {
            Refusal::bad_request(format!("`{text}` is no zone: zones are numbered from 0 in decimal digits"))
        })?;
        Ok(Self(zone))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn path_refusal(rejection: PathRejection) -> Refusal {
    Refusal::bad_request(format!("the path cannot be read: {}", rejection.body_text()))
}

/// Reads a key, and says what is wrong with one that is none.
pub(super) fn parse_key(text: &str) -> Result<Key, String> {
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(format!("a key has 64 hex digits, and {wrong:?} is no hex digit"));
    }
    if text.len() != 64 {
        return Err(format!("{} digits were given, a key has 64", text.len()));
    }
    text.parse().map_err(|error| format!("the key cannot be read: {error}"))
}

/// The query of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Where to go on.
    pub(crate) cursor: Option<String>,
    /// How many blocks at most.
    limit: Option<usize>,
}

impl ListQuery {
    /// Reads a query.
    pub(crate) fn read(query: Result<Query<Self>, QueryRejection>) -> Result<Self, Refusal> {
        match query {
            Ok(Query(query)) => Ok(query),
            Err(rejection) => Err(Refusal::bad_request(format!(
                "the query cannot be read ({}): a listing takes `cursor` and `limit`",
                rejection.body_text()
            ))),
        }
    }

    /// How many blocks the page has at most.
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        let limit = self.limit.unwrap_or(PAGE_BLOCKS);
        if (1..=PAGE_BLOCKS_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(Refusal::bad_request(format!("the limit {limit} is not 1 to {PAGE_BLOCKS_MAX}")))
        }
    }
}

/// The class that `Imbrex-Class` names.
pub(crate) fn class_of(headers: &HeaderMap) -> Result<Class, Refusal> {
    match headers.get("imbrex-class").map(axum::http::HeaderValue::as_bytes) {
        None | Some(b"foreground") => Ok(Class::Foreground),
        Some(b"repair") => Ok(Class::Repair),
        Some(b"background") => Ok(Class::Background),
        Some(other) => Err(Refusal::bad_request(format!(
            "Imbrex-Class is `{}`, which is none of foreground, repair and background",
            String::from_utf8_lossy(other)
        ))),
    }
}

/// The lifetime that `Imbrex-Lifetime` announces for a block.
pub(crate) fn lifetime_of(headers: &HeaderMap) -> Result<Lifetime, Refusal> {
    match headers.get("imbrex-lifetime").map(axum::http::HeaderValue::as_bytes) {
        None | Some(b"unknown") => Ok(Lifetime::Unknown),
        Some(b"short") => Ok(Lifetime::Short),
        Some(b"long") => Ok(Lifetime::Long),
        Some(other) => Err(Refusal::bad_request(format!(
            "Imbrex-Lifetime is `{}`, which is none of unknown, short and long",
            String::from_utf8_lossy(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_64_hex_digits_of_either_case() {
        let lower = parse_key(&"ab".repeat(32)).unwrap();
        assert_eq!(parse_key(&"AB".repeat(32)).unwrap(), lower);
        assert_eq!(parse_key(&"a".repeat(63)).unwrap_err(), "63 digits were given, a key has 64");
        assert_eq!(parse_key("").unwrap_err(), "0 digits were given, a key has 64");
        assert!(parse_key(&"g".repeat(64)).unwrap_err().contains("'g'"));
        assert!(parse_key(&"é".repeat(32)).unwrap_err().contains("'é'"));
    }
}
