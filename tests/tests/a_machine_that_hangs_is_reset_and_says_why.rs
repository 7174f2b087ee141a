//! A machine that hangs is reset and says why: the hardware watchdog is fed on progress only. Once a service that matters
//! is stuck whatever init tries, once PID 1 itself stands still; each time the machine starts again by itself, and the
//! API of the next boot tells the reason, which the machine wrote into its persistent store before it died. Before that
//! PID 1 panics: it takes longer to let the drives flush than the watchdog waits, which it does not let reset the machine.
//! An image that is started by kexec and does not come up is reset too, and the node is back with its own. In the end the
//! power button stops it in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_api::node::KexecOrder;
use imbrex_tests::added_services::{AddedService, initrd_that_hangs, trigger};
use imbrex_tests::guest::{Guest, MEMORY_MIB, Plan};
use imbrex_tests::stop::{STOP_TIME_MAX, Stop};
use serde_json::Value;
use xtask::command::until;
use xtask::http_files::HttpFiles;
use xtask::image;
use xtask::node::{Additions, DriveKind, HOST_IN_GUEST};

/// Its health check fails once its trigger is there, and no restart helps. It matters as much as the API does.
const STUCK: &str = "test-stuck";
const STUCK_MANIFEST: &str = r#"
crash_loop = "retry_for_ever"
health = { command = ["/usr/bin/guest-service", "check", "/run/imbrex-test/test-stuck"], every_s = 1, within_s = 4 }
watchdog_s = 12
"#;

/// The watchdog's patience in seconds: short for a test, long enough for a machine that is translated.
const WATCHDOG: &str = "imbrex.watchdog_s=20";

/// Where the kernel shows what the last machine wrote, and the group of processes that stand still.
const PSTORE: &str = "/sys/fs/pstore";
const FROZEN: &str = "/sys/fs/cgroup/test-frozen";

/// How often the machine may hang until the panic has left a record: once more than it should, on a machine that is
/// translated and busy. And how long a boot may take to tell it.
const HANGS_MAX: u32 = 2;
const RECORD_TIME_MAX: Duration = Duration::from_secs(20);

/// How long a service may be stuck before it is told.
const TOLD_TIME_MAX: Duration = Duration::from_secs(120);

fn plan(folder: &Path) -> Result<Plan> {
    let store =
        format!("memory-backend-file,id=store,mem-path={},size=64K,share=on", folder.join("store").display());
    let devices = ["-device", "i6300esb", "-object", &store, "-device", "acpi-erst,memdev=store"];
    let additions = Additions {
        devices: devices.map(str::to_owned).to_vec(),
        kernel_options: WATCHDOG.to_owned(),
        ..Additions::default()
    };
    let services = vec![AddedService { name: STUCK, verb: "idle".to_owned(), manifest: STUCK_MANIFEST }];
    let drives = DriveKind::ZonedNvme { count: 1, size_bytes: 1 << 30 };
    Ok(Plan { drives, memory_mib: MEMORY_MIB, services, additions })
}

#[test]
fn a_machine_that_hangs_is_reset_and_says_why() -> Result<()> {
    let mut guest = Guest::start_as("hangs", false, plan)?;
    guest.node.wait("Booting the node")?;
    guest.node.format_drives()?;
    let before = told(&guest)?;
    ensure!(!before.reset_by_watchdog && before.crash.is_empty(), "{before:?}");

    pid_1_panics(&mut guest).context("PID 1 panics")?;

    let words = ["watchdog: not fed any more: test-stuck has not been well", "Kernel panic"];
    let stuck = hang(&mut guest, a_service_is_stuck, &words).context("a stuck service")?;
    println!("a stuck service: {}", stuck.crash.join(" | "));

    let stopped = hang(&mut guest, pid_1_stands_still, &["Kernel panic"]).context("PID 1 stands still")?;
    ensure!(!stopped.crash.join("\n").contains(STUCK), "it tells the reset before the last: {stopped:?}");
    println!("PID 1 stopped: {}", stopped.crash.join(" | "));

    guest.node.wait_for_serving()?;
    another_image_hangs(&mut guest).context("the other image")?;
    guest.node.wait_for_serving()?;
    the_power_button_stops_it_in_order(guest)
}

/// What a boot tells of the one before.
#[derive(Debug)]
struct Told {
    reset_by_watchdog: bool,
    crash: Vec<String>,
}

impl Told {
    fn has(&self, words: &[&str]) -> Result<()> {
        for word in words {
            ensure!(self.crash.iter().any(|line| line.contains(word)), "no line has {word:?}: {self:?}");
        }
        Ok(())
    }
}

/// Reads it over the API, and looks that the store was emptied for the next time.
fn told(guest: &Guest) -> Result<Told> {
    let node: Value = guest.node.agent()?.get("/v1/node")?;
    let reset = node["watchdog"]["reset_by_watchdog"].as_bool();
    let reset_by_watchdog = reset.with_context(|| format!("the node tells no watchdog: {node}"))?;
    ensure!(node["watchdog"]["starved"].is_null(), "it is not fed after the boot: {node}");
    let lines = node["last_crash"].as_array().with_context(|| format!("the node tells no crash: {node}"))?;
    let crash = lines.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let left = guest.probe()?.list(PSTORE)?;
    ensure!(left.is_empty(), "what was collected is still in the store: {left:?}");
    Ok(Told { reset_by_watchdog, crash })
}

/// Lets the machine hang, and gives what the next boot tells, which has these words. The watchdog resets it each time.
fn hang(guest: &mut Guest, how: fn(&mut Guest) -> Result<()>, words: &[&str]) -> Result<Told> {
    for attempt in 1..=HANGS_MAX {
        how(guest)?;
        guest.node.wait(&format!("Booting after reset {attempt}"))?;
        let seen = until(RECORD_TIME_MAX, || told(guest).ok().filter(|told| !told.crash.is_empty()));
        let told = seen.map_or_else(|| told(guest), Ok)?;
        ensure!(told.reset_by_watchdog, "the watchdog is not told to have reset the machine: {told:?}");
        if !told.crash.is_empty() || attempt == HANGS_MAX {
            told.has(words)?;
            return Ok(told);
        }
        println!("reset {attempt} has left no record of the panic before it");
    }
    anyhow::bail!("no attempt was made")
}

/// The drives have [`WATCHDOG`]'s whole patience to flush: were it not fed, it would end that.
fn pid_1_panics(guest: &mut Guest) -> Result<()> {
    let probe = guest.probe()?;
    guest.node.expect_restart();
    probe.break_pid_1()?;
    guest.node.wait("Booting after the panic")?;
    let console = guest.node.machine().console.text();
    ensure!(console.contains("FATAL: init panicked at "), "{console}");
    let seen = until(RECORD_TIME_MAX, || told(guest).ok());
    let told = seen.map_or_else(|| told(guest), Ok)?;
    ensure!(!told.reset_by_watchdog, "the watchdog did not wait until the drives had flushed: {told:?}");
    println!("PID 1 panicked, and the watchdog let it end in order");
    Ok(())
}

fn a_service_is_stuck(guest: &mut Guest) -> Result<()> {
    let probe = guest.probe()?;
    guest.node.expect_restart();
    probe.write(&trigger(STUCK), "now")?;
    let console = guest.node.machine().console.clone();
    let words = format!("watchdog: not fed any more: {STUCK} has not been well");
    let said = until(TOLD_TIME_MAX, || console.text().contains(&words).then_some(()));
    said.with_context(|| format!("the console does not say {words:?}; {}", guest.node.machine().last_words()))
}

/// Puts PID 1 into a group of its own and stops the group. (It sits in the root group, which cannot be stopped; and no
/// signal stops PID 1.)
fn pid_1_stands_still(guest: &mut Guest) -> Result<()> {
    let probe = guest.probe()?;
    guest.node.expect_restart();
    probe.write(&format!("{FROZEN}/cgroup.procs"), "1")?;
    probe.write(&format!("{FROZEN}/cgroup.freeze"), "1")?;
    let events = format!("{FROZEN}/cgroup.events");
    let frozen = until(TOLD_TIME_MAX, || probe.read(&events).ok().filter(|text| text.contains("frozen 1")));
    frozen.context("PID 1 cannot be stopped").map(drop)
}

/// Nothing of the other image feeds the watchdog, which was left armed.
fn another_image_hangs(guest: &mut Guest) -> Result<()> {
    let folder = tempfile::tempdir_in(guest.workspace.output_folder("run")?)?;
    let image = image::build(&guest.workspace)?;
    let files = HttpFiles::serve(BTreeMap::from([
        ("/kernel".to_owned(), std::fs::read(&image.kernel)?),
        ("/initrd".to_owned(), std::fs::read(initrd_that_hangs(folder.path())?)?),
    ]))?;
    let url = |path: &str| format!("http://{HOST_IN_GUEST}:{}{path}", files.port());
    let agent = guest.node.agent()?;
    let ordered_ms = agent.node()?.uptime_ms.context("the node tells its uptime")?;
    agent.kexec(&KexecOrder { kernel_url: url("/kernel"), initrd_url: url("/initrd") })?;
    Stop::watch(&mut guest.node, "start the next kernel", ordered_ms)?;
    guest.node.expect_restart();
    guest.node.wait("Booting after an image that hangs")?;
    let told = told(guest)?;
    ensure!(told.reset_by_watchdog, "it was not the watchdog that ended the other image: {told:?}");
    println!("an image that hangs was reset, and the node is back with its own");
    Ok(())
}

fn the_power_button_stops_it_in_order(mut guest: Guest) -> Result<()> {
    let drives = guest.node.agent()?.drives()?;
    let service = drives.first().and_then(|drive| drive.service.clone()).context("there is a drive")?;
    let ordered_ms = guest.node.agent()?.node()?.uptime_ms.context("the node tells its uptime")?;
    guest.node.machine().qmp().press_power_button()?;
    let stop = Stop::watch(&mut guest.node, "power off", ordered_ms)?;
    stop.in_order(&[&service, "agent"])?;
    ensure!(!stop.says("did not stop within"), "{}", stop.lines.join("\n"));
    ensure!(stop.took <= STOP_TIME_MAX, "the stop took {:?}", stop.took);
    println!("stopped by the power button in {:.1} s", stop.took.as_secs_f64());
    ensure!(guest.node.machine().wait_for_end(STOP_TIME_MAX), "the machine is still on");
    Ok(())
}
