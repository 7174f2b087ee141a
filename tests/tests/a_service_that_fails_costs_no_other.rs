//! A service that fails costs no other: one node, on which one thing after the other goes wrong. A service crashes in a loop,
//! one ends while its control group is frozen, one leaves ten thousand children to PID 1, one leaves a child when it ends,
//! one takes more memory than it may, one without a limit takes all that the machine has while the drives are under load, one
//! writes a gigabyte of lines, a drive is pulled out and put back under load; and while a drive no longer answers,
//! Ctrl-Alt-Del is pressed. The others go on each time, with the processes that they had, and every block that was
//! acknowledged is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use imbrex_api::node::{Bus, Drive as NodeDrive, DriveState, ServiceState};
use imbrex_tests::added_services::{AddedService, trigger};
use imbrex_tests::guest::{Guest, MEMORY_MIB, Plan};
use imbrex_tests::kept::{Untouched, number, service, service_in};
use imbrex_tests::ledger::Ledger;
use imbrex_tests::load::{Load, addresses};
use imbrex_tests::nvme::{self, Drive};
use imbrex_tests::scsi;
use imbrex_tests::stop::{STOP_TIME_MAX, Stop};
use xtask::command::until;
use xtask::node::{Additions, DriveKind};

/// The NVMe drives, of which one is pulled out, and the SCSI drive that no longer answers.
const NVME_DRIVES: u32 = 3;
const NVME_BYTES: u64 = 2 << 30;
const PULLED: Drive = Drive { number: 2 };
const SCSI: DriveKind = DriveKind::ScsiDebug { count: 1, size_mib: 512 };

/// Short-lived children: so many parents leave so many each.
const PARENTS: u32 = 100;
const CHILDREN: u32 = 100;

/// What the storm writes, and how long it may take on a machine that is translated and busy.
const STORM_BYTES: u64 = 1_000_000_000;
const STORM_TIME_MAX: Duration = Duration::from_secs(400);

/// What a service has in memory at most, and PID 1 whatever the services do.
const HOG_LIMITS: &str = "[limits]\nmemory_max_mib = 32";
const HOG_MIB: u32 = 512;
const INIT_BYTES_MAX: u64 = 16 << 20;

/// A service that leaves a child when it ends, and one whose health check leaves one each time.
const FAMILY: &str = "test-family";
const CHECKED: &str = "test-checked";
const CHECKED_MANIFEST: &str = "health = { command = [\"/usr/bin/guest-service\", \"leave\", \
                                \"/run/imbrex-test/test-checked.child\"], every_s = 20, within_s = 600 }";

/// More than the machine has.
const GLUTTON_MIB: u32 = 16 * (MEMORY_MIB + 512);

/// Acknowledgements of each drive that show that it goes on.
const ACKNOWLEDGED_MIN: u64 = 20;
const TIME_MAX: Duration = Duration::from_secs(120);

/// From init's last line to its first of the next boot, on a machine that is translated and busy: what the kernel does in
/// between must not wait for the drive that never answers.
const RESTART_TIME_MAX: Duration = Duration::from_secs(300);

fn plan(folder: &Path) -> Result<Plan> {
    // Its keyboard is one of USB, as those of servers are, and it has no other.
    let mut devices: Vec<String> =
        ["-machine", "i8042=off", "-device", "qemu-xhci", "-device", "usb-kbd"].map(str::to_owned).to_vec();
    for number in 1..=NVME_DRIVES {
        let node = format!("file{number}");
        devices.extend(nvme::file_node(folder, &node, NVME_BYTES)?);
        devices.extend(Drive { number }.arguments(&node));
    }
    let services = vec![
        AddedService::triggered("test-crash", "crash", ""),
        AddedService::triggered(FAMILY, "family", ""),
        AddedService { name: CHECKED, verb: "idle".to_owned(), manifest: CHECKED_MANIFEST },
        AddedService::triggered("test-hog", &format!("hog {HOG_MIB}"), HOG_LIMITS),
        AddedService::triggered("test-glutton", &format!("hog {GLUTTON_MIB}"), ""),
        AddedService::triggered("test-storm", &format!("storm {STORM_BYTES}"), ""),
    ];
    let additions = Additions { devices, kernel_options: SCSI.kernel_options(), ..Additions::default() };
    let drives = DriveKind::Added { count: NVME_DRIVES + 1 };
    Ok(Plan { drives, memory_mib: MEMORY_MIB + 512, services, additions })
}

#[test]
fn a_service_that_fails_costs_no_other() -> Result<()> {
    let mut guest = Guest::start_as("services", false, plan)?;
    let boot = guest.node.wait("Booting the node")?;
    let drives = guest.node.format_drives()?;
    println!("{:28} {:.1} s", "API ready after", boot.api.as_secs_f64());
    println!("{:28} {:.1} s", "drives known after", boot.drives.as_secs_f64());
    the_helpers_are_heard(&guest).context("the helpers' logs")?;
    a_crash_loop_waits_for_a_person(&guest).context("the crash loop")?;
    nobody_is_left_unreaped(&guest).context("the children")?;
    children_end_with_whoever_left_them(&guest).context("what is left behind")?;
    too_much_memory_costs_its_owner(&guest).context("the memory")?;
    a_frozen_group_holds_nobody_up(&guest).context("the frozen group")?;
    let targets = addresses(&guest.node, &drives)?;
    let eaten = all_memory_is_taken(&guest, &targets).context("all memory")?;
    let mut ledger = a_storm_is_counted(&guest, &targets).context("the storm")?;
    ledger.merge(eaten);
    let load = Load::start(&targets, 1);
    a_drive_that_comes_back_goes_on(&mut guest, &load, &targets).context("the pulled drive")?;
    ledger.merge(load.finish()?);
    println!("{:28} {}", "after the pull", ledger.verify(&targets)?);
    println!("{:28} {} KB", "PID 1 has in memory", init_bytes(&guest)? / 1000);
    a_drive_that_never_answers_does_not_hold_up_the_stop(guest, &drives).context("the stop")
}

fn init_bytes(guest: &Guest) -> Result<u64> {
    let bytes = service(&guest.node.agent()?, "init")?.rss_bytes.context("init tells its memory")?;
    ensure!(bytes <= INIT_BYTES_MAX, "PID 1 has {bytes} bytes in memory");
    Ok(bytes)
}

/// Waits until every drive but `except` has acknowledged some more.
fn go_on(load: &Load, targets: &BTreeMap<String, SocketAddr>, except: &str) -> Result<()> {
    let others = || targets.keys().filter(|drive| *drive != except);
    let wanted: Vec<u64> = others().map(|drive| load.acknowledged(drive) + ACKNOWLEDGED_MIN).collect();
    let on = || others().zip(&wanted).all(|(drive, wanted)| load.acknowledged(drive) >= *wanted);
    until(TIME_MAX, || on().then_some(())).context("the drives do not go on")
}

fn a_crash_loop_waits_for_a_person(guest: &Guest) -> Result<()> {
    let agent = guest.node.agent()?;
    let down = service_in(&agent, "test-crash", ServiceState::Maintenance)?;
    let others = Untouched::note(&agent, &["test-crash"])?;
    let reason = down.reason.clone().unwrap_or_default();
    ensure!(reason.contains("failed 5 times") && reason.contains("status 7"), "{down:?}");
    ensure!(down.last_lines.iter().any(|line| line == "broken on purpose, line 5"), "{down:?}");
    // It stays down by itself: the file that mends it does not start it.
    guest.probe()?.write(&trigger("test-crash"), "mended")?;
    ensure!(service(&agent, "test-crash")?.state == ServiceState::Maintenance, "it started again by itself");
    agent.start_service("test-crash")?;
    let up = service_in(&agent, "test-crash", ServiceState::Ready)?;
    ensure!(up.pid.is_some() && up.reason.is_none(), "{up:?}");
    println!("{:28} {reason}", "the crash loop");
    others.check(&agent)
}

fn nobody_is_left_unreaped(guest: &Guest) -> Result<()> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let others = Untouched::note(&agent, &[])?;
    probe.leave_orphans(PARENTS, CHILDREN)?;
    let reaped = until(TIME_MAX, || matches!(probe.zombies(), Ok(0)).then_some(()));
    ensure!(reaped.is_some(), "{} of {} children are not reaped", probe.zombies()?, PARENTS * CHILDREN);
    println!("{:28} {} left to PID 1, 0 zombies", "short-lived children", PARENTS * CHILDREN);
    others.check(&agent)
}

/// Of a service that ends, and of a health check.
fn children_end_with_whoever_left_them(guest: &Guest) -> Result<()> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let others = Untouched::note(&agent, &[FAMILY])?;
    for name in [FAMILY, CHECKED] {
        let told = || probe.read(&format!("{}.child", trigger(name))).ok().filter(|child| !child.is_empty());
        let child = until(TIME_MAX, told);
        let stat = format!("/proc/{}/stat", child.context("there is no child")?);
        if name == FAMILY {
            ensure!(probe.read(&stat).is_ok(), "its child does not live before it ends");
            probe.write(&trigger(name), "now")?;
        }
        let gone = until(TIME_MAX, || probe.read(&stat).is_err().then_some(()));
        gone.with_context(|| format!("the child that {name} has left lives on"))?;
    }
    // What follows is not to find it on its way.
    let again = until(TIME_MAX, || service(&agent, FAMILY).ok().filter(|service| service.restarts == 1));
    again.context("it does not start again")?;
    service_in(&agent, FAMILY, ServiceState::Ready)?;
    println!("{:28} ended with it, of a service and of a health check", "children left behind");
    others.check(&agent)
}

fn too_much_memory_costs_its_owner(guest: &Guest) -> Result<()> {
    let agent = guest.node.agent()?;
    let others = Untouched::note(&agent, &["test-hog"])?;
    guest.probe()?.write(&trigger("test-hog"), "now")?;
    let killed = until(TIME_MAX, || service(&agent, "test-hog").ok().filter(|service| service.restarts == 1));
    let killed = killed.context("it is not killed")?;
    let exit = killed.last_exit.clone().unwrap_or_default();
    ensure!(exit.contains("signal 9") && exit.contains("memory limit"), "{killed:?}");
    let kills = number(&agent, "test-hog", "oom_kills")?;
    ensure!(kills == 1, "one kill is counted as {kills}");
    service_in(&agent, "test-hog", ServiceState::Ready)?;
    println!("{:28} {exit}", "over its memory limit");
    others.check(&agent)
}

/// Whoever joins a frozen group stands still before it runs, and init waits until it runs. Whatever runs as root can freeze one.
fn a_frozen_group_holds_nobody_up(guest: &Guest) -> Result<()> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let others = Untouched::note(&agent, &["test-hog"])?;
    let before = service(&agent, "test-hog")?.restarts;
    probe.write("/sys/fs/cgroup/test-hog/cgroup.freeze", "1")?;
    probe.write("/sys/fs/cgroup/test-hog/cgroup.kill", "1")?;
    let again =
        until(TIME_MAX, || service(&agent, "test-hog").ok().filter(|service| service.restarts > before));
    again.context("it does not start again")?;
    service_in(&agent, "test-hog", ServiceState::Ready)?;
    println!("{:28} killed, and started again", "in a frozen group");
    others.check(&agent)
}

/// What init's helpers have said is told as what services say.
fn the_helpers_are_heard(guest: &Guest) -> Result<()> {
    let log = guest.node.agent()?.service_log("coldplug")?;
    ensure!(log.contains(" device aliases"), "{log}");
    Ok(())
}

/// Nothing holds this one back: the kernel runs out of memory, and has to choose whom to kill.
fn all_memory_is_taken(guest: &Guest, targets: &BTreeMap<String, SocketAddr>) -> Result<Ledger> {
    let agent = guest.node.agent()?;
    let others = Untouched::note(&agent, &["test-glutton"])?;
    let load = Load::start(targets, 3);
    go_on(&load, targets, "")?;
    guest.probe()?.write(&trigger("test-glutton"), "now")?;
    let killed =
        until(TIME_MAX, || service(&agent, "test-glutton").ok().filter(|service| service.restarts == 1));
    let killed = killed.context("it is not killed")?;
    let exit = killed.last_exit.clone().unwrap_or_default();
    ensure!(exit.contains("signal 9") && exit.contains("the machine had no memory left"), "{killed:?}");
    go_on(&load, targets, "").context("after the machine had no memory left")?;
    println!("{:28} {exit}", "all memory taken");
    others.check(&agent)?;
    load.finish()
}

fn a_storm_is_counted(guest: &Guest, targets: &BTreeMap<String, SocketAddr>) -> Result<Ledger> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let others = Untouched::note(&agent, &[])?;
    let lost_before: Vec<(String, u64)> = lines_lost(guest, "test-storm")?;
    let load = Load::start(targets, 0);
    go_on(&load, targets, "")?;
    probe.write(&trigger("test-storm"), "now")?;
    // The drives and the API go on while it blows.
    go_on(&load, targets, "")?;
    let ledger = load.finish()?;
    let told = format!("{}.lines", trigger("test-storm"));
    // It is there a moment before its content is.
    let said = || probe.read(&told).ok().filter(|written| !written.is_empty());
    let written = until(STORM_TIME_MAX, said).context("the storm does not end")?;
    let written: u64 = written.parse()?;
    let mut counted = (0, 0);
    // What is in the pipe comes a moment later. A line that falls out of the ring between the two questions counts twice.
    let all = until(TIME_MAX, || {
        let log = agent.service_log("test-storm").ok()?;
        let kept = log.lines().filter(|line| line.starts_with("storm ")).count() as u64;
        counted = (kept, number(&agent, "test-storm", "log_lines_lost").ok()?);
        (counted.0 + counted.1 >= written).then_some(())
    });
    let (kept, lost) = counted;
    ensure!(all.is_some() && lost > written / 2, "of {written} lines {kept} are kept and {lost} told lost");
    ensure!(lines_lost(guest, "test-storm")? == lost_before, "others lost lines: {lost_before:?}");
    println!("{:28} {written} lines written, {kept} kept, {lost} counted as lost", "a storm of 1 GB");
    init_bytes(guest)?;
    others.check(&agent)?;
    Ok(ledger)
}

/// The lines that each service but this one has lost.
fn lines_lost(guest: &Guest, except: &str) -> Result<Vec<(String, u64)>> {
    let agent = guest.node.agent()?;
    let names = agent.services()?.services.into_iter().map(|service| service.name);
    names
        .filter(|name| name != except)
        .map(|name| {
            let lost = number(&agent, &name, "log_lines_lost")?;
            Ok((name, lost))
        })
        .collect()
}

fn a_drive_that_comes_back_goes_on(
    guest: &mut Guest,
    load: &Load,
    targets: &BTreeMap<String, SocketAddr>,
) -> Result<()> {
    let agent = guest.node.agent()?;
    let pulled = agent.drives()?.into_iter().find(|drive| drive.serial == Some(PULLED.serial()));
    let pulled = pulled.context("the drive is not there")?;
    let others = Untouched::note(&agent, &[pulled.service.as_deref().unwrap_or_default()])?;
    let wait_for = |wanted: fn(&NodeDrive) -> bool| {
        let mut seen = None;
        let found = until(TIME_MAX, || {
            let drives = agent.drives().ok()?;
            seen = drives.into_iter().find(|drive| drive.id == pulled.id);
            seen.clone().filter(wanted)
        });
        found.with_context(|| format!("it is told as {seen:?}"))
    };
    PULLED.pull(guest.node.machine().qmp())?;
    wait_for(|drive| drive.state == DriveState::Missing).context("pulled")?;
    go_on(load, targets, &pulled.id).context("while one is pulled")?;
    // QEMU lets go of it when the guest has.
    let back = until(TIME_MAX, || PULLED.put_back(guest.node.machine().qmp()).ok());
    back.context("it cannot be put back")?;
    let back = wait_for(|drive| drive.state == DriveState::Serving).context("put back")?;
    ensure!(
        back.data_port == pulled.data_port,
        "its port was {:?} and is {:?}",
        pulled.data_port,
        back.data_port
    );
    go_on(load, targets, "").context("with the drive that is back")?;
    println!(
        "{:28} {} was told missing, and serves again on port {:?}",
        "pulled and put back", back.id, back.data_port
    );
    others.check(&agent)
}

fn a_drive_that_never_answers_does_not_hold_up_the_stop(
    mut guest: Guest,
    drives: &[NodeDrive],
) -> Result<()> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let silent = drives.iter().find(|drive| drive.bus == Bus::Scsi).context("there is a SCSI drive")?;
    let targets = addresses(&guest.node, drives)?;
    let load = Load::start(&targets, 2);
    go_on(&load, &targets, "")?;
    scsi::freeze(&probe)?;
    go_on(&load, &targets, &silent.id).context("beside a drive that does not answer")?;
    load.stop_soon();
    let ordered_ms = agent.node()?.uptime_ms.context("the node tells its uptime")?;
    guest.node.machine().qmp().press_keys(&["ctrl", "alt", "delete"])?;
    let stop = Stop::watch(&mut guest.node, "reboot", ordered_ms)?;
    guest.node.expect_restart();
    let restarted = Instant::now();
    let console = guest.node.machine().console.clone();
    let again = until(RESTART_TIME_MAX, || console.text().contains("boots").then(|| restarted.elapsed()));
    let again = again.with_context(|| {
        format!("the machine does not start again; {}", guest.node.machine().last_words())
    })?;
    drop(guest);
    // Its answers are of no use any more: the machine is gone.
    let _ = load.finish();
    let stuck = silent.service.as_deref().unwrap_or_default();
    ensure!(stop.says(&format!("s at most: {stuck}")), "it was not waited for:\n{}", stop.lines.join("\n"));
    let others: Vec<&str> =
        drives.iter().filter_map(|drive| drive.service.as_deref()).filter(|name| *name != stuck).collect();
    for drive in others {
        stop.in_order(&[drive, "agent"])?;
    }
    ensure!(stop.took <= STOP_TIME_MAX, "the stop took {:?}", stop.took);
    println!(
        "{:28} Ctrl-Alt-Del with a drive that never answers: {:.1} s, and {:.1} s later PID 1 boots again",
        "stopped",
        stop.took.as_secs_f64(),
        again.as_secs_f64()
    );
    Ok(())
}
