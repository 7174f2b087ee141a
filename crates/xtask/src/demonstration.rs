//! `cargo xtask up`: a node that boots, stores, loses its power, and gives every byte back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use imbrex_api::node::Drive;

use crate::binaries;
use crate::image::{self, Image};
use crate::node::{Additions, BootTime, DriveKind, Node, Options};
use crate::report::{Report, bytes_text, rate_text, seconds_text};
use crate::source_tree::{Compared, SourceTree, compare};
use crate::step::Step;
use crate::storage_client::{PutReport, StorageClient};
use crate::workspace::Workspace;

/// Drives of the demonstration, and the size of each.
const DRIVE_COUNT: u32 = 4;
const DRIVE_SIZE_BYTES: u64 = 4 << 30;

/// Memory of the node, in MiB.
const MEMORY_MIB: u32 = 1536;

/// Longest transfer: some hundred MB through a translated guest.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(900);

/// A `--check` that hangs ends after this.
const CHECK_TIME_MAX: Duration = Duration::from_secs(1500);

/// What a person asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to store; `None` for the default.
    pub path: Option<PathBuf>,
    /// Whether to stop at the end instead of leaving the node running.
    pub check: bool,
    /// Whether the node boots over the network.
    pub network_boot: bool,
    /// Port of the loopback that leads to the agent.
    pub agent_port: u16,
    /// Data port of the first drive.
    pub port_first: u16,
    /// Folder of an image that was built before; `None` builds what is not up to date.
    pub image: Option<PathBuf>,
}

/// What one run found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The first start.
    pub first_boot: BootTime,
    /// The start after the power cut.
    pub second_boot: BootTime,
    /// What was stored.
    pub stored: PutReport,
    /// How long reading it back took.
    pub read_back: Duration,
    /// What was compared, all of it equal.
    pub compared: Compared,
}

/// Builds everything, and runs the demonstration.
///
/// # Errors
/// Where anything fails, or a byte is not what it was.
pub fn run(workspace: &Workspace, request: &Request) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends this process at once, and the kernel then kills QEMU.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
            .context("cannot prepare for Ctrl-C")?;
    }
    binaries::build(workspace)?;
    let image = match &request.image {
        Some(folder) => Image::open(folder)?,
        None => image::build(workspace)?,
    };
    let source = match &request.path {
        Some(path) => SourceTree::named(path)?,
        None => SourceTree::default_of(workspace)?,
    };
    let options = Options {
        name: if request.network_boot { "imbrex-demo-pxe" } else { "imbrex-demo" }.to_owned(),
        drives: DriveKind::ZonedNvme { count: DRIVE_COUNT, size_bytes: DRIVE_SIZE_BYTES },
        network_boot: request.network_boot,
        memory_mib: MEMORY_MIB,
        agent_port: request.agent_port,
        port_first: request.port_first,
        run_time_max: request.check.then_some(CHECK_TIME_MAX),
        additions: Additions::default(),
    };
    let mut node = Node::start(workspace, &image, options)?;
    let mut report = Report::default();
    let outcome = store_cut_and_compare(workspace, &mut node, &source, &interrupted);
    let findings = match outcome {
        Ok(findings) => findings,
        Err(error) if interrupted.load(Ordering::Relaxed) => {
            stop(node)?;
            // A person who ends a demonstration has what he wanted; a check that was ended has checked nothing.
            ensure!(!request.check, "interrupted before everything was compared ({error:#})");
            eprintln!("Interrupted ({error:#})");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    fill(&mut report, workspace, &image, &node, &source, &findings)?;
    println!("{report}");
    if request.check {
        return stop(node);
    }
    print_next(&node, workspace, &findings)?;
    while !interrupted.load(Ordering::Relaxed) {
        if !node.machine().is_running() {
            bail!("the node is gone: {}", node.machine().last_words());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    stop(node)
}

/// The demonstration itself, on a node that was just switched on.
///
/// # Errors
/// Where anything fails, or a byte is not what it was.
pub fn store_cut_and_compare(
    workspace: &Workspace,
    node: &mut Node,
    source: &SourceTree,
    interrupted: &AtomicBool,
) -> Result<Findings> {
    let go_on = || match interrupted.load(Ordering::Relaxed) {
        true => bail!("stopped by Ctrl-C"),
        false => Ok(()),
    };
    let first_boot = node.wait("Booting the node")?;
    go_on()?;
    let client = StorageClient::new(workspace, &node.agent()?, TRANSFER_TIME_MAX);
    let step = Step::begin("Formatting the drives");
    for drive in node.agent()?.drives()? {
        let serial = drive.serial.clone().unwrap_or_else(|| drive.id.clone());
        client.format(&drive.id, &serial)?;
    }
    node.wait_for_serving()?;
    step.done("");
    go_on()?;

    let step = Step::begin(format!("Storing {}", source.description));
    let stored = client.put(&source.path)?;
    let bytes = stored.items.iter().map(|item| item.bytes).sum();
    let outcome = rate_text(bytes, step.elapsed());
    step.done(&outcome);
    go_on()?;

    eprintln!("⚡ Cutting the power: no shutdown, no flush");
    node.cut_power()?;
    let second_boot = node.wait("Booting again")?;
    node.wait_for_serving()?;
    go_on()?;

    let client = StorageClient::new(workspace, &node.agent()?, TRANSFER_TIME_MAX);
    let folder = tempfile::tempdir_in(workspace.output_folder("run")?).context("cannot make a folder")?;
    let step = Step::begin("Reading everything back");
    let (mut read_back, mut compared) = (Duration::ZERO, Compared::default());
    for (number, item) in stored.items.iter().enumerate() {
        let target = folder.path().join(number.to_string());
        read_back += client.get(&item.key, &target)?;
        let equal = compare(&source.path, &target)?;
        compared.files += equal.files;
        compared.bytes += equal.bytes;
    }
    step.done(&rate_text(compared.bytes, read_back));
    if stored.items.is_empty() || compared.bytes != bytes {
        bail!("{bytes} bytes were stored and {} came back", compared.bytes);
    }
    Ok(Findings { first_boot, second_boot, stored, read_back, compared })
}

fn fill(
    report: &mut Report,
    workspace: &Workspace,
    image: &Image,
    node: &Node,
    source: &SourceTree,
    findings: &Findings,
) -> Result<()> {
    report.section("Sizes");
    let [kernel, initrd, unified] = image.sizes()?;
    report.line("kernel", bytes_text(kernel));
    report.line("initrd", bytes_text(initrd));
    report.line("kernel + initrd", bytes_text(kernel + initrd));
    report.line("both as one UEFI file", bytes_text(unified));
    for (name, size) in binaries::sizes(workspace)? {
        report.line(name, bytes_text(size));
    }
    let agent = node.agent()?;
    report.section(format!("Start, in QEMU with {}", node.accelerator().name()));
    for (name, time) in [("first", findings.first_boot), ("after the power cut", findings.second_boot)] {
        let text =
            format!("API after {}, drives after {}", seconds_text(time.api), seconds_text(time.drives));
        report.line(name, text);
    }
    let boot = agent.node()?;
    for stage in &boot.boot {
        let took = stage.took_ms.map_or_else(|| "under way".to_owned(), |took| format!("{took} ms"));
        report
            .line(format!("  its stage {}", stage.stage), format!("at {} ms, took {took}", stage.started_ms));
    }
    report.section("Resident memory on the node");
    let drives = agent.drives()?;
    for service in agent.services()?.services {
        let rss = service.rss_bytes.map_or_else(|| "unknown".to_owned(), bytes_text);
        let drive =
            service.name.strip_prefix("drive@").map(|id| format!("drive {}", short_name(id, &drives)));
        report.line(drive.unwrap_or(service.name), rss);
    }
    if let (Some(total), Some(available)) = (boot.memory.total_bytes, boot.memory.available_bytes) {
        report.line(
            "whole node, in use",
            format!("{} of {}", bytes_text(total - available), bytes_text(total)),
        );
    }
    fill_storage(report, source, findings, &drives);
    Ok(())
}

/// What a person calls a drive: its serial number, where it has one.
fn short_name<'name>(id: &'name str, drives: &'name [Drive]) -> &'name str {
    let drive = drives.iter().find(|drive| drive.id == id);
    drive.and_then(|drive| drive.serial.as_deref()).unwrap_or(id)
}

fn fill_storage(report: &mut Report, source: &SourceTree, findings: &Findings, drives: &[Drive]) {
    report.section("Where it went (the drives are emulated)");
    for share in &findings.stored.drives {
        let drive = drives.iter().find(|drive| drive.id == share.id);
        let port = drive.and_then(|drive| drive.data_port).map(|port| port.to_string()).unwrap_or_default();
        let text = format!("{} blocks, {}, by port {port}", share.blocks, bytes_text(share.bytes));
        report.line(short_name(&share.id, drives), text);
    }
    report.section("Stored, power cut, read back");
    report.line("source", &source.description);
    for item in &findings.stored.items {
        let took = Duration::from_secs_f64(item.seconds.max(0.0));
        let text = format!(
            "{} files, {} in {}: {}",
            item.files,
            bytes_text(item.bytes),
            seconds_text(took),
            rate_text(item.bytes, took)
        );
        report.line("stored", text);
        report.line("key", &item.key);
    }
    let Compared { files, bytes } = findings.compared;
    let took = findings.read_back;
    report.line(
        "read back",
        format!("{files} files, {} in {}: {}", bytes_text(bytes), seconds_text(took), rate_text(bytes, took)),
    );
    report.line("compared", format!("{files} files, {bytes} bytes, names and bytes one by one"));
    report.line("verdict", "EQUAL: every byte came back after the power cut");
}

fn print_next(node: &Node, workspace: &Workspace, findings: &Findings) -> Result<()> {
    let agent = node.agent()?;
    let client = StorageClient::new(workspace, &agent, TRANSFER_TIME_MAX).command_line();
    println!("The node runs. Try:\n");
    println!("  curl --insecure {}/v1/node", agent.url());
    println!("  curl --insecure {}/v1/drives", agent.url());
    let drives = agent.drives()?;
    if let Some(drive) = drives.first() {
        let address = node.data_address(drive)?;
        println!("  curl http://{address}/v1/drive");
        println!("  curl 'http://{address}/v1/blocks?limit=3'");
    }
    println!("  {client} node");
    println!("  {client} drives");
    println!("  {client} put README.md");
    for item in &findings.stored.items {
        println!("  {client} get {} -o copy", item.key);
    }
    println!("\nCtrl-C stops the node in order; a second one kills it.");
    Ok(())
}

fn stop(node: Node) -> Result<()> {
    let step = Step::begin("Stopping the node in order");
    node.power_off()?;
    step.done("");
    Ok(())
}
