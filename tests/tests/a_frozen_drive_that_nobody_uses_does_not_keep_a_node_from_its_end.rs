//! A frozen drive that nobody uses does not keep a node from its end: its process ends in order, since it has nothing to
//! write, and only the kernel would ask the drive to flush once more. The power is off in the time that is promised, and the
//! machine does not start again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use imbrex_api::node::{Drive, DriveState};
use imbrex_tests::added_services::AddedService;
use imbrex_tests::guest::{Guest, MEMORY_MIB, Plan};
use imbrex_tests::scsi;
use imbrex_tests::stop::{STOP_TIME_MAX, Stop};
use xtask::command::until;
use xtask::node::{Additions, DriveKind};

const TIME_MAX: Duration = Duration::from_secs(120);

/// From the order to a machine that is off (issue: 90 s), with what a machine that is translated and busy may add.
const OFF_TIME_MAX: Duration = Duration::from_secs(180);

fn plan() -> Plan {
    Plan {
        drives: DriveKind::ScsiDebug { count: 2, size_mib: 512 },
        memory_mib: MEMORY_MIB + 1024,
        services: vec![AddedService { name: "test-idle", verb: "idle".to_owned(), manifest: "" }],
        additions: Additions::default(),
    }
}

#[test]
fn a_frozen_drive_that_nobody_uses_does_not_keep_a_node_from_its_end() -> Result<()> {
    let mut guest = Guest::start_as("frozen", false, |_| Ok(plan()))?;
    guest.node.wait("Booting the node")?;
    let agent = guest.node.agent()?;
    let idle = |drives: &Vec<Drive>| drives.iter().all(|drive| drive.state == DriveState::Unformatted);
    let drives = until(TIME_MAX, || agent.drives().ok().filter(idle)).context("the drives do not come up")?;
    scsi::freeze(&guest.probe()?)?;
    let ordered_ms = agent.node()?.uptime_ms.context("the node tells its uptime")?;
    let ordered = Instant::now();
    agent.power_off()?;
    let stop = Stop::watch(&mut guest.node, "power off", ordered_ms)?;
    for service in drives.iter().filter_map(|drive| drive.service.as_deref()) {
        let in_order = format!("{service} stopped: exited with status 0");
        ensure!(stop.says(&in_order), "it was not idle:\n{}", stop.lines.join("\n"));
    }
    ensure!(stop.took <= STOP_TIME_MAX, "the stop took {:?}", stop.took);
    let off = guest.node.machine().wait_for_end(OFF_TIME_MAX);
    ensure!(off, "the machine is still on; {}", guest.node.machine().last_words());
    println!(
        "{:28} in {:.1} s, and off {:.1} s after the order",
        "let go of a frozen drive",
        stop.took.as_secs_f64(),
        ordered.elapsed().as_secs_f64()
    );
    Ok(())
}
