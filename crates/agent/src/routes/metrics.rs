//! The node, its services and its drives as metrics for Prometheus.
//!
//! The registry is built anew for each scrape, out of one survey: what is not known has no sample, and a
//! drive that is forgotten leaves none behind.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use imbrex_api::Problem;
use imbrex_api::node::{Drive, DriveState, Node, Service, SmartStatus, ZoneConditions};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Agent;
use super::health_metrics::{Health, add_health};
use super::node::describe;
use super::refusal::Refusal;
use super::smartctl_metrics;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) type Labels = Vec<(&'static str, String)>;
pub(super) type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Metrics of the node, its services and its drives.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses((status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(agent): State<Arc<Agent>>) -> Result<Response, Refusal> {
    let survey = agent.inventory.survey().await;
    let node = describe(&agent, &survey.init);
    let services = survey.init.as_ref().map_or(&[][..], |status| &status.services);
    let drives: Vec<&Drive> = survey.drives.iter().map(|drive| &drive.entry).collect();
    let render = || {
        let mut text = String::new();
        agent.book.show_reports(|reports| smartctl_metrics::write(&mut text, reports))?;
        render(&mut text, &node, services, &drives, &Health::of(&agent.book))?;
        Ok::<_, fmt::Error>(text)
    };
    let text = render().map_err(|error| {
        Problem::new(
            "internal",
            500,
            "The agent failed",
            format!("The metrics could not be written: {error}."),
        )
    })?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

/// Writes the metrics and the end of the text.
fn render(
    text: &mut String,
    node: &Node,
    services: &[Service],
    drives: &[&Drive],
    health: &Health,
) -> fmt::Result {
    let mut registry = Registry::with_prefix("imbrex");
    add_node(&mut registry, node);
    add_services(&mut registry, services);
    add_drives(&mut registry, drives);
    add_health(&mut registry, health);
    encode(text, &registry)
}

/// A family of gauges that is registered already.
pub(super) fn gauges(registry: &mut Registry, name: &'static str, help: &'static str) -> Gauges {
    let family = Gauges::default();
    registry.register(name, help, family.clone());
    family
}

pub(super) fn set(family: &Gauges, labels: &Labels, value: Option<u64>) {
    if let Some(value) = value {
        family.get_or_create_owned(labels).set(as_f64(value));
    }
}

fn set_seconds(family: &Gauges, labels: &Labels, milliseconds: Option<u64>) {
    if let Some(milliseconds) = milliseconds {
        family.get_or_create_owned(labels).set(as_f64(milliseconds) / 1000.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double; it is exact up to 2^53, 8 PiB")]
fn as_f64(value: u64) -> f64 {
    value as f64
}

fn add_node(registry: &mut Registry, node: &Node) {
    let info = gauges(registry, "node_info", "1, with what the node is as labels");
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let labels = vec![
        ("name", text(&node.name)),
        ("version", node.version.clone()),
        ("kernel_release", text(&node.kernel_release)),
    ];
    set(&info, &labels, Some(1));
    let state = gauges(registry, "node_state", "1, with what the node does now as a label");
    set(&state, &vec![("state", node.state.as_str().to_owned())], Some(1));
    let uptime = gauges(registry, "node_uptime_seconds", "Time since the kernel started");
    set_seconds(&uptime, &vec![], node.uptime_ms);
    let total = gauges(registry, "node_memory_total_bytes", "Memory that the kernel manages");
    set(&total, &vec![], node.memory.total_bytes);
    let available = gauges(registry, "node_memory_available_bytes", "Memory that programs could be given");
    set(&available, &vec![], node.memory.available_bytes);
    let own = gauges(registry, "agent_memory_bytes", "Resident memory of the agent");
    set(&own, &vec![], node.agent_rss_bytes);
    let steps = "How often the clock was stepped since the boot, by half a second or more";
    let steps = gauges(registry, "node_clock_steps", steps);
    set(&steps, &vec![], Some(node.clock_steps));
    let stuck = "How many of init's helpers were killed for taking too long and have not died";
    let stuck = gauges(registry, "node_helpers_stuck", stuck);
    set(&stuck, &vec![], Some(node.helpers_stuck));
    let boot = gauges(registry, "node_boot_stage_seconds", "How long each stage of the boot took");
    for stage in &node.boot {
        set_seconds(&boot, &vec![("stage", stage.stage.clone())], stage.took_ms);
    }
}

fn add_services(registry: &mut Registry, services: &[Service]) {
    let state = gauges(registry, "service_state", "1, with what the service does now as a label");
    let restarts =
        gauges(registry, "service_restarts", "How often the service was started again since the boot");
    let memory = gauges(registry, "service_memory_bytes", "Resident memory of the service's process");
    let oom_kills =
        gauges(registry, "service_oom_kills", "How often the kernel killed the service for want of memory");
    let lines_lost = gauges(registry, "service_log_lines_lost", "Lines of its log that were thrown away");
    for service in services {
        let name = || ("service", service.name.clone());
        set(&state, &vec![name(), ("state", service.state.as_str().to_owned())], Some(1));
        set(&restarts, &vec![name()], Some(service.restarts));
        set(&memory, &vec![name()], service.rss_bytes);
        set(&oom_kills, &vec![name()], Some(service.oom_kills));
        set(&lines_lost, &vec![name()], Some(service.log_lines_lost));
    }
}

/// A number of a drive's entry; `None` where it is not known.
type Figure = fn(&Drive) -> Option<u64>;

/// The metrics that are one number of a drive's entry.
const FIGURES: [(&str, &str, Figure); 18] = [
    ("drive_capacity_bytes", "Whole size of the drive", |drive| drive.capacity_bytes),
    ("drive_blocks", "Blocks stored", |drive| drive.blocks_stored),
    ("drive_blocks_damaged", "Blocks known to be damaged", |drive| drive.blocks_damaged),
    (
        "drive_unknown_zones",
        "Zones that cannot be read and may hold blocks that nothing else tells of",
        |drive| drive.unknown_zones,
    ),
    ("drive_slow", "1 where the drive is many times slower than it was before", |drive| {
        drive.answered_ms_ago.map(|_| u64::from(drive.slow_since_unix_s.is_some()))
    }),
    ("drive_without_checkpoints", "1 where the drive keeps no checkpoints of its index", |drive| {
        drive.blocks_stored.map(|_| u64::from(drive.without_checkpoints.is_some()))
    }),
    ("drive_scrub_period_seconds", "Within this time everything on the drive is to be read once", |drive| {
        drive.scrub.map(|scrub| scrub.period_s)
    }),
    ("drive_scrub_zones", "Zones in which something lives", |drive| {
        drive.scrub.map(|scrub| u64::from(scrub.zones))
    }),
    ("drive_scrub_covered_zones", "Those of them that the scrub has read within its period", |drive| {
        drive.scrub.map(|scrub| u64::from(scrub.covered_zones))
    }),
    ("drive_scrub_due_zones", "Those of them that are due to be read", |drive| {
        drive.scrub.map(|scrub| u64::from(scrub.overdue_zones))
    }),
    ("drive_scrub_live_bytes", "Bytes of records that live", |drive| {
        drive.scrub.map(|scrub| scrub.live_bytes)
    }),
    ("drive_scrub_covered_bytes", "Those of them that the scrub has read within its period", |drive| {
        drive.scrub.map(|scrub| scrub.covered_bytes)
    }),
    (
        "drive_scrub_oldest_timestamp_seconds",
        "When the zone that has waited longest was last read",
        |drive| drive.scrub?.oldest_unix_s,
    ),
    ("drive_live_bytes", "Bytes of stored blocks", |drive| drive.bytes_live),
    ("drive_free_bytes", "Bytes that can still be written", |drive| drive.bytes_free),
    ("drive_data_port", "TCP port of the drive's data API", |drive| drive.data_port.map(u64::from)),
    ("drive_zone_count", "Zones of the drive", |drive| drive.zones.count),
    ("drive_smart_checked_timestamp_seconds", "When smartctl was last asked", |drive| {
        drive.smart.checked_at_unix_s
    }),
];

/// The condition of zones that a metric is labelled with.
type Condition = fn(&ZoneConditions) -> u64;

const CONDITIONS: [(&str, Condition); 7] = [
    ("conventional", |zones| zones.conventional),
    ("empty", |zones| zones.empty),
    ("open", |zones| zones.open),
    ("closed", |zones| zones.closed),
    ("full", |zones| zones.full),
    ("read-only", |zones| zones.read_only),
    ("offline", |zones| zones.offline),
];

fn add_drives(registry: &mut Registry, drives: &[&Drive]) {
    let info = gauges(registry, "drive_info", "1, with what the drive is as labels");
    let state = gauges(registry, "drive_state", "1 for the state that the drive is in, 0 for the others");
    let smart = gauges(registry, "drive_smart_status", "1 for SMART's overall status, 0 for the others");
    let age = gauges(registry, "drive_answer_age_seconds", "Time since the drive's process answered");
    let zones = gauges(registry, "drive_zones", "Zones by condition");
    for drive in drives {
        let id = || ("drive", drive.id.clone());
        set(&info, &info_labels(drive), Some(1));
        set_seconds(&age, &vec![id()], drive.answered_ms_ago);
        for each in DriveState::ALL {
            let labels = vec![id(), ("state", each.as_str().to_owned())];
            set(&state, &labels, Some(u64::from(each == drive.state)));
        }
        for each in SmartStatus::ALL {
            let labels = vec![id(), ("status", each.as_str().to_owned())];
            set(&smart, &labels, Some(u64::from(each == drive.smart.status)));
        }
        if let Some(conditions) = &drive.zones.conditions {
            for (name, condition) in CONDITIONS {
                set(&zones, &vec![id(), ("condition", name.to_owned())], Some(condition(conditions)));
            }
        }
    }
    for (name, help, figure) in FIGURES {
        let family = gauges(registry, name, help);
        for drive in drives {
            set(&family, &vec![("drive", drive.id.clone())], figure(drive));
        }
    }
}

fn info_labels(drive: &Drive) -> Labels {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        ("drive", drive.id.clone()),
        ("device", text(&drive.device)),
        ("wwn", text(&drive.wwn)),
        ("serial", text(&drive.serial)),
        ("model", text(&drive.model)),
        ("firmware", text(&drive.firmware)),
        ("drive_id", text(&drive.drive_id)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_a_drive_has_no_sample() {
        let known = Drive {
            id: "a".to_owned(),
            state: DriveState::Serving,
            blocks_stored: Some(7),
            model: Some("quo\"ted".to_owned()),
            ..Drive::default()
        };
        let unknown = Drive { id: "b".to_owned(), ..Drive::default() };
        let mut registry = Registry::with_prefix("imbrex");
        add_drives(&mut registry, &[&known, &unknown]);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("imbrex_drive_blocks{drive=\"a\"} 7"), "{text}");
        assert!(!text.contains("imbrex_drive_blocks{drive=\"b\"}"), "{text}");
        assert!(text.contains("imbrex_drive_state{drive=\"a\",state=\"serving\"} 1"), "{text}");
        assert!(text.contains("imbrex_drive_state{drive=\"a\",state=\"failed\"} 0"), "{text}");
        assert!(text.contains("imbrex_drive_smart_status{drive=\"b\",status=\"unknown\"} 1"), "{text}");
        assert!(text.contains("model=\"quo\\\"ted\""), "{text}");
    }
}
