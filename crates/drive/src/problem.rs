//! How a request is refused: a problem after RFC 9457, with the headers that belong to its status.

use axum::http::header::{ALLOW, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use imbrex_api::Problem;
use imbrex_api::problem::MEDIA_TYPE;
use imbrex_engine::{EngineError, State};

/// What `Retry-After` says where the cause passes within moments, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");
/// The same where a drive mounts, is formatted or stops: moments are not enough.
const RETRY_AFTER_STATE_S: HeaderValue = HeaderValue::from_static("5");

/// The kind of the problem that something is full at the moment.
const OVERLOADED: &str = "overloaded";

/// Marks an answer that was refused because something was full: for the figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overloaded;

/// An answer that grants nothing.
#[derive(Debug)]
pub(crate) struct Refusal {
    problem: Box<Problem>,
    headers: HeaderMap,
}

impl Refusal {
    /// A refusal of the kind `kind` (kebab case) with its status, a title for the kind and a sentence for the
    /// case.
    pub(crate) fn new(
        kind: &str,
        status: StatusCode,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Problem::new(kind, status.as_u16(), title, detail);
        Self { problem: Box::new(problem), headers: HeaderMap::new() }
    }

    /// 400: the request cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new("bad-request", StatusCode::BAD_REQUEST, "The request is malformed", detail)
    }

    /// 503: something is full at the moment.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(OVERLOADED, StatusCode::SERVICE_UNAVAILABLE, "The drive is overloaded", detail)
            .with_header(RETRY_AFTER, RETRY_AFTER_S)
    }

    /// 503: the drive's state does not allow it.
    pub(crate) fn unavailable(state: &State) -> Self {
        let detail = EngineError::Unavailable { state: state.clone() }.to_string();
        let title = "The drive's state does not allow this";
        let mut refusal = Self::new("drive-unavailable", StatusCode::SERVICE_UNAVAILABLE, title, detail);
        refusal.problem.state = Some(state.name().to_owned());
        match state {
            State::Mounting | State::Formatting | State::Draining => {
                refusal.with_header(RETRY_AFTER, RETRY_AFTER_STATE_S)
            }
            _ => refusal,
        }
    }

    /// 431: the head of the request is longer than a connection may keep.
    pub(crate) fn head_too_large(bytes: usize, bytes_max: usize) -> Self {
        let detail =
            format!("the path and the headers have {bytes} bytes together, and may have {bytes_max}");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new("head-too-large", status, "The request's head is too large", detail).closing()
    }

    /// 404 for a path that this API does not have.
    pub(crate) fn no_such_path(path: &str) -> Self {
        let detail = format!("`{path}` is no part of this API");
        Self::new("no-such-path", StatusCode::NOT_FOUND, "No such path", detail)
    }

    /// 405 with the methods that the path has.
    pub(crate) fn method_not_allowed(method: &str, allowed: &'static str) -> Self {
        let detail = format!("{method} is not possible here: {allowed} is");
        Self::new("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail)
            .with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// 416 with the length of the block, where it is known.
    pub(crate) fn range(payload_bytes: u32, detail: impl Into<String>) -> Self {
        let title = "The range cannot be given";
        let refusal = Self::new("range-not-satisfiable", StatusCode::RANGE_NOT_SATISFIABLE, title, detail);
        match HeaderValue::try_from(format!("bytes */{payload_bytes}")) {
            Ok(value) => refusal.with_header(CONTENT_RANGE, value),
            Err(_) => refusal,
        }
    }

    /// The same with a header more.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same, and the connection ends with it: what else comes in on it is not read.
    pub(crate) fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The same with the key of the block in question.
    pub(crate) fn with_key(mut self, key: impl Into<String>) -> Self {
        self.problem.key = Some(key.into());
        self
    }

    /// The status.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.problem.status
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        let (kind, status, title) = match &error {
            EngineError::NotFound => ("block-not-found", StatusCode::NOT_FOUND, "No such block"),
            // Not 404, which must be sure, and not 503: to wait does not help.
            EngineError::Unknown { .. } => (
                "block-unknown",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The drive cannot tell whether it holds the block",
            ),
            EngineError::Conflict => ("block-conflict", StatusCode::CONFLICT, "Another block has this key"),
            EngineError::RangeNotSatisfiable { payload_bytes } => {
                return Self::range(*payload_bytes, detail);
            }
            EngineError::Corrupt { .. } => {
                ("block-corrupt", StatusCode::INTERNAL_SERVER_ERROR, "The block is damaged")
            }
            EngineError::Medium { .. } => {
                ("media-error", StatusCode::INTERNAL_SERVER_ERROR, "The drive cannot read the block")
            }
            EngineError::TooLarge { .. } => {
                ("block-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The block is too large for this drive")
            }
            EngineError::Full => ("drive-full", StatusCode::INSUFFICIENT_STORAGE, "The drive is full"),
            EngineError::IndexFull => ("index-full", StatusCode::INSUFFICIENT_STORAGE, "The index is full"),
            EngineError::Overloaded { .. } => return Self::overloaded(detail),
            EngineError::Unavailable { state } => return Self::unavailable(state),
            EngineError::FormatRefused { .. } => {
                ("format-refused", StatusCode::CONFLICT, "The drive was not formatted")
            }
            EngineError::Invalid { .. } => return Self::bad_request(detail),
        };
        Self::new(kind, status, title, detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem has strings and a number: it can always be written.
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let overloaded = self.problem.kind() == OVERLOADED;
        let mut response = (status, self.headers, body).into_response();
        if overloaded {
            response.extensions_mut().insert(Overloaded);
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_engine_has_its_status() {
        let text = || "x".to_owned();
        for (error, status) in [
            (EngineError::NotFound, 404),
            (EngineError::Unknown { zones: 1 }, 500),
            (EngineError::Conflict, 409),
            (EngineError::RangeNotSatisfiable { payload_bytes: 9 }, 416),
            (EngineError::Corrupt { detail: text() }, 500),
            (EngineError::Medium { detail: text() }, 500),
            (EngineError::TooLarge { payload_bytes_max: 9 }, 413),
            (EngineError::Full, 507),
            (EngineError::IndexFull, 507),
            (EngineError::Overloaded { what: "memory" }, 503),
            (EngineError::Unavailable { state: State::Draining }, 503),
            (EngineError::FormatRefused { reason: text() }, 409),
            (EngineError::Invalid { reason: text() }, 400),
        ] {
            assert_eq!(Refusal::from(error.clone()).status(), status, "{error:?}");
        }
    }

    #[test]
    fn a_state_that_refuses_is_named_and_a_passing_one_says_when_to_try_again() {
        let draining = Refusal::unavailable(&State::Draining);
        assert_eq!(draining.problem.state.as_deref(), Some("draining"));
        assert!(draining.headers.contains_key(RETRY_AFTER));
        let failed = Refusal::unavailable(&State::Failed { reason: "the drive is gone".to_owned() });
        assert!(!failed.headers.contains_key(RETRY_AFTER));
        assert!(failed.problem.detail.contains("gone"));
    }
}
