//! One node in QEMU, and no other beside it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use imbrex_api::node::Drive;
use tempfile::TempDir;
use xtask::image;
use xtask::machine::free_ports;
use xtask::node::{Additions, DriveKind, Node, Options};
use xtask::workspace::Workspace;
use xtask::{binaries, host_packages};

use crate::added_services::{self, AddedService};
use crate::probe::{self, Probe};

/// Memory of a node with emulated NVMe drives, in MiB; the store of SCSI drives comes on top.
pub const MEMORY_MIB: u32 = 1536;

/// No test runs a guest for longer.
const RUN_TIME_MAX: Duration = Duration::from_secs(900);

/// A node, and the right to run one.
#[derive(Debug)]
pub struct Guest {
    /// The node.
    pub node: Node,
    /// The repository that it was built from.
    pub workspace: Workspace,
    probe_port: u16,
    _folder: TempDir,
    _turn: File,
}

/// What a guest has that others have not.
#[derive(Debug)]
pub struct Plan {
    /// Its drives.
    pub drives: DriveKind,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// Services that its init keeps besides the image's: with any, [`Guest::probe`] answers.
    pub services: Vec<AddedService>,
    /// Devices, options of the kernel and the like.
    pub additions: Additions,
}

impl Guest {
    /// Waits for its turn, builds what is not up to date, and switches a node on; it is not waited for.
    ///
    /// # Errors
    /// Where the image cannot be built or QEMU does not start.
    pub fn start(name: &str, drives: DriveKind, network_boot: bool) -> Result<Self> {
        let store_mib = match drives {
            DriveKind::ZonedNvme { .. } | DriveKind::BadSectors { .. } | DriveKind::Added { .. } => 0,
            DriveKind::ScsiDebug { count, size_mib } => count * size_mib,
        };
        let plan = Plan {
            drives,
            memory_mib: MEMORY_MIB + store_mib,
            services: Vec::new(),
            additions: Additions::default(),
        };
        Self::start_as(name, network_boot, |_| Ok(plan))
    }

    /// The same for a guest with what `plan` says, which may put files into the folder that it is given.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn start_as(
        name: &str,
        network_boot: bool,
        plan: impl FnOnce(&Path) -> Result<Plan>,
    ) -> Result<Self> {
        let workspace = Workspace::find()?;
        let turn = workspace.lock("guest")?;
        let folder = tempfile::tempdir_in(workspace.output_folder("run")?)?;
        let Plan { drives, memory_mib, mut services, mut additions } = plan(folder.path())?;
        host_packages::ensure()?;
        binaries::build(&workspace)?;
        let mut image = image::build(&workspace)?;
        let ports = free_ports(u16::try_from(drives.count())? + 2)?;
        if !services.is_empty() {
            services.push(AddedService::probe());
            image = added_services::add(&workspace, &image, &services, folder.path())?;
            additions.forwards.push((ports + 1, probe::PORT));
        }
        let options = Options {
            name: format!("test-{name}"),
            drives,
            network_boot,
            memory_mib,
            agent_port: ports,
            port_first: ports + 2,
            run_time_max: Some(RUN_TIME_MAX),
            additions,
        };
        let node = Node::start(&workspace, &image, options)?;
        Ok(Self { node, workspace, probe_port: ports + 1, _folder: folder, _turn: turn })
    }

    /// The tests' hand in the guest, where it has services besides the image's.
    ///
    /// # Errors
    /// Where the guest has none, or its network is not up.
    pub fn probe(&self) -> Result<Probe> {
        Probe::connect(self.probe_port)
    }

    /// The drives, once all of them serve.
    ///
    /// # Errors
    /// Where they do not.
    pub fn serving_drives(&self) -> Result<Vec<Drive>> {
        self.node.wait_for_serving()
    }
}
