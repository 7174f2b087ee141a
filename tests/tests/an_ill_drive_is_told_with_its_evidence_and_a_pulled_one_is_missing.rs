//! An ill drive is told with its evidence, and a pulled one is missing: of three emulated NVMe drives one raises a
//! critical warning while it runs, one has a sector in every zone that cannot be read, and one is pulled out. The first
//! is failing after it was asked once, the second is told ill by the errors of its engine alone, and the third is not
//! there and not ill.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_api::health::{Action, Axis, AxisHealth, DriveHealth, Level, Source};
use imbrex_api::node::Drive;
use imbrex_tests::guest::Guest;
use serde_json::json;
use xtask::agent_client::AgentClient;
use xtask::command::until;
use xtask::http_client::Connection;
use xtask::node::DriveKind;

/// The drives, and the place in each zone of the second one that cannot be read: behind the zone's header and its first
/// records, before what a first batch fills.
const DRIVES: DriveKind =
    DriveKind::BadSectors { count: 3, size_bytes: 1 << 30, offset_bytes: (1 << 20) + 40_960 };

/// Blocks that are put on the drive with bad sectors, and their length: more than lies before the bad sector.
const BLOCKS: u8 = 6;
const BLOCK_BYTES: usize = 1 << 20;

/// Bits of NVMe's critical warning: the temperature is beyond a threshold; reliability is degraded.
const WARNING_TEMPERATURE: u8 = 2;
const WARNING_RELIABILITY: u8 = 4;

/// A question, and what follows from it, on a translated guest of a busy machine.
const TIME_MAX: Duration = Duration::from_secs(120);

#[test]
fn an_ill_drive_is_told_with_its_evidence_and_a_pulled_one_is_missing() -> Result<()> {
    let mut guest = Guest::start("health", DRIVES, false)?;
    guest.node.wait("Booting the node")?;
    let drives = guest.node.format_drives()?;
    let agent = guest.node.agent()?;
    let by_serial = |serial: &str| {
        let drive = drives.iter().find(|drive| drive.serial.as_deref() == Some(serial));
        drive.with_context(|| format!("there is no drive {serial}"))
    };
    let (warning, unreadable, pulled) =
        (by_serial("IMBREX0001")?, by_serial("IMBREX0002")?, by_serial("IMBREX0003")?);

    warned_drive_is_failing(&mut guest, &agent, &warning.id)?;
    unreadable_drive_is_told_by_its_engine(&guest, &agent, unreadable)?;
    pulled_drive_is_missing(&mut guest, &agent, &pulled.id)?;
    node_and_redfish_say_the_same(&agent, [&warning.id, &unreadable.id, &pulled.id])?;
    guest.node.power_off()?;
    Ok(())
}

fn warned_drive_is_failing(guest: &mut Guest, agent: &AgentClient, id: &str) -> Result<()> {
    let first = health_when(agent, id, |health| health.polling.asked_at_unix_s.is_some())?;
    ensure!(first.level == Level::Healthy, "before anything is wrong: {first:#?}");
    let asked = |warning: u8, guest: &mut Guest| {
        guest.node.machine().qmp().set_property("nvme1", "smart_critical_warning", &json!(warning))?;
        ask(agent, id)
    };
    let hot = asked(WARNING_TEMPERATURE, guest)?;
    ensure!(hot.level == Level::Degraded && hot.action == Action::Cool, "heat alone: {hot:#?}");
    let failing = asked(WARNING_RELIABILITY, guest)?;
    ensure!(failing.level == Level::Failing && failing.action == Action::Replace, "{failing:#?}");
    let evidence = &axis(&failing, Axis::Media)?.evidence;
    ensure!(
        evidence.iter().any(|evidence| evidence.level == Level::Failing && evidence.source == Source::Smart),
        "{evidence:#?}"
    );
    println!("critical warning 4: {}, {}", failing.level.as_str(), evidence[0].what);
    Ok(())
}

fn unreadable_drive_is_told_by_its_engine(guest: &Guest, agent: &AgentClient, drive: &Drive) -> Result<()> {
    let address = guest.node.data_address(drive)?;
    let mut failed = 0;
    for method in ["PUT", "GET"] {
        for number in 1..=BLOCKS {
            let mut drive = Connection::open(address, TIME_MAX)?;
            let path = format!("/v1/blocks/{number:064x}");
            let block = vec![number; if method == "PUT" { BLOCK_BYTES } else { 0 }];
            let answer = drive.request(method, &path, &[("Connection", "close")], &block)?;
            match (method, answer.status) {
                ("PUT", 201) | ("GET", 200) => {}
                ("GET", 500) => failed += 1,
                (method, status) => anyhow::bail!("{method} {path}: {status} {}", answer.text()),
            }
        }
    }
    ensure!(failed > 0, "no block lies on a bad sector");
    // The kernel's log tells of it at once, the engine when it is asked next.
    let by_the_engine = |health: &DriveHealth| {
        axis(health, Axis::Media).is_ok_and(|media| {
            let mut of_engine = media.evidence.iter().filter(|evidence| evidence.source == Source::Engine);
            of_engine.any(|evidence| evidence.level == Level::Degraded)
        })
    };
    let ill = health_when(agent, &drive.id, by_the_engine)?;
    ensure!(ill.level == Level::Degraded, "{ill:#?}");
    let evidence = &axis(&ill, Axis::Media)?.evidence;
    let by_the_drive = |source| matches!(source, Source::Smart | Source::Notes);
    let others = evidence.iter().filter(|evidence| by_the_drive(evidence.source));
    ensure!(others.count() == 0, "the drive itself says nothing: {evidence:#?}");
    ensure!(!ill.drain_without_person, "one source is not enough: {ill:#?}");
    println!("{failed} of {BLOCKS} blocks unreadable: {}, {}", ill.level.as_str(), evidence[0].what);
    Ok(())
}

fn pulled_drive_is_missing(guest: &mut Guest, agent: &AgentClient, id: &str) -> Result<()> {
    guest.node.machine().qmp().device_del("nvme3")?;
    let gone = health_when(agent, id, |health| health.action == Action::CheckPresence)?;
    ensure!(gone.level == Level::Unknown, "missing is neither well nor ill: {gone:#?}");
    let media = axis(&gone, Axis::Media)?.level;
    ensure!(
        media != Level::Degraded && media != Level::Failing,
        "it was pulled, and did not fail: {gone:#?}"
    );
    let monitor = &axis(&gone, Axis::Monitor)?.evidence;
    ensure!(monitor.iter().any(|evidence| evidence.value == "missing"), "{monitor:#?}");
    println!("pulled: {}, {}", gone.level.as_str(), gone.action.as_str());
    Ok(())
}

fn node_and_redfish_say_the_same(agent: &AgentClient, ids: [&String; 3]) -> Result<()> {
    let node = agent.health()?;
    let level = |id: &String| node.drives.iter().find(|drive| drive.id == *id).map(|drive| drive.level);
    let levels = ids.map(level);
    ensure!(levels == [Some(Level::Failing), Some(Level::Degraded), Some(Level::Unknown)], "{node:#?}");
    ensure!(node.level == Level::Failing && node.drain != Some(ids[1].clone()), "{node:#?}");
    for (id, status) in ids.into_iter().zip([
        json!({ "State": "Enabled", "Health": "Critical" }),
        json!({ "State": "Enabled", "Health": "Warning" }),
        json!({ "State": "Absent", "Health": null }),
    ]) {
        let drive = agent.json(&format!("/redfish/v1/Chassis/node/Drives/{id}"))?;
        ensure!(drive["Status"] == status, "{drive:#}");
    }
    Ok(())
}

/// Has a drive asked, and gives its health when it has answered: the node says that it is being asked from the moment at
/// which it took the order. One within some seconds of another, or while the drive is being asked, is refused: then it
/// is given again.
fn ask(agent: &AgentClient, id: &str) -> Result<DriveHealth> {
    let taken = until(TIME_MAX, || agent.ask(id).is_ok().then_some(()));
    taken.with_context(|| format!("the node takes no order to ask drive {id}"))?;
    health_when(agent, id, |health| !health.polling.asking)
}

fn health_when(agent: &AgentClient, id: &str, is_so: impl Fn(&DriveHealth) -> bool) -> Result<DriveHealth> {
    let mut seen = None;
    let health = until(TIME_MAX, || {
        let health = agent.drive_health(id).ok()?;
        seen = Some(health.clone());
        is_so(&health).then_some(health)
    });
    health.with_context(|| format!("this did not come of drive {id}: {seen:#?}"))
}

fn axis(health: &DriveHealth, axis: Axis) -> Result<&AxisHealth> {
    health.axes.iter().find(|of_axis| of_axis.axis == axis).with_context(|| format!("{health:#?}"))
}
