//! The paths of the data API, section by section.

mod blocks;
mod conditions;
mod format;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod list;
mod quiet;
mod request;
mod scrub;
mod status;
mod zones;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};

pub(crate) use self::request::PAGE_BLOCKS_MAX;
use crate::app::App;
use crate::problem::Refusal;

/// Over which of the drive's two listeners a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// TCP: blocks, listings and status.
    Network,
    /// The Unix socket, which only root of this node can open: orders too.
    Local,
}

/// The API as it is served to `origin`.
pub(crate) fn router(app: Arc<App>, origin: Origin) -> Router {
    let (format, quiet) = match origin {
        Origin::Local => (axum::routing::post(format::format), axum::routing::post(quiet::quiet)),
        Origin::Network => (axum::routing::post(format::refuse), axum::routing::post(format::refuse)),
    };
    Router::new()
        .route("/healthz", read_only(get(status::health)))
        .route("/metrics", read_only(get(status::metrics)))
        .route("/v1/drive", read_only(get(status::drive)))
        .route("/v1/stats", read_only(get(status::stats)))
        .route("/v1/damage", read_only(get(status::damage).layer(Extension(origin))))
        .route("/v1/blocks", read_only(get(list::blocks).layer(Extension(origin))))
        .route("/v1/blocks/{key}", blocks::methods())
        .route("/v1/zones", read_only(get(zones::all).layer(Extension(origin))))
        .route("/v1/zones/{zone}", read_only(get(zones::one).layer(Extension(origin))))
        .route("/v1/zones/{zone}/blocks", read_only(get(list::zone_blocks).layer(Extension(origin))))
        .route("/v1/scrub", with_allowed(get(scrub::show).post(scrub::start), "GET, HEAD, POST"))
        .route("/v1/format", with_allowed(format, "POST"))
        .route("/v1/quiet", with_allowed(quiet, "POST"))
        .fallback(async |request: Request| Refusal::no_such_path(request.uri().path()))
        .with_state(app)
}

/// A path that is only read.
fn read_only(methods: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    with_allowed(methods, "GET, HEAD")
}

/// The same, answering 405 as a problem to methods other than `allowed`.
fn with_allowed(methods: MethodRouter<Arc<App>>, allowed: &'static str) -> MethodRouter<Arc<App>> {
    methods.fallback(async move |request: Request| {
        Refusal::method_not_allowed(request.method().as_str(), allowed).into_response()
    })
}
