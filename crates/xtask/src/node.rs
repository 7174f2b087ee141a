//! A node of Imbrex in a machine: booted, waited for, its power cut, and stopped in order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use imbrex_api::drive::FormatOrder;
use imbrex_api::node::{Drive, DriveState, NodeState, ServiceState};

use crate::accelerator::Accelerator;
pub use crate::additions::Additions;
use crate::agent_client::AgentClient;
use crate::command::until;
use crate::drive_file::DriveFile;
pub use crate::drive_kind::DriveKind;
use crate::http_files::HttpFiles;
use crate::image::Image;
use crate::machine::{Boot, Machine, Parts, fresh_folder};
use crate::step::Step;
use crate::workspace::Workspace;

/// The host as a guest sees it in QEMU's user network.
pub const HOST_IN_GUEST: &str = "10.0.2.2";

/// The same where that network has no IPv4, and its options then: the host answers from its own `::1`, and the prefix is
/// that of documentation (RFC 3849).
const HOST_IN_GUEST_IPV6: &str = "[2001:db8::2]";
const IPV6_ONLY: &str = ",ipv4=off,ipv6=on,ipv6-prefix=2001:db8::,ipv6-host=2001:db8::2";

/// Where the node's configuration is served.
const NODE_TOML: &str = "/node.toml";

/// Port of the agent in the guest.
pub const AGENT_PORT: u16 = 7400;

/// From power on to an API that answers, translated, over a slow network boot, on a busy machine.
pub const BOOT_TIME_MAX: Duration = Duration::from_secs(240);

/// From an API that answers to drives that are all known.
pub const DRIVES_TIME_MAX: Duration = Duration::from_secs(120);

/// From the order to power off to its end.
const POWER_OFF_TIME_MAX: Duration = Duration::from_secs(60);

/// What a node is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name: of its folder too.
    pub name: String,
    /// Its drives.
    pub drives: DriveKind,
    /// Whether it fetches its kernel by iPXE and TFTP.
    pub network_boot: bool,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Port of the loopback that leads to its agent.
    pub agent_port: u16,
    /// Data port of its first drive, here and in the guest.
    pub port_first: u16,
    /// After which it is killed; `None` where a person decides.
    pub run_time_max: Option<Duration>,
    /// What it has besides.
    pub additions: Additions,
}

/// How long a start took, from power on.
#[derive(Clone, Copy, Debug)]
pub struct BootTime {
    /// To a management API that answers.
    pub api: Duration,
    /// To drives that are all known and past their start.
    pub drives: Duration,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    machine: Machine,
    configuration: HttpFiles,
    options: Options,
    accelerator: Accelerator,
    powered_on: Instant,
    agent: Option<AgentClient>,
}

impl Node {
    /// Switches a new node on, with empty drives. It is not waited for.
    ///
    /// # Errors
    /// Where a port is in use or QEMU does not start.
    pub fn start(workspace: &Workspace, image: &Image, options: Options) -> Result<Self> {
        let accelerator = Accelerator::find(workspace, image)?;
        let folder = workspace.output_folder("run")?.join(&options.name);
        fresh_folder(&folder)?;
        let drives = match options.drives {
            DriveKind::ZonedNvme { count, size_bytes } => (1..=count)
                .map(|number| DriveFile::create(&folder, number, size_bytes))
                .collect::<Result<Vec<_>>>()?,
            DriveKind::BadSectors { count, size_bytes, offset_bytes } => (1..=count)
                .map(|number| {
                    let drive = DriveFile::create(&folder, number, size_bytes)?;
                    Ok(match number {
                        2 => drive.with_a_bad_sector_in_each_zone(size_bytes, offset_bytes),
                        _ => drive,
                    })
                })
                .collect::<Result<Vec<_>>>()?,
            DriveKind::ScsiDebug { .. } | DriveKind::Added { .. } => Vec::new(),
        };
        let Additions { devices, kernel_options, forwards, more_cards, ipv6_only, .. } =
            options.additions.clone();
        let (address, host, network_options): (IpAddr, _, _) = match ipv6_only {
            false => (Ipv4Addr::LOCALHOST.into(), HOST_IN_GUEST, ""),
            true => (Ipv6Addr::LOCALHOST.into(), HOST_IN_GUEST_IPV6, IPV6_ONLY),
        };
        let files = BTreeMap::from([(NODE_TOML.to_owned(), node_toml(&options).into_bytes())]);
        let configuration = HttpFiles::serve_on(address, files)?;
        let url = format!("http://{host}:{}{NODE_TOML}", configuration.port());
        let drive_options = options.drives.kernel_options();
        let fixed = format!("console=ttyS0,115200 panic=10{drive_options} {kernel_options}");
        let boot = match options.network_boot {
            false => Boot::Direct,
            true => network_boot(workspace, image, &folder, &fixed, &url)?,
        };
        let count = u16::try_from(options.drives.count()).context("a node has fewer than 65536 drives")?;
        let data = (options.port_first..options.port_first + count).map(|port| (port, port));
        let forwards = data.chain(forwards).chain([(options.agent_port, AGENT_PORT)]);
        let parts = Parts {
            folder,
            accelerator,
            memory_mib: options.memory_mib,
            kernel_options: format!("{fixed} imbrex.config={url}"),
            boot,
            drives,
            devices,
            more_cards,
            forwards: forwards.filter(|_| !ipv6_only).collect(),
            network_options,
            run_time_max: options.run_time_max,
        };
        let powered_on = Instant::now();
        let machine = Machine::start(image, &parts)?;
        Ok(Self { machine, configuration, options, accelerator, powered_on, agent: None })
    }

    /// Waits until the API answers and every drive is known and past its start.
    ///
    /// # Errors
    /// Where that takes too long or the machine ends: the sentence quotes the console.
    pub fn wait(&mut self, what: &str) -> Result<BootTime> {
        let api = self.wait_for_api(what)?;
        let mut step = Step::begin("Waiting for the drives");
        let agent = self.agent()?;
        let wanted = usize::try_from(self.options.drives.count()).context("too many drives")?;
        let mut seen = String::from("none");
        let settled = until(DRIVES_TIME_MAX, || {
            step.still(&format!("the API answers; drives so far: {seen}"));
            let node = agent.node().ok()?;
            let drives = agent.drives().ok()?;
            seen = drives.iter().map(describe).collect::<Vec<_>>().join(", ");
            if let Some(failed) =
                drives.iter().find(|drive| drive.service_state == Some(ServiceState::Maintenance))
            {
                return Some(Err(describe(failed)));
            }
            let known = drives.len() == wanted && drives.iter().all(is_settled);
            (known && node.state == NodeState::Running).then_some(Ok(()))
        });
        if let Some(Err(failed)) = settled {
            bail!("a drive's process does not stay up: {failed}");
        }
        if settled.is_none() {
            bail!(
                "the node's {wanted} drives are not all up after {} s; it has: {seen}; {}",
                DRIVES_TIME_MAX.as_secs(),
                self.machine.last_words()
            );
        }
        let time = BootTime { api, drives: self.powered_on.elapsed() };
        step.done("");
        Ok(time)
    }

    /// Waits until the API answers, and for no drive; says how long that took from power on.
    ///
    /// # Errors
    /// Where that takes too long or the machine ends: the sentence quotes the console.
    pub fn wait_for_api(&mut self, what: &str) -> Result<Duration> {
        let mut step = Step::begin(what);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.options.agent_port));
        let agent = until(BOOT_TIME_MAX, || {
            step.still("the node has not told its certificate's fingerprint on the console yet");
            if !self.machine.is_running() {
                return Some(None);
            }
            let agent = AgentClient::new(address, self.machine.console.fingerprint()?);
            agent.node().is_ok().then_some(Some(agent))
        });
        let Some(agent) = agent.flatten() else {
            bail!("the node's API does not answer; {}", self.machine.last_words());
        };
        self.agent = Some(agent);
        let api = self.powered_on.elapsed();
        step.done(&format!("the API answered after {:.1} s", api.as_secs_f64()));
        Ok(api)
    }

    /// The node's management API.
    ///
    /// # Errors
    /// Where the node was not waited for since it was switched on.
    pub fn agent(&self) -> Result<AgentClient> {
        self.agent.clone().context("the node was not waited for")
    }

    /// How its machine runs.
    #[must_use]
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// The machine that it runs in.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// The address of a drive's data API on this side.
    ///
    /// # Errors
    /// Where the drive has no port.
    pub fn data_address(&self, drive: &Drive) -> Result<SocketAddr> {
        let port = drive.data_port.with_context(|| format!("drive {} has no data port", drive.id))?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Formats every drive, and waits until all of them serve.
    ///
    /// # Errors
    /// Where a drive refuses or does not come to serve.
    pub fn format_drives(&self) -> Result<Vec<Drive>> {
        let agent = self.agent()?;
        for drive in agent.drives()? {
            let serial = drive.serial.clone().unwrap_or_else(|| drive.id.clone());
            let order = FormatOrder { serial, ..FormatOrder::default() };
            agent
                .format(&drive.id, &order)
                .with_context(|| format!("drive {} is not formatted", drive.id))?;
        }
        self.wait_for_serving()
    }

    /// Waits until every drive serves.
    ///
    /// # Errors
    /// Where that takes too long, with the drives' states.
    pub fn wait_for_serving(&self) -> Result<Vec<Drive>> {
        let agent = self.agent()?;
        let mut seen = String::new();
        let drives = until(DRIVES_TIME_MAX, || {
            let drives = agent.drives().ok()?;
            seen = drives.iter().map(describe).collect::<Vec<_>>().join(", ");
            drives.iter().all(|drive| drive.state == DriveState::Serving).then_some(drives)
        });
        drives
            .with_context(|| format!("not every drive serves after {} s: {seen}", DRIVES_TIME_MAX.as_secs()))
    }

    /// Cuts the power: no shutdown, no flush. The node starts again by itself; wait for it.
    ///
    /// # Errors
    /// Where QEMU has gone.
    pub fn cut_power(&mut self) -> Result<()> {
        self.agent = None;
        self.machine.cut_power()?;
        self.powered_on = Instant::now();
        Ok(())
    }

    /// Gives the node another memory for each drive's process, in MiB, from its next boot on.
    pub fn configure_drive_memory(&mut self, drive_memory_mib: Option<u64>) {
        self.options.additions.drive_memory_mib = drive_memory_mib;
        self.configuration.set(NODE_TOML, node_toml(&self.options).into_bytes());
    }

    /// The node is about to start again by itself: what is known of this boot counts no more. Wait for the next.
    pub fn expect_restart(&mut self) {
        self.agent = None;
        self.machine.console.restart();
        self.powered_on = Instant::now();
    }

    /// Stops the node in order, and ends QEMU where it does not go by itself.
    ///
    /// # Errors
    /// Where the node does not power off in time; its machine is gone nevertheless.
    pub fn power_off(mut self) -> Result<Duration> {
        let started = Instant::now();
        let ordered = self.agent().and_then(|agent| agent.power_off());
        if ordered.is_ok() && self.machine.wait_for_end(POWER_OFF_TIME_MAX) {
            return Ok(started.elapsed());
        }
        let words = self.machine.last_words();
        // Whatever it answers, the machine is killed when it is dropped.
        let _ = self.machine.qmp().quit();
        ordered?;
        bail!("the node does not power off within {} s; {words}", POWER_OFF_TIME_MAX.as_secs())
    }
}

/// The configuration that the node fetches.
fn node_toml(options: &Options) -> String {
    let memory = options.additions.drive_memory_mib.map(|mib| format!("memory_mib = {mib}\n"));
    format!(
        "name = \"{}\"\n\n[drives]\nport_first = {}\n{}\n{}",
        options.name,
        options.port_first,
        memory.unwrap_or_default(),
        options.additions.configuration
    )
}

/// Whether a drive's process has said what it is.
fn is_settled(drive: &Drive) -> bool {
    !matches!(
        drive.state,
        DriveState::Starting
            | DriveState::Mounting
            | DriveState::Formatting
            | DriveState::Stopped
            | DriveState::Unresponsive
            | DriveState::Unknown
    ) && drive.data_port.is_some()
}

fn describe(drive: &Drive) -> String {
    let reason = drive.state_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{} {}{reason}", drive.id, drive.state.as_str())
}

/// Lays out what the guest's firmware fetches.
fn network_boot(
    workspace: &Workspace,
    image: &Image,
    folder: &Path,
    options: &str,
    url: &str,
) -> Result<Boot> {
    let served = folder.join("tftp");
    std::fs::create_dir_all(&served).with_context(|| format!("cannot make {}", served.display()))?;
    for (source, name) in [(&image.kernel, "vmlinuz"), (&image.initrd, "initrd.zst")] {
        let source = source.canonicalize().with_context(|| format!("{} is not there", source.display()))?;
        symlink(source, served.join(name)).with_context(|| format!("cannot link {name} for TFTP"))?;
    }
    let template = workspace.root().join("image/boot.ipxe");
    let script = std::fs::read_to_string(&template)
        .with_context(|| format!("cannot read {}", template.display()))?
        .replace("@base@", &format!("tftp://{HOST_IN_GUEST}"))
        .replace("@kernel_options@", options)
        .replace("@config@", url);
    std::fs::write(served.join("boot.ipxe"), script).context("cannot write the script of iPXE")?;
    Ok(Boot::Network { folder: served, script: "boot.ipxe".to_owned() })
}
