//! What a phase cost: CPU and memory of this process, and the traffic of the block device below it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The kernel counts the traffic of block devices in sectors of this many bytes, whatever the device's own
/// (Documentation/block/stat.rst).
const SECTOR_BYTES: u64 = 512;

/// Where figures are read from.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    /// `stat` of the block device whose traffic counts.
    device_stat: PathBuf,
}

/// Figures at one instant. Every one only rises, but for `memory_peak_bytes`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) cpu_s: f64,
    pub(crate) device_reads: u64,
    pub(crate) device_read_bytes: u64,
    pub(crate) device_written_bytes: u64,
}

impl Meters {
    /// Meters for the block device with that name in `/sys/block`.
    pub(crate) fn new(block_device: &str) -> Self {
        Self { device_stat: PathBuf::from("/sys/block").join(block_device).join("stat") }
    }

    /// Forgets the peak of memory, so that the next phase has its own.
    pub(crate) fn reset_memory_peak() -> Result<()> {
        // 5: the high-water mark of resident memory (proc_pid_clear_refs(5)).
        fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")
    }

    /// The most memory that was resident since the last reset, in bytes.
    pub(crate) fn memory_peak_bytes() -> Result<u64> {
        let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is no number")?;
        Ok(kib * 1024)
    }

    /// Reads every meter.
    pub(crate) fn read(&self) -> Result<Reading> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).context("cannot read this process's CPU time")?;
        let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let text = fs::read_to_string(&self.device_stat)
            .with_context(|| format!("cannot read {}", self.device_stat.display()))?;
        let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let field = |place: usize| numbers.get(place).copied().context("the device's stat is too short");
        Ok(Reading {
            #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
            cpu_s: cpu_us as f64 / 1e6,
            device_reads: field(0)?,
            device_read_bytes: field(2)? * SECTOR_BYTES,
            device_written_bytes: field(6)? * SECTOR_BYTES,
        })
    }
}

/// Writes back and drops the page cache of the whole machine, so that reads reach the disk.
pub(crate) fn drop_caches() -> Result<()> {
    nix::unistd::sync();
    // 3: the page cache, dentries and inodes (Documentation/admin-guide/sysctl/vm.rst).
    fs::write("/proc/sys/vm/drop_caches", "3").context("cannot drop the page cache")
}
