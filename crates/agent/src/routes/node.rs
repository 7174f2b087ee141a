//! The node as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use imbrex_api::Problem;
use imbrex_api::node::{Accepted, KexecOrder, Node, NodeState};

use super::Agent;
use super::extract::Order;
use super::refusal::Refusal;
use crate::configuration::Configuration;
use crate::init_client::{InitStatus, PowerOrder};
use crate::procfs;

/// The node: what it is, how it booted and how it is.
#[utoipa::path(get, path = "/v1/node", tag = "node", responses((status = 200, body = Node)))]
pub(super) async fn get_node(State(agent): State<Arc<Agent>>) -> Json<Node> {
    let survey = agent.inventory.survey().await;
    Json(describe(&agent, &survey.init))
}

/// Stops every service in order, flushes every drive, and switches the node off.
#[utoipa::path(post, path = "/v1/node/poweroff", tag = "node", responses(
    (status = 202, body = Accepted),
    (status = 409, description = "init-refused", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn power_off(
    State(agent): State<Arc<Agent>>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    order_power(&agent, PowerOrder::PowerOff, "The node stops its drives in order and switches off.").await
}

/// Stops every service in order, flushes every drive, and boots the node again.
#[utoipa::path(post, path = "/v1/node/reboot", tag = "node", responses(
    (status = 202, body = Accepted),
    (status = 409, description = "init-refused", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn reboot(State(agent): State<Arc<Agent>>) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    order_power(&agent, PowerOrder::Reboot, "The node stops its drives in order and boots again.").await
}

/// Fetches a kernel and its initrd, stops every service in order, flushes every drive, and goes on with that
/// kernel at once, without the machine's firmware. The kernel's command line stays as it is.
#[utoipa::path(post, path = "/v1/node/kexec", tag = "node", request_body = KexecOrder, responses(
    (status = 202, body = Accepted),
    (status = 409, description = "init-refused", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "kernel-not-loaded", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "init-unavailable", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn kexec(
    State(agent): State<Arc<Agent>>,
    Order(order): Order<KexecOrder>,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    if let Err(reason) = agent.next_kernel.load(&order).await {
        return Err(Problem::new(
            "kernel-not-loaded",
            422,
            "The next kernel was not loaded",
            format!("{reason}."),
        )
        .into());
    }
    order_power(
        &agent,
        PowerOrder::Kexec,
        "The node stops its drives in order and goes on with the next kernel.",
    )
    .await
}

async fn order_power(
    agent: &Agent,
    order: PowerOrder,
    detail: &str,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    agent.init.power(order).await?;
    agent.inventory.invalidate().await;
    Ok((StatusCode::ACCEPTED, Json(Accepted { detail: detail.to_owned() })))
}

/// Whether the agent answers. It says nothing of the drives: they are served without it.
#[utoipa::path(get, path = "/healthz", tag = "node",
    responses((status = 200, description = "The agent answers", body = String, content_type = "text/plain")))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// The node's description, out of what init said and what the kernel says.
pub(super) fn describe(agent: &Agent, init: &Result<InitStatus, String>) -> Node {
    let name = Configuration::read(&agent.configuration).map(|configuration| configuration.name);
    let own_uptime_ms = procfs::uptime_ms(&agent.procfs);
    let mut node = Node {
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: NodeState::Unknown,
        reason: None,
        config_url: None,
        uptime_ms: own_uptime_ms,
        boot: Vec::new(),
        certificate_sha256: Some(agent.fingerprint.clone()),
        kernel_release: procfs::kernel_release(&agent.procfs),
        memory: procfs::memory(&agent.procfs),
        agent_rss_bytes: procfs::own_rss_bytes(&agent.procfs),
        watchdog: None,
        last_crash: Vec::new(),
        clock_steps: 0,
        helpers_stuck: 0,
    };
    match init {
        Ok(status) => {
            node.state = status.node.state;
            node.reason.clone_from(&status.node.reason);
            node.config_url.clone_from(&status.node.config_url);
            node.uptime_ms = status.node.uptime_ms.or(own_uptime_ms);
            node.boot.clone_from(&status.boot);
            node.watchdog.clone_from(&status.node.watchdog);
            node.last_crash.clone_from(&status.node.last_crash);
            node.clock_steps = status.node.clock_steps;
            node.helpers_stuck = status.node.helpers_stuck;
        }
        Err(reason) => node.reason = Some(reason.clone()),
    }
    node
}
