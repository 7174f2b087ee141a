//! A place to run programs in: as the disk is, or with the disk held to a hard disk's rate.
//!
//! The rate is set by a control group of our own, which is removed at the end; only programs that are started here are
//! in it. Version 1 of the control groups counts direct I/O, which is what is measured; version 2 counts all.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::until;

/// The rate of a hard disk's outer tracks in bytes a second: 269.5 MB/s is the WD Ultrastar HC690's (data sheet), 235
/// MiB/s was measured on a 15 TB drive (zonedstorage.io, fio examples for SMR hard disks).
pub const HARD_DISK_BYTES_PER_S: u64 = 250_000_000;

/// How long the control group may take to be empty.
const EMPTY_TIME_MAX: Duration = Duration::from_secs(5);

/// Where programs run.
#[derive(Debug, Default)]
pub struct Place {
    group: Option<PathBuf>,
}

impl Place {
    /// With the disk as it is.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// With reads and writes of the disk below `folder` held to `bytes_per_s` each.
    ///
    /// # Errors
    /// Where this user may not, or the kernel has no such control: the sentence says which.
    pub fn at_rate(folder: &Path, bytes_per_s: u64) -> Result<Self> {
        let device = whole_disk_of(folder)?;
        let version_1 = Path::new("/sys/fs/cgroup/blkio");
        let name = format!("imbrex-bench-{}", std::process::id());
        if version_1.join("blkio.throttle.write_bps_device").exists() {
            let place = Self::make(version_1.join(name))?;
            for side in ["read", "write"] {
                place
                    .set(&format!("blkio.throttle.{side}_bps_device"), &format!("{device} {bytes_per_s}"))?;
            }
            return Ok(place);
        }
        let version_2 = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(version_2.join("cgroup.subtree_control")).unwrap_or_default();
        if !controllers.split_whitespace().any(|controller| controller == "io") {
            bail!("the kernel's io controller is not to be had here");
        }
        let place = Self::make(version_2.join(name))?;
        place.set("io.max", &format!("{device} rbps={bytes_per_s} wbps={bytes_per_s}"))?;
        Ok(place)
    }

    fn make(group: PathBuf) -> Result<Self> {
        fs::create_dir(&group)
            .with_context(|| format!("cannot make the control group {}", group.display()))?;
        Ok(Self { group: Some(group) })
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        fs::write(group.join(name), value).with_context(|| format!("cannot set {name} to {value}"))
    }

    /// The same command, to be run in this place.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let Some(group) = &self.group else {
            let mut same = Command::new(command.get_program());
            same.args(command.get_args());
            return same;
        };
        let mut joined = Command::new("sh");
        joined.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.join("cgroup.procs"));
        joined.arg(command.get_program()).args(command.get_args());
        joined
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            // Processes of ours that have just ended leave it in a moment.
            if until(EMPTY_TIME_MAX, || fs::remove_dir(&group).ok()).is_none() {
                eprintln!("✗ the control group {} could not be removed", group.display());
            }
        }
    }
}

/// The number `MAJOR:MINOR` of the whole disk below a folder.
///
/// # Errors
/// Where the folder lies on no disk.
pub fn whole_disk_of(folder: &Path) -> Result<String> {
    let device =
        fs::metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?.st_dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let entry = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    let entry = entry.canonicalize().with_context(|| format!("{} lies on no disk", folder.display()))?;
    let whole = if entry.join("partition").exists() { entry.parent().unwrap_or(&entry) } else { &entry };
    let number = fs::read_to_string(whole.join("dev")).context("the disk has no number")?;
    Ok(number.trim().to_owned())
}
