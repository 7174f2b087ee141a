//! NVMe drives with zones that can be pulled out and put back, or that are ill from the start.
//!
//! QEMU keeps the state of zones in the memory of a namespace. Here namespaces belong to a subsystem and not to a
//! controller, so that they outlive it: a controller that is pulled out and put back finds its zones as they were.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::qmp::Qmp;

/// The zones of every such drive.
const ZONES: &str = "zoned=on,zoned.zone_size=64M,zoned.max_open=16,zoned.max_active=16,logical_block_size=4096,\
                     physical_block_size=4096";

/// The throttle group of drives that are slow, and of those that never answer.
pub const SLOW: &str = "slow";
/// See [`SLOW`].
pub const SILENT: &str = "silent";

/// What is wrong with a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illness {
    /// Every read and write fails.
    Dead,
    /// A few requests a second.
    Slow,
    /// No request is ever answered.
    Silent,
}

/// A drive of a controller of its own, which can be pulled out.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// Its number in its machine, from 1.
    pub number: u32,
}

impl Drive {
    /// Its controller's name in QEMU.
    #[must_use]
    pub fn device(self) -> String {
        format!("nvme{}", self.number)
    }

    /// Its serial number.
    #[must_use]
    pub fn serial(self) -> String {
        format!("IMBREX{:04}", self.number)
    }

    /// QEMU's arguments for it, over the block node of that name.
    #[must_use]
    pub fn arguments(self, node: &str) -> Vec<String> {
        let Self { number } = self;
        let device = self.device();
        let controller =
            format!("nvme,id={device},bus=port{number},serial={},subsys=subsystem{number}", self.serial());
        device_arguments([
            format!("pcie-root-port,id=port{number},chassis={number},slot={number}"),
            format!("nvme-subsys,id=subsystem{number},nqn=imbrex{number}"),
            controller,
            format!("nvme-ns,bus={device},drive={node},nsid=1,{ZONES}"),
        ])
    }

    /// Pulls it out.
    ///
    /// # Errors
    /// Where QEMU refuses or has gone.
    pub fn pull(self, qmp: &mut Qmp) -> Result<()> {
        qmp.device_del(&self.device())
    }

    /// Puts it back.
    ///
    /// # Errors
    /// Where QEMU refuses (it has not let go of it yet, perhaps) or has gone.
    pub fn put_back(self, qmp: &mut Qmp) -> Result<()> {
        let (port, subsystem) = (format!("port{}", self.number), format!("subsystem{}", self.number));
        let (id, serial) = (self.device(), self.serial());
        qmp.device_add("nvme", &[("id", &id), ("bus", &port), ("serial", &serial), ("subsys", &subsystem)])
    }
}

/// QEMU's arguments for a controller with a namespace for each of these block nodes.
#[must_use]
pub fn shelf(nodes: &[String]) -> Vec<String> {
    let controller = "nvme,id=shelf,serial=IMBREXSHELF".to_owned();
    let namespaces = (1..)
        .zip(nodes)
        .map(|(number, node): (u32, _)| format!("nvme-ns,bus=shelf,drive={node},nsid={number},{ZONES}"));
    device_arguments(std::iter::once(controller).chain(namespaces))
}

/// Makes a sparse file for a drive, and QEMU's arguments for a block node of that name over it.
///
/// # Errors
/// Where the file cannot be made.
pub fn file_node(folder: &Path, node: &str, size_bytes: u64) -> Result<Vec<String>> {
    let path: PathBuf = folder.join(format!("{node}.raw"));
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(size_bytes).with_context(|| format!("cannot give {} its size", path.display()))?;
    Ok(block_arguments(format!("driver=file,node-name={node},filename={}", path.display())))
}

/// QEMU's arguments for the throttle groups of ill drives.
#[must_use]
pub fn throttle_groups() -> Vec<String> {
    let limit = |group: &str, limit: &str| format!("throttle-group,id={group},{limit}");
    // With one byte a second the first request is answered, and the second after more than an hour.
    let groups = [limit(SLOW, "x-iops-total=4"), limit(SILENT, "x-bps-total=1")];
    groups.into_iter().flat_map(|group| ["-object".to_owned(), group]).collect()
}

/// QEMU's arguments for a block node over another that has this illness.
#[must_use]
pub fn ill_node(node: &str, over: &str, illness: Illness) -> Vec<String> {
    block_arguments(match illness {
        Illness::Dead => format!(
            "driver=blkdebug,node-name={node},image={over},inject-error.0.event=none,inject-error.0.iotype=read,\
             inject-error.0.errno=5,inject-error.1.event=none,inject-error.1.iotype=write,inject-error.1.errno=5"
        ),
        Illness::Slow => format!("driver=throttle,node-name={node},file={over},throttle-group={SLOW}"),
        Illness::Silent => format!("driver=throttle,node-name={node},file={over},throttle-group={SILENT}"),
    })
}

fn block_arguments(node: String) -> Vec<String> {
    vec!["-blockdev".to_owned(), node]
}

fn device_arguments(devices: impl IntoIterator<Item = String>) -> Vec<String> {
    devices.into_iter().flat_map(|device| ["-device".to_owned(), device]).collect()
}
