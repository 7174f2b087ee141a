//! What a request brings along: a name in its path, an order in its body.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use imbrex_api::Problem;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// An order may be this long, in bytes; it is some hundred.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A client has this long to send it.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The one name in the path: a drive's ID or a service's name.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => {
                Err(bad_request(format!("The name in the path cannot be read: {}.", error.body_text()))
                    .into())
            }
        }
    }
}

/// An order in JSON, at most `BYTES_MAX` bytes long. Its content type is not looked at: `curl -d` sends one that is wrong.
pub(super) struct Order<T, const BYTES_MAX: usize = BODY_BYTES_MAX>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync, const BYTES_MAX: usize> FromRequest<S> for Order<T, BYTES_MAX> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let reading = to_bytes(request.into_body(), BYTES_MAX);
        let body = match tokio::time::timeout(BODY_DEADLINE, reading).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) if is_too_long(&error) => {
                let detail = format!("The body is longer than {BYTES_MAX} bytes, which none here is.");
                return Err(Problem::new("too-large", 413, "Body too large", detail).into());
            }
            Ok(Err(error)) => return Err(bad_request(format!("The body broke off: {error}.")).into()),
            Err(_) => {
                let detail = format!("The body did not come within {} s.", BODY_DEADLINE.as_secs());
                return Err(Problem::new("timeout", 408, "Body too slow", detail).into());
            }
        };
        // No body is the order with nothing in it.
        let json = if body.is_empty() { &b"{}"[..] } else { &body };
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|error| bad_request(format!("The body is not an order in JSON: {error}.")).into())
    }
}

fn bad_request(detail: String) -> Problem {
    Problem::new("bad-request", 400, "Bad request", detail)
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
