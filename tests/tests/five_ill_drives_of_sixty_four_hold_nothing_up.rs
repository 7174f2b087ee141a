//! Five ill drives of sixty-four hold nothing up: two on which every read and write fails, one that is slow, two that
//! never answer, all of them so from the start. The API is ready before any drive is, and as soon as on the same node
//! with none: one table has both. Every other drive comes up, and the boot comes to its end. Then the node is told twice to
//! power off: it does not wait for whom it would wait.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_api::node::{BootOutcome, BootStage, Drive as NodeDrive, DriveState};
use imbrex_tests::added_services::AddedService;
use imbrex_tests::guest::{Guest, Plan};
use imbrex_tests::kept::service;
use imbrex_tests::nvme::{self, Drive, Illness};
use imbrex_tests::stop::{STOP_TIME_MAX, Stop};
use xtask::agent_client::AgentClient;
use xtask::command::until;
use xtask::node::{Additions, DriveKind};

/// The drives that are well, which share a controller, and the ill ones, which have one each.
const WELL: u32 = 59;
const ILL: [Illness; 5] = [Illness::Dead, Illness::Dead, Illness::Slow, Illness::Silent, Illness::Silent];
const DRIVE_BYTES: u64 = 512 << 20;

/// The least buffers of a drive's process, and what the node needs for all of them with what each takes besides, in MiB.
const DRIVE_MEMORY_MIB: u64 = 72;
const MEMORY_MIB: u32 = 9472;

/// The kernel's patience with an NVMe drive, in seconds: nothing is given up while the test runs.
const KERNEL_OPTIONS: &str = "nvme_core.io_timeout=3600";

/// It does not hear SIGTERM, and has all the time that a manifest can give.
const STUBBORN: &str = "test-stubborn";
const STUBBORN_MANIFEST: &str = "stop = { order = 10, deadline_s = 60 }";

/// Longer than an order is taken for the one before it, which are 2 s; the guest's clock may go by another.
const SAME_ORDER_TIME: Duration = Duration::from_secs(4);

/// How long sixty-four processes may take to start on a machine that is translated, and the boot to end.
const TIME_MAX: Duration = Duration::from_secs(300);

/// By what the API of the node with drives may come later than that of the node with none: what a machine that does other
/// things besides may add to a boot that is translated. Had it waited for the drives, it would be ready after minutes.
const LATER_TIMES_MAX: u64 = 3;
const LATER_MS_MAX: u64 = 10_000;

/// The same node with no drives.
fn plan_with_none() -> Plan {
    let additions = Additions { kernel_options: KERNEL_OPTIONS.to_owned(), ..Additions::default() };
    let drives = DriveKind::Added { count: 0 };
    Plan { drives, memory_mib: MEMORY_MIB, services: services(), additions }
}

fn services() -> Vec<AddedService> {
    vec![AddedService { name: STUBBORN, verb: "stubborn".to_owned(), manifest: STUBBORN_MANIFEST }]
}

fn plan(folder: &Path) -> Result<Plan> {
    let mut devices = nvme::throttle_groups();
    let mut nodes = Vec::new();
    for number in 1..=WELL {
        let node = format!("well{number}");
        devices.extend(nvme::file_node(folder, &node, DRIVE_BYTES)?);
        nodes.push(node);
    }
    devices.extend(nvme::shelf(&nodes));
    for (number, illness) in (1..).zip(ILL) {
        let (file, node) = (format!("file{number}"), format!("ill{number}"));
        devices.extend(nvme::file_node(folder, &file, DRIVE_BYTES)?);
        devices.extend(nvme::ill_node(&node, &file, illness));
        devices.extend(Drive { number }.arguments(&node));
    }
    let additions = Additions {
        devices,
        kernel_options: KERNEL_OPTIONS.to_owned(),
        drive_memory_mib: Some(DRIVE_MEMORY_MIB),
        ..Additions::default()
    };
    let drives = DriveKind::Added { count: WELL + u32::try_from(ILL.len())? };
    Ok(Plan { drives, memory_mib: MEMORY_MIB, services: services(), additions })
}

/// What a boot came to.
#[derive(Debug)]
struct Measured {
    /// From power on to an API that answers, as seen from outside.
    api: Duration,
    /// The stages, by the node's own clock.
    boot: Vec<BootStage>,
    /// What PID 1 has in memory.
    init_bytes: u64,
}

impl Measured {
    /// Waits for the end of a boot.
    fn wait(agent: &AgentClient, api: Duration) -> Result<Self> {
        let over = until(TIME_MAX, || {
            agent.node().ok().filter(|node| node.boot.iter().all(|s| s.took_ms.is_some()))
        });
        let boot = over.context("the boot does not end")?.boot;
        let init_bytes = service(agent, "init")?.rss_bytes.context("init tells its memory")?;
        Ok(Self { api, boot, init_bytes })
    }

    /// When a stage ended, in milliseconds since the kernel started.
    fn ended_ms(&self, name: &str) -> Result<u64> {
        let stage = self.boot.iter().find(|stage| stage.stage == name).context("no such stage")?;
        Ok(stage.started_ms + stage.took_ms.unwrap_or(0))
    }
}

/// One table of both nodes, and what the stages of the second waited for in vain. `well_ms`: when each of its drives that
/// are well was seen to be ready, in milliseconds since the kernel started.
fn print(none: &Measured, all: &Measured, well_ms: u64) -> Result<()> {
    println!("{:52} {:>10} {:>10}", "", "no drives", "64 drives");
    let row = |name: &str, none: String, all: String| println!("{name:52} {none:>10} {all:>10}");
    let seconds = |measured: &Measured| format!("{:.1} s", measured.api.as_secs_f64());
    row("API answers, after power on", seconds(none), seconds(all));
    for stage in &all.boot {
        let ended = |measured: &Measured| anyhow::Ok(format!("{} ms", measured.ended_ms(&stage.stage)?));
        row(&format!("stage {} over, after the kernel's start", stage.stage), ended(none)?, ended(all)?);
    }
    row("every drive that is well ready, likewise", "-".to_owned(), format!("{well_ms} ms"));
    let kilobytes = |measured: &Measured| format!("{} KB", measured.init_bytes / 1000);
    row("PID 1 has in memory", kilobytes(none), kilobytes(all));
    for stage in all.boot.iter().filter(|stage| stage.outcome == BootOutcome::Failed) {
        let waited_ms = stage.took_ms.unwrap_or(0);
        println!(
            "stage {} waited {waited_ms} ms: {}",
            stage.stage,
            stage.detail.as_deref().unwrap_or_default()
        );
    }
    Ok(())
}

#[test]
fn five_ill_drives_of_sixty_four_hold_nothing_up() -> Result<()> {
    let none = {
        let mut guest = Guest::start_as("no-drives", false, |_| Ok(plan_with_none()))?;
        let api = guest.node.wait_for_api("Booting the node with no drives")?;
        Measured::wait(&guest.node.agent()?, api)?
    };
    let mut guest = Guest::start_as("sixty-four", false, plan)?;
    let api = guest.node.wait_for_api("Booting the node")?;
    let agent = guest.node.agent()?;

    let well = |drive: &NodeDrive| drive.state == DriveState::Unformatted;
    // Whoever was seen counts: on a busy machine some process is late with an answer at almost any moment.
    let mut up = BTreeSet::new();
    let all = until(TIME_MAX, || {
        up.extend(agent.drives().ok()?.into_iter().filter(well).map(|drive| drive.id));
        (up.len() >= usize::try_from(WELL).ok()?).then_some(())
    });
    all.with_context(|| format!("{} of {WELL} drives that are well have come up", up.len()))?;
    let well_ms = agent.node()?.uptime_ms.context("the node tells its uptime")?;
    let measured = Measured::wait(&agent, api)?;
    print(&none, &measured, well_ms)?;
    let [ready_ms, ready_with_none_ms] = [measured.ended_ms("agent")?, none.ended_ms("agent")?];
    let log = agent.service_log("init")?;
    let place = |words: &str| log.find(words).with_context(|| format!("init's log has no {words:?}:\n{log}"));
    ensure!(
        place("stage agent ")? < place(" appeared (/dev/")?,
        "a drive was looked at before the API was ready"
    );
    ensure!(
        ready_ms <= LATER_TIMES_MAX * ready_with_none_ms + LATER_MS_MAX,
        "the API was ready after {ready_ms} ms, and with no drives after {ready_with_none_ms} ms"
    );

    for drive in agent.drives()?.iter().filter(|drive| !well(drive)) {
        println!("{:28} {} {:?}", drive.id, drive.state.as_str(), drive.state_reason);
    }
    told_twice_it_waits_for_nobody(guest)
}

fn told_twice_it_waits_for_nobody(mut guest: Guest) -> Result<()> {
    let agent = guest.node.agent()?;
    let ordered_ms = agent.node()?.uptime_ms.context("the node tells its uptime")?;
    agent.power_off()?;
    let console = guest.node.machine().console.clone();
    let begun = until(TIME_MAX, || console.text().contains("imbrex: stopping to power off").then_some(()));
    begun.context("the first order is not heard")?;
    // At once it is the same order: of a client that tries again.
    agent.power_off()?;
    thread::sleep(SAME_ORDER_TIME);
    ensure!(
        !console.text().contains("told again"),
        "an order that was tried again is taken for a second one"
    );
    // The agent may be killed before it has answered: that is what it was told. What the console says counts.
    let _ = agent.power_off();
    let stop = Stop::watch(&mut guest.node, "power off", ordered_ms)?;
    ensure!(stop.says("told again to power off: everything is killed now"), "{}", stop.lines.join("\n"));
    ensure!(!stop.says(&format!("{STUBBORN} did not stop within")), "{}", stop.lines.join("\n"));
    ensure!(stop.took <= STOP_TIME_MAX, "the stop took {:?}", stop.took);
    println!("{:28} {:.1} s", "told twice, stopped in", stop.took.as_secs_f64());
    // That the machine is off cannot be seen here: QEMU itself waits for the silent drives' requests when the kernel lets
    // go of their controllers.
    Ok(())
}
