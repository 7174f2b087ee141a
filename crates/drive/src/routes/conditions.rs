//! Entity tags, and the requests that depend on them (RFC 9110, section 13).

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::problem::Refusal;

/// The entity tag of a block: a strong one, since a block is immutable and another one under the same key has
/// another birth.
pub(crate) fn entity_tag(birth: u64, payload_bytes: u32) -> String {
    format!("\"{birth:x}-{payload_bytes:x}\"")
}

/// Whether a request's answer depends on the block's tag, so that it has to be known first.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

/// The answer to a read of a block with the tag `tag`, where the request's conditions call for another one than
/// the block.
pub(crate) fn unmet(headers: &HeaderMap, tag: &str) -> Option<Response> {
    if headers.contains_key(IF_MATCH) && !names(headers, IF_MATCH, tag, false) {
        return Some(
            precondition_failed("the block's tag is none of those that If-Match names").into_response(),
        );
    }
    if names(headers, IF_NONE_MATCH, tag, true) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        if let Ok(value) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, value);
        }
        return Some(response);
    }
    None
}

/// 412.
pub(crate) fn precondition_failed(detail: &'static str) -> Refusal {
    Refusal::new("precondition-failed", StatusCode::PRECONDITION_FAILED, "A condition is not met", detail)
}

/// Whether a put is to be refused where the block is there already: `If-None-Match: *`.
///
/// # Errors
///
/// Any other condition on a write: ignoring it would do what the client wanted to rule out.
pub(crate) fn put_only_if_absent(headers: &HeaderMap) -> Result<bool, Refusal> {
    refuse(headers, &IF_MATCH)?;
    let mut only_if_absent = false;
    for value in headers.get_all(IF_NONE_MATCH) {
        if value.as_bytes() != b"*" {
            return Err(Refusal::bad_request("a put takes no condition other than `If-None-Match: *`"));
        }
        only_if_absent = true;
    }
    Ok(only_if_absent)
}

/// Refuses a deletion that depends on a condition, for the same reason.
pub(crate) fn delete_unconditional(headers: &HeaderMap) -> Result<(), Refusal> {
    refuse(headers, &IF_MATCH)?;
    refuse(headers, &IF_NONE_MATCH)
}

fn refuse(headers: &HeaderMap, name: &HeaderName) -> Result<(), Refusal> {
    if headers.contains_key(name) {
        return Err(Refusal::bad_request(format!("{name} is not possible here: ask without it")));
    }
    Ok(())
}

/// Whether the list of tags in `header` names `tag`. The weak comparison takes `W/"x"` for `"x"`.
fn names(headers: &HeaderMap, header: HeaderName, tag: &str, weak: bool) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| {
            let one = one.trim();
            let one = if weak { one.strip_prefix("W/").unwrap_or(one) } else { one };
            one == "*" || one == tag
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: HeaderName, value: &str) -> Option<u16> {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        unmet(&headers, "\"1-2\"").map(|response| response.status().as_u16())
    }

    #[test]
    fn conditions_of_reads_are_weighed_as_rfc_9110_says() {
        assert_eq!(status(IF_NONE_MATCH, "\"1-2\""), Some(304));
        assert_eq!(status(IF_NONE_MATCH, "\"x\", W/\"1-2\""), Some(304));
        assert_eq!(status(IF_NONE_MATCH, "*"), Some(304));
        assert_eq!(status(IF_NONE_MATCH, "\"x\""), None);
        assert_eq!(status(IF_MATCH, "\"x\""), Some(412));
        assert_eq!(status(IF_MATCH, "W/\"1-2\""), Some(412));
        assert_eq!(status(IF_MATCH, "\"1-2\""), None);
        assert_eq!(status(IF_MATCH, "*"), None);
    }
}
