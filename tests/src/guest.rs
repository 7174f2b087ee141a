//! One node in QEMU, and no other beside it.

use std::fs::File;
use std::time::Duration;

use anyhow::Result;
use imbrex_api::node::Drive;
use xtask::image;
use xtask::machine::free_ports;
use xtask::node::{DriveKind, Node, Options};
use xtask::workspace::Workspace;
use xtask::{binaries, host_packages};

/// Memory of a node with emulated NVMe drives, in MiB; the store of SCSI drives comes on top.
const MEMORY_MIB: u32 = 1536;

/// No test runs a guest for longer.
const RUN_TIME_MAX: Duration = Duration::from_secs(900);

/// A node, and the right to run one.
#[derive(Debug)]
pub struct Guest {
    /// The node.
    pub node: Node,
    /// The repository that it was built from.
    pub workspace: Workspace,
    _turn: File,
}

impl Guest {
    /// Waits for its turn, builds what is not up to date, and switches a node on; it is not waited for.
    ///
    /// # Errors
    /// Where the image cannot be built or QEMU does not start.
    pub fn start(name: &str, drives: DriveKind, network_boot: bool) -> Result<Self> {
        let workspace = Workspace::find()?;
        let turn = workspace.lock("guest")?;
        host_packages::ensure()?;
        binaries::build(&workspace)?;
        let image = image::build(&workspace)?;
        let store_mib = match drives {
            DriveKind::ZonedNvme { .. } | DriveKind::BadSectors { .. } => 0,
            DriveKind::ScsiDebug { count, size_mib } => count * size_mib,
        };
        let ports = free_ports(u16::try_from(drives.count())? + 1)?;
        let options = Options {
            name: format!("test-{name}"),
            drives,
            network_boot,
            memory_mib: MEMORY_MIB + store_mib,
            agent_port: ports,
            port_first: ports + 1,
            run_time_max: Some(RUN_TIME_MAX),
        };
        let node = Node::start(&workspace, &image, options)?;
        Ok(Self { node, workspace, _turn: turn })
    }

    /// The drives, once all of them serve.
    ///
    /// # Errors
    /// Where they do not.
    pub fn serving_drives(&self) -> Result<Vec<Drive>> {
        self.node.wait_for_serving()
    }
}
