//! What a node's API says of the services that its init keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_api::node::{Service, ServiceState};
use serde_json::Value;
use xtask::agent_client::AgentClient;
use xtask::command::until;

/// How long a service may take to come into a state: a crash loop takes its waits.
const STATE_TIME_MAX: Duration = Duration::from_secs(120);

/// The service of that name.
///
/// # Errors
/// Where the API does not answer, or there is none.
pub fn service(agent: &AgentClient, name: &str) -> Result<Service> {
    let services = agent.services()?.services;
    services.into_iter().find(|service| service.name == name).with_context(|| format!("there is no {name}"))
}

/// The service of that name, once it is in that state.
///
/// # Errors
/// Where it does not come into it.
pub fn service_in(agent: &AgentClient, name: &str, state: ServiceState) -> Result<Service> {
    let mut seen = None;
    let found = until(STATE_TIME_MAX, || {
        seen = service(agent, name).ok();
        seen.clone().filter(|service| service.state == state)
    });
    found.with_context(|| format!("{name} does not come to be {}: {seen:?}", state.as_str()))
}

/// A number that the API tells of a service.
///
/// # Errors
/// Where it tells none of that name.
pub fn number(agent: &AgentClient, name: &str, field: &str) -> Result<u64> {
    let services: Value = agent.get("/v1/services")?;
    let services = services["services"].as_array().cloned().unwrap_or_default();
    let service = services.iter().find(|service| service["name"] == name);
    let service = service.with_context(|| format!("there is no service {name}"))?;
    service[field].as_u64().with_context(|| format!("{name} has no number {field:?}: {service}"))
}

/// Which process each service has, and how often it was started again: what a failure elsewhere must leave alone.
#[derive(Clone, Debug)]
pub struct Untouched(BTreeMap<String, (Option<u32>, u64)>);

impl Untouched {
    /// Notes every service but these.
    ///
    /// # Errors
    /// Where the API does not answer.
    pub fn note(agent: &AgentClient, except: &[&str]) -> Result<Self> {
        let services = agent.services()?.services.into_iter();
        let others = services.filter(|service| !except.contains(&service.name.as_str()));
        Ok(Self(others.map(|service| (service.name, (service.pid, service.restarts))).collect()))
    }

    /// Checks that each of them still has the same process.
    ///
    /// # Errors
    /// Where one has not.
    pub fn check(&self, agent: &AgentClient) -> Result<()> {
        let now = Self::note(agent, &[])?;
        for (name, before) in &self.0 {
            let after = now.0.get(name);
            ensure!(after == Some(before), "{name} was {before:?} (process, restarts), and is {after:?}");
        }
        Ok(())
    }
}
