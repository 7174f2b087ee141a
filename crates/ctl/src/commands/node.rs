//! `imbrexctl node`.

use imbrex_api::node::{BootOutcome, BootStage, Node, Watchdog};

use crate::error::Error;
use crate::session::Session;
use crate::size::{human_bytes, human_ms};
use crate::table::Table;

/// Shows the node.
///
/// # Errors
/// Where the node does not answer.
pub(crate) async fn run(session: &Session) -> Result<(), Error> {
    let node = session.node()?.node().await?;
    let output = session.output;
    if output.is_json() {
        return output.json(&node);
    }
    output.table(&facts(&node))?;
    if node.boot.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.table(&boot(&node.boot))
}

fn facts(node: &Node) -> Table {
    let mut table = Table::new(&["NODE", ""]);
    let unknown = || "unknown".to_owned();
    let bytes = |bytes: Option<u64>| bytes.map_or_else(unknown, human_bytes);
    let state = match &node.reason {
        Some(reason) => format!("{} ({reason})", node.state.as_str()),
        None => node.state.as_str().to_owned(),
    };
    table.row(["name".into(), node.name.clone().unwrap_or_else(|| "none yet".into())]);
    table.row(["state".into(), state]);
    table.row(["version".into(), node.version.clone()]);
    table.row(["kernel".into(), node.kernel_release.clone().unwrap_or_else(unknown)]);
    table.row(["up for".into(), node.uptime_ms.map_or_else(unknown, human_ms)]);
    table.row(["configuration".into(), node.config_url.clone().unwrap_or_else(|| "none".into())]);
    table.row(["certificate".into(), node.certificate_sha256.clone().unwrap_or_else(unknown)]);
    table.row(["memory".into(), bytes(node.memory.total_bytes)]);
    table.row(["memory available".into(), bytes(node.memory.available_bytes)]);
    table.row(["memory of the agent".into(), bytes(node.agent_rss_bytes)]);
    table.row(["watchdog".into(), node.watchdog.as_ref().map_or_else(|| "none".into(), watchdog)]);
    for line in &node.last_crash {
        table.row(["died before this boot".into(), line.clone()]);
    }
    table
}

fn watchdog(watchdog: &Watchdog) -> String {
    let Watchdog { identity, timeout_s, reset_by_watchdog, starved, .. } = watchdog;
    let before = if *reset_by_watchdog { "; it has reset the machine before this boot" } else { "" };
    let hungry = starved.as_ref().map_or_else(String::new, |why| format!("; not fed any more: {why}"));
    format!("{identity}, {timeout_s} s{before}{hungry}")
}

fn boot(stages: &[BootStage]) -> Table {
    let mut table = Table::new(&["BOOT STAGE", ">AT", ">TOOK", "OUTCOME", "DETAIL"]);
    for stage in stages {
        table.row([
            stage.stage.clone(),
            human_ms(stage.started_ms),
            stage.took_ms.map(human_ms).unwrap_or_default(),
            outcome_word(stage.outcome).to_owned(),
            stage.detail.clone().unwrap_or_default(),
        ]);
    }
    table
}

const fn outcome_word(outcome: BootOutcome) -> &'static str {
    match outcome {
        BootOutcome::Done => "done",
        BootOutcome::Failed => "failed",
        BootOutcome::Running => "running",
        BootOutcome::Unknown => "unknown",
    }
}
