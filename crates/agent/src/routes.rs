//! The API: what is answered where.
//!
//! Every route is registered together with its description, so that the OpenAPI document cannot
//! leave one out.

mod drives;
mod extract;
mod guard;
mod health;
mod health_metrics;
mod history;
mod history_csv;
mod metrics;
mod node;
mod page;
mod redfish;
mod refusal;
mod services;
mod slot;
mod smartctl_metrics;

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use imbrex_api::Problem;
use imbrex_api::health::NodeHealth;
use smartctl_parser::Smartctl;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::enclosure::Enclosures;
use crate::health::Book;
use crate::init_client::InitClient;
use crate::inventory::Inventory;
use crate::next_kernel::NextKernel;

/// What the routes work with.
pub(crate) struct Agent {
    /// The node's drives.
    pub(crate) inventory: Inventory,
    /// Init.
    pub(crate) init: InitClient,
    /// The fingerprint of the certificate of the HTTPS API.
    pub(crate) fingerprint: String,
    /// The node's configuration.
    pub(crate) configuration: PathBuf,
    /// The enclosures in which drives sit.
    pub(crate) enclosures: Enclosures,
    /// Where procfs is mounted.
    pub(crate) procfs: PathBuf,
    /// What loads the next image.
    pub(crate) next_kernel: NextKernel,
    /// The drives' histories.
    pub(crate) book: Arc<Book>,
    /// What asks the drives.
    pub(crate) smartctl: Arc<dyn Smartctl>,
}

impl AsRef<Inventory> for Agent {
    fn as_ref(&self) -> &Inventory {
        &self.inventory
    }
}

impl Agent {
    /// How all drives are, with what hinders their being watched.
    fn node_health(&self) -> NodeHealth {
        let left_behind = self.smartctl.left_behind() as u64;
        NodeHealth { smartctl_left_behind: left_behind, ..self.book.node_health() }
    }
}

/// The whole API.
pub(crate) fn router(agent: Arc<Agent>) -> Router {
    let (router, _) = described_routes().split_for_parts();
    router
        .fallback(refusal::no_such_path)
        .method_not_allowed_fallback(refusal::no_such_method)
        .layer(middleware::from_fn(guard::guard))
        .with_state(agent)
}

fn described_routes() -> OpenApiRouter<Arc<Agent>> {
    OpenApiRouter::with_openapi(description())
        .routes(routes!(node::get_node))
        .routes(routes!(node::power_off))
        .routes(routes!(node::reboot))
        .routes(routes!(node::kexec))
        .routes(routes!(node::health))
        .routes(routes!(drives::list_drives))
        .routes(routes!(drives::get_drive))
        .routes(routes!(drives::format_drive))
        .routes(routes!(drives::restart_drive))
        .routes(routes!(health::node_health))
        .routes(routes!(health::drive_health, health::ask))
        .routes(routes!(health::take_step))
        .routes(routes!(history::get, history::put))
        .routes(routes!(history_csv::export))
        .routes(routes!(redfish::versions))
        .routes(routes!(redfish::root))
        .routes(routes!(redfish::chassis_collection))
        .routes(routes!(redfish::chassis))
        .routes(routes!(redfish::drives))
        .routes(routes!(redfish::drive))
        .routes(routes!(slot::get_slot))
        .routes(routes!(slot::locate))
        .routes(routes!(slot::fault))
        .routes(routes!(services::list_services))
        .routes(routes!(services::service_log))
        .routes(routes!(services::start_service))
        .routes(routes!(metrics::metrics))
        .routes(routes!(page::page))
        .routes(routes!(openapi_document))
}

fn description() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Imbrex node")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The management API of one node. What is not known is null or \"unknown\". Errors are problem details \
             (RFC 9457) whose type begins with urn:imbrex:problem:.",
        ))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "node",
    responses((status = 200, description = "The OpenAPI description of this API", content_type = "application/json")))]
async fn openapi_document() -> Response {
    // Built when it is asked for, which is seldom: kept, it would be the agent's largest object.
    match described_routes().into_openapi().to_json() {
        Ok(document) => ([(CONTENT_TYPE, "application/json")], document).into_response(),
        Err(error) => {
            let detail = format!("The OpenAPI document could not be written: {error}.");
            refusal::Refusal::from(Problem::new("internal", 500, "The agent failed", detail)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_lists_every_route_of_the_contract() {
        let document = described_routes().into_openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        for (path, method) in [
            ("/", "get"),
            ("/healthz", "get"),
            ("/metrics", "get"),
            ("/v1/drives", "get"),
            ("/v1/drives/{id}", "get"),
            ("/v1/drives/{id}/format", "post"),
            ("/v1/drives/{id}/restart", "post"),
            ("/v1/drives/{id}/health", "get"),
            ("/v1/health/export.csv", "get"),
            ("/redfish/v1/Chassis/node/Drives/{id}", "get"),
            ("/v1/drives/{id}/health", "post"),
            ("/v1/drives/{id}/life", "post"),
            ("/v1/drives/{id}/history", "get"),
            ("/v1/drives/{id}/history", "put"),
            ("/v1/health", "get"),
            ("/v1/drives/{id}/slot", "get"),
            ("/v1/drives/{id}/locate", "put"),
            ("/v1/drives/{id}/fault", "put"),
            ("/v1/node", "get"),
            ("/v1/node/kexec", "post"),
            ("/v1/node/poweroff", "post"),
            ("/v1/node/reboot", "post"),
            ("/v1/openapi.json", "get"),
            ("/v1/services", "get"),
            ("/v1/services/{name}/log", "get"),
            ("/v1/services/{name}/start", "post"),
        ] {
            assert!(document["paths"][path][method]["responses"].is_object(), "{method} {path}");
        }
        for schema in [
            "Drive",
            "Drives",
            "DriveHealth",
            "NodeHealth",
            "Node",
            "Problem",
            "Services",
            "FormatOrder",
            "RestartOrder",
            "Accepted",
        ] {
            assert!(document["components"]["schemas"][schema].is_object(), "{schema}");
        }
    }
}
