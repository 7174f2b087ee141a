//! The emulated drives of a machine: host-managed NVMe namespaces over sparse files.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Bytes of a zone.
const ZONE_BYTES: u64 = 64 << 20;

/// One emulated drive.
#[derive(Clone, Debug)]
pub struct DriveFile {
    /// Number of the drive in its machine, from 1.
    pub number: u32,
    /// The sparse file.
    pub path: PathBuf,
    /// Places of which every read fails, in bytes.
    pub unreadable_bytes: Vec<u64>,
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
        Ok(Self { number, path, unreadable_bytes: Vec::new() })
    }

    /// The same drive, of which every zone has a sector that cannot be read, that many bytes from the zone's start.
    #[must_use]
    pub fn with_a_bad_sector_in_each_zone(self, size_bytes: u64, offset_bytes: u64) -> Self {
        let zones = 0..size_bytes / ZONE_BYTES;
        Self { unreadable_bytes: zones.map(|zone| zone * ZONE_BYTES + offset_bytes).collect(), ..self }
    }

    /// QEMU's options of the drive's medium. Its driver `blkdebug` fails the reads; a rule of the event `none` holds at
    /// all times.
    fn medium(&self) -> String {
        let (number, path) = (self.number, self.path.display());
        if self.unreadable_bytes.is_empty() {
            return format!("file={path},if=none,format=raw,id=file{number},cache=writeback");
        }
        let rule = |(rule, place): (usize, &u64)| {
            format!(
                ",inject-error.{rule}.event=none,inject-error.{rule}.iotype=read,inject-error.{rule}.errno=5,\
                 inject-error.{rule}.sector={}",
                place / 512
            )
        };
        let rules: String = self.unreadable_bytes.iter().enumerate().map(rule).collect();
        format!(
            "if=none,id=file{number},cache=writeback,driver=blkdebug,image.driver=file,image.filename={path}{rules}"
        )
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
            ("-drive", self.medium()),
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
