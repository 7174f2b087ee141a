//! Problems as answers.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use imbrex_api::{Problem, problem};

use crate::init_client::InitError;

/// What a client is told to wait after a 503, in seconds.
const RETRY_AFTER_S: &str = "2";

/// An answer that is a problem.
#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}

/// Nothing is at this path.
pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    let detail = format!("Nothing is at {}: GET /v1/openapi.json lists what there is.", uri.path());
    Problem::new("not-found", 404, "No such path", detail).into()
}

/// Something is at this path, but not for this method.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not take {method}: GET /v1/openapi.json lists what it takes.", uri.path());
    Problem::new("method-not-allowed", 405, "Method not allowed", detail).into()
}

/// No drive has this ID.
pub(super) fn unknown_drive(id: &str) -> Refusal {
    let detail = format!("This node has no drive {id:?}: GET /v1/drives lists those that it has.");
    Problem::new("unknown-drive", 404, "No such drive", detail).with_drive(id).into()
}

/// No service has this name.
pub(super) fn unknown_service(name: &str) -> Refusal {
    let detail = format!("This node has no service {name:?}: GET /v1/services lists those that it has.");
    Problem::new("unknown-service", 404, "No such service", detail).into()
}

/// Init, which alone could tell or do it, said nothing: `reason` tells why.
pub(super) fn init_unavailable(reason: &str) -> Refusal {
    let detail = format!("Only init can do this, and {reason}.");
    Problem::new("init-unavailable", 503, "Init does not answer", detail).into()
}

impl From<InitError> for Refusal {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Refused(sentence) => {
                Problem::new("init-refused", 409, "Init refused", sentence).into()
            }
            InitError::Connect { .. } | InitError::Late { .. } | InitError::Answer { .. } => {
                init_unavailable(&error.to_string())
            }
        }
    }
}
