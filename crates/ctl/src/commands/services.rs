//! `imbrexctl services` and `imbrexctl clear`.

use imbrex_api::node::{Accepted, Service, Services};
use serde::Serialize;

use crate::error::Error;
use crate::session::Session;
use crate::size::human_bytes;
use crate::table::Table;

/// What `clear` tells programs.
#[derive(Serialize)]
struct Cleared {
    cleared: Vec<Accepted>,
}

/// Shows the services, and of those that are down why, what they said last, and what to type.
///
/// # Errors
/// Where the node does not answer.
pub(crate) async fn run(session: &Session) -> Result<(), Error> {
    let services = session.node()?.services().await?;
    let output = session.output;
    if output.is_json() {
        return output.json(&Services { services });
    }
    output.table(&list(&services))?;
    for service in &services {
        for line in story(service) {
            output.line(&line)?;
        }
    }
    Ok(())
}

/// Starts each of these, and forgets its failures.
///
/// # Errors
/// Where the node does not answer, or refuses one; those before it are started.
pub(crate) async fn clear(session: &Session, services: &[String]) -> Result<(), Error> {
    let node = session.node()?;
    let mut cleared = Vec::new();
    for service in services {
        let accepted = node.start_service(service).await?;
        if !session.output.is_json() {
            session.output.line(&accepted.detail)?;
        }
        cleared.push(accepted);
    }
    if session.output.is_json() { session.output.json(&Cleared { cleared }) } else { Ok(()) }
}

fn list(services: &[Service]) -> Table {
    let mut table =
        Table::new(&["SERVICE", "STATE", ">PID", ">RESTARTS", ">MEMORY", ">OOM KILLS", "LAST EXIT"]);
    for service in services {
        table.row([
            service.name.clone(),
            service.state.as_str().to_owned(),
            service.pid.map_or_else(String::new, |pid| pid.to_string()),
            service.restarts.to_string(),
            service.rss_bytes.map_or_else(String::new, human_bytes),
            service.oom_kills.to_string(),
            service.last_exit.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// Why a service is down, and what it said last.
fn story(service: &Service) -> Vec<String> {
    let Service { name, reason, last_lines, .. } = service;
    let said = last_lines.iter().map(|line| format!("{name} said: {line}"));
    let mut lines: Vec<String> =
        reason.iter().map(|reason| format!("{name}: {reason}")).chain(said).collect();
    if service.state == imbrex_api::node::ServiceState::Maintenance {
        lines.push(format!("next: imbrexctl clear {name}"));
    }
    lines
}
