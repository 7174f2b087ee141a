//! The services that init keeps.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use imbrex_api::Problem;
use imbrex_api::node::{Accepted, Services};

use super::Agent;
use super::extract::Name;
use super::refusal::{self, Refusal};

/// Every service that init keeps.
#[utoipa::path(get, path = "/v1/services", tag = "services", responses((status = 200, body = Services),
    (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_services(State(agent): State<Arc<Agent>>) -> Result<Json<Services>, Refusal> {
    let survey = agent.inventory.survey().await;
    match &survey.init {
        Ok(status) => Ok(Json(Services { services: status.services.clone() })),
        Err(reason) => Err(refusal::init_unavailable(reason)),
    }
}

/// The last lines that a service wrote, oldest first, or a helper of init's: `plan`, `coldplug`, `configure`,
/// `network-prepare`, `pstore`, `health`. The header `imbrex-lines-lost` counts the older ones
/// that are gone.
#[utoipa::path(get, path = "/v1/services/{name}/log", tag = "services",
    params(("name" = String, Path, description = "The service's name, as the list gives it")),
    responses((status = 200, description = "The lines", body = String, content_type = "text/plain"),
        (status = 404, description = "unknown-service", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn service_log(
    State(agent): State<Arc<Agent>>,
    Name(name): Name,
) -> Result<Response, Refusal> {
    check_name(&agent, &name, true).await?;
    let log = agent.init.log(&name).await?;
    let mut text = log.lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert("imbrex-lines-lost", HeaderValue::from(log.lost));
    Ok(response)
}

/// Starts a service that is down and forgets its failures: the way out of maintenance.
#[utoipa::path(post, path = "/v1/services/{name}/start", tag = "services",
    params(("name" = String, Path, description = "The service's name, as the list gives it")),
    responses((status = 202, body = Accepted),
        (status = 404, description = "unknown-service", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "init-refused", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn start_service(
    State(agent): State<Arc<Agent>>,
    Name(name): Name,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    check_name(&agent, &name, false).await?;
    agent.init.start(&name).await?;
    agent.inventory.invalidate().await;
    Ok((
        StatusCode::ACCEPTED,
        Json(Accepted { detail: format!("{name} starts, and its failures are forgotten.") }),
    ))
}

/// Refuses a name that no service has; `helpers`: nor any helper of init's that has a log.
async fn check_name(agent: &Agent, name: &str, helpers: bool) -> Result<(), Refusal> {
    let survey = agent.inventory.survey().await;
    match &survey.init {
        Ok(status) if helpers && status.logs.iter().any(|log| log == name) => Ok(()),
        Ok(status) if status.services.iter().any(|service| service.name == name) => Ok(()),
        Ok(_) => Err(refusal::unknown_service(name)),
        Err(reason) => Err(refusal::init_unavailable(reason)),
    }
}
