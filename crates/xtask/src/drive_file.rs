//! The emulated drives of a machine: host-managed NVMe namespaces over sparse files.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One emulated drive.
#[derive(Clone, Debug)]
pub struct DriveFile {
    /// Number of the drive in its machine, from 1.
    pub number: u32,
    /// The sparse file.
    pub path: PathBuf,
}

impl DriveFile {
    /// Makes a new empty drive of that size. QEMU keeps the state of zones in memory only, so that the
    /// file of an earlier machine would hold data in zones that claim to be empty.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn create(folder: &Path, number: u32, size_bytes: u64) -> Result<Self> {
        let path = folder.join(format!("drive{number}.raw"));
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.set_len(size_bytes).with_context(|| format!("cannot give {} its size", path.display()))?;
        Ok(Self { number, path })
    }

    /// The serial number that the drive tells. Its world-wide name is made of it: Linux trusts no other
    /// name of QEMU's drives.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("IMBREX{:04}", self.number)
    }

    /// The name of its controller in QEMU.
    #[must_use]
    pub fn device(&self) -> String {
        format!("nvme{}", self.number)
    }

    /// QEMU's arguments: a port of its own, so that it can be pulled out, a controller and a namespace.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let number = self.number;
        let device = self.device();
        let options = [
            (
                "-drive",
                format!("file={},if=none,format=raw,id=file{number},cache=writeback", self.path.display()),
            ),
            ("-device", format!("pcie-root-port,id=port{number},chassis={number},slot={number}")),
            ("-device", format!("nvme,id={device},bus=port{number},serial={}", self.serial())),
            (
                "-device",
                format!(
                    "nvme-ns,bus={device},drive=file{number},nsid=1,zoned=on,zoned.zone_size=64M,\
                     zoned.max_open=16,zoned.max_active=16,logical_block_size=4096,physical_block_size=4096"
                ),
            ),
        ];
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}
