//! A panic of PID 1, lost events and another image cost no block: one node under load. The kernel has more events than
//! PID 1 can take, and a drive that comes back meanwhile is found all the same. PID 1 panics: it says why on the console
//! and in the machine's persistent store, lets everybody flush, and starts the machine again. Another image is started
//! by kexec, with a configuration that does not fit into the machine: it is refused with the arithmetic.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_api::node::{Drive as NodeDrive, DriveState, KexecOrder, NodeState};
use imbrex_tests::added_services::{self, AddedService};
use imbrex_tests::guest::{Guest, MEMORY_MIB, Plan};
use imbrex_tests::kept::service;
use imbrex_tests::ledger::Ledger;
use imbrex_tests::load::{Load, addresses};
use imbrex_tests::nvme::{self, Drive};
use imbrex_tests::probe::Probe;
use imbrex_tests::stop::{Stop, WELL_STOP_TIME_MAX};
use xtask::command::until;
use xtask::http_files::HttpFiles;
use xtask::image;
use xtask::node::{Additions, DriveKind, HOST_IN_GUEST};

const TIME_MAX: Duration = Duration::from_secs(120);
const DRIVES: u32 = 2;
const DRIVE_BYTES: u64 = 1 << 30;
const PULLED: Drive = Drive { number: 2 };

/// The watchdog's patience in seconds: longer than PID 1 is stopped here, however busy the machine is.
const WATCHDOG: &str = "imbrex.watchdog_s=240";

/// The group in which PID 1 is stopped.
const FROZEN: &str = "/sys/fs/cgroup/test-frozen";

/// An event that is about nothing, so many times at once, until the kernel throws events away. A socket of PID 1's holds a
/// few thousand.
const EVENT: [&str; 2] = ["/sys/class/mem/null/uevent", "change"];
const EVENTS_AT_ONCE: u32 = 2_000;
const EVENTS_MAX: u32 = 100_000;

/// Where the kernel shows its drives.
const DISKS: &str = "/sys/class/block";

/// Netlink's protocol for the kernel's events: NETLINK_KOBJECT_UEVENT of linux/netlink.h.
const UEVENTS: &str = "15";

/// What takes its time to flush, in seconds, and says so in the end.
const FLUSH: &str = "flush 5";
const FLUSH_MANIFEST: &str = "stop = { order = 10, deadline_s = 60 }";
const FLUSHED: &str = "test-flush: flushed";

/// What init says where the time of a stop is over.
const TIME_OVER: &str = "the time to stop is over";

/// A service that only the other image has.
const NEXT: &str = "test-next";

/// Memory of a drive's process with which the node's drives do not fit, in MiB.
const MEMORY_TOO_MUCH_MIB: u64 = 4_096;

/// Acknowledgements of each drive that show that it goes on.
const ACKNOWLEDGED_MIN: u64 = 20;

fn services() -> Vec<AddedService> {
    vec![AddedService { name: "test-flush", verb: FLUSH.to_owned(), manifest: FLUSH_MANIFEST }]
}

fn plan(folder: &Path) -> Result<Plan> {
    let store =
        format!("memory-backend-file,id=store,mem-path={},size=64K,share=on", folder.join("store").display());
    let mut devices: Vec<String> =
        ["-device", "i6300esb", "-object", &store, "-device", "acpi-erst,memdev=store"]
            .map(str::to_owned)
            .to_vec();
    for number in 1..=DRIVES {
        let node = format!("file{number}");
        devices.extend(nvme::file_node(folder, &node, DRIVE_BYTES)?);
        devices.extend(Drive { number }.arguments(&node));
    }
    let additions = Additions { devices, kernel_options: WATCHDOG.to_owned(), ..Additions::default() };
    let drives = DriveKind::Added { count: DRIVES };
    Ok(Plan { drives, memory_mib: MEMORY_MIB, services: services(), additions })
}

#[test]
fn a_panic_of_pid_1_lost_events_and_another_image_cost_no_block() -> Result<()> {
    let mut guest = Guest::start_as("panic", false, plan)?;
    guest.node.wait("Booting the node")?;
    let drives = guest.node.format_drives()?;
    let targets = addresses(&guest.node, &drives)?;
    let load = Load::start(&targets, 1);
    go_on(&load, &targets, "")?;
    events_are_lost(&mut guest, &load, &targets).context("the lost events")?;
    let ledger = pid_1_panics(&mut guest, load, &targets).context("the panic")?;
    println!("{:28} {}", "after the panic", ledger.verify(&targets)?);
    another_image_goes_on(&mut guest).context("the other image")?;
    a_configuration_that_does_not_fit_is_refused(&mut guest).context("the configuration")?;
    guest.node.power_off().map(drop)
}

/// Waits until every drive but `except` has acknowledged some more.
fn go_on(load: &Load, targets: &BTreeMap<String, SocketAddr>, except: &str) -> Result<()> {
    let others = || targets.keys().filter(|drive| *drive != except);
    let wanted: Vec<u64> = others().map(|drive| load.acknowledged(drive) + ACKNOWLEDGED_MIN).collect();
    let on = || others().zip(&wanted).all(|(drive, wanted)| load.acknowledged(drive) >= *wanted);
    until(TIME_MAX, || on().then_some(())).context("the drives do not go on")
}

fn events_are_lost(guest: &mut Guest, load: &Load, targets: &BTreeMap<String, SocketAddr>) -> Result<()> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let state = |wanted: fn(&NodeDrive) -> bool| -> Result<NodeDrive> {
        let mut seen = None;
        let found = until(TIME_MAX, || {
            seen = agent.drives().ok()?.into_iter().find(|drive| drive.serial == Some(PULLED.serial()));
            seen.clone().filter(wanted)
        });
        found.with_context(|| format!("it is told as {seen:?}"))
    };
    PULLED.pull(guest.node.machine().qmp())?;
    let pulled = state(|drive| drive.state == DriveState::Missing).context("pulled out")?;

    probe.write(&format!("{FROZEN}/cgroup.procs"), "1")?;
    probe.write(&format!("{FROZEN}/cgroup.freeze"), "1")?;
    let events = format!("{FROZEN}/cgroup.events");
    let frozen = until(TIME_MAX, || probe.read(&events).ok().filter(|text| text.contains("frozen 1")));
    frozen.context("PID 1 cannot be stopped")?;
    let before = events_dropped(&probe)?;
    let mut sent = 0;
    while events_dropped(&probe)? == before {
        ensure!(sent < EVENTS_MAX, "{sent} events fit into PID 1's socket");
        probe.write_often(EVENTS_AT_ONCE, EVENT[0], EVENT[1])?;
        sent += EVENTS_AT_ONCE;
    }
    // QEMU lets go of it when the guest has; and its own events are among those that are lost.
    let (full, without) = (events_dropped(&probe)?, probe.list(DISKS)?.len());
    let back = until(TIME_MAX, || PULLED.put_back(guest.node.machine().qmp()).ok());
    back.context("it cannot be put back")?;
    let there = until(TIME_MAX, || probe.list(DISKS).ok().filter(|names| names.len() > without));
    there.context("the kernel does not see it")?;
    ensure!(events_dropped(&probe)? > full, "its events were not lost");
    go_on(load, targets, &pulled.id).context("while PID 1 stands still")?;
    probe.write(&format!("{FROZEN}/cgroup.freeze"), "0")?;

    state(|drive| drive.state == DriveState::Serving).context("put back while events were lost")?;
    let log = agent.service_log("init")?;
    ensure!(log.contains("the kernel had more uevents than fit"), "the loss is not told:\n{log}");
    println!("{:28} of {sent} and those of a drive, which serves again", "events were lost");
    go_on(load, targets, "").context("with the drive that is back")
}

/// How many events the kernel has thrown away because PID 1 had not taken those before: `Drops` of /proc/net/netlink.
fn events_dropped(probe: &Probe) -> Result<u64> {
    let text = probe.read("/proc/net/netlink")?;
    let column = |name: &str| {
        let mut names = text.lines().next().unwrap_or_default().split_whitespace();
        names.position(|word| word == name).with_context(|| format!("netlink tells no {name}"))
    };
    let (protocol, drops) = (column("Eth")?, column("Drops")?);
    let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = rows.filter(|row| row.get(protocol) == Some(&UEVENTS));
    Ok(ours.filter_map(|row| row.get(drops)?.parse::<u64>().ok()).sum())
}

fn pid_1_panics(guest: &mut Guest, load: Load, targets: &BTreeMap<String, SocketAddr>) -> Result<Ledger> {
    let probe = guest.probe()?;
    let console = guest.node.machine().console.clone();
    guest.node.expect_restart();
    probe.break_pid_1()?;
    guest.node.wait("Booting after the panic")?;
    let text = console.text();
    let reason = "FATAL: init panicked at ";
    let mut last = 0;
    for words in [reason, "FATAL: the drives are asked to flush", FLUSHED, "boots"] {
        let position = text[last..].find(words);
        last +=
            position.with_context(|| format!("the console does not say {words:?} in its turn:\n{text}"))?;
    }
    let (agent, mut node) = (guest.node.agent()?, None);
    let told = until(TIME_MAX, || {
        node = agent.node().ok();
        node.iter().flat_map(|node| &node.last_crash).find(|line| line.contains(reason)).cloned()
    });
    let told = told.with_context(|| format!("the store does not tell the panic: {node:?}"))?;
    let watchdog = node.and_then(|node| node.watchdog);
    let watchdog = watchdog.context("the node has a watchdog")?;
    ensure!(!watchdog.reset_by_watchdog, "it was not PID 1 that started the machine again: {watchdog:?}");
    println!("{:28} {told}", "the panic");
    guest.node.wait_for_serving()?;
    go_on(&load, targets, "").context("after the panic")?;
    load.finish()
}

fn another_image_goes_on(guest: &mut Guest) -> Result<()> {
    let folder = tempfile::tempdir_in(guest.workspace.output_folder("run")?)?;
    let mut services = services();
    services.push(AddedService { name: NEXT, verb: "idle".to_owned(), manifest: "" });
    services.push(AddedService::probe());
    let next =
        added_services::add(&guest.workspace, &image::build(&guest.workspace)?, &services, folder.path())?;
    let files = HttpFiles::serve(BTreeMap::from([
        ("/kernel".to_owned(), std::fs::read(&next.kernel)?),
        ("/initrd".to_owned(), std::fs::read(&next.initrd)?),
    ]))?;
    let url = |path: &str| format!("http://{HOST_IN_GUEST}:{}{path}", files.port());
    let agent = guest.node.agent()?;
    ensure!(service(&agent, NEXT).is_err(), "this image has {NEXT} already");
    guest.node.configure_drive_memory(Some(MEMORY_TOO_MUCH_MIB));
    let ordered_ms = agent.node()?.uptime_ms.context("the node tells its uptime")?;
    agent.kexec(&KexecOrder { kernel_url: url("/kernel"), initrd_url: url("/initrd") })?;
    let stop = Stop::watch(&mut guest.node, "start the next kernel", ordered_ms)?;
    // Where the drives have stopped and 24 s are over, all others are killed at once, in any order.
    if !stop.says(TIME_OVER) {
        ensure!(!stop.says("did not stop within"), "{}", stop.lines.join("\n"));
        stop.in_order(&["test-flush", "agent"])?;
    }
    println!("{:28} stopped for it in {:.1} s", "another image", stop.took.as_secs_f64());
    ensure!(stop.took <= WELL_STOP_TIME_MAX, "the stop took {:?}", stop.took);
    guest.node.expect_restart();
    let api = guest.node.wait_for_api("Booting the other image")?;
    service(&guest.node.agent()?, NEXT).context("it is the same image again")?;
    println!("{:28} its API answered {:.1} s after that", "another image", api.as_secs_f64());
    Ok(())
}

fn a_configuration_that_does_not_fit_is_refused(guest: &mut Guest) -> Result<()> {
    let agent = guest.node.agent()?;
    let refused = until(TIME_MAX, || agent.node().ok().filter(|node| node.state == NodeState::Maintenance));
    let refused = refused.with_context(|| format!("it is taken: {:?}", agent.node()))?;
    let reason = refused.reason.unwrap_or_default();
    let sum = reason.split_once(": ").and_then(|(_, sum)| sum.split_once(", and the machine has "));
    let (sum, machine) = sum.with_context(|| format!("the refusal has no arithmetic: {reason}"))?;
    let (terms, sum) = sum.split_once(" = ").with_context(|| format!("there is no sum: {reason}"))?;
    let number = |text: &str| text.trim().trim_end_matches(" MiB").parse::<u64>();
    let mut total = 0;
    for term in terms.split(" + ") {
        total += match term.split_once(" x ") {
            Some((count, each)) => {
                count.split(' ').next().unwrap_or_default().parse::<u64>()? * number(each)?
            }
            None => number(term.trim_end_matches(" for the system"))?,
        };
    }
    ensure!(total == number(sum)? && total > number(machine)?, "the arithmetic is wrong: {reason}");
    let served = agent.drives()?.into_iter().filter(|drive| drive.state == DriveState::Serving).count();
    ensure!(served == 0, "{served} drives are served all the same");
    let console = guest.node.machine().console.text();
    ensure!(console.contains(&format!("maintenance: no drive is served: {reason}")), "{console}");
    println!("{:28} {reason}", "refused");
    Ok(())
}
