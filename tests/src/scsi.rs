//! An emulated SCSI drive that falls ill: the kernel's scsi_debug is told so in debugfs.

use anyhow::{Context, Result};

use crate::probe::Probe;

/// Where the kernel's emulated SCSI drives are told to be ill, and the commands that read and write (SBC-4, 5.12 and
/// on): those of 10 and of 16 bytes; and SYNCHRONIZE CACHE, with which the kernel would have it flush in the end.
const SCSI_DEBUG: &str = "/sys/kernel/debug/scsi_debug";
const COMMANDS: [&str; 6] = ["0x28", "0x2a", "0x88", "0x8a", "0x35", "0x91"];

/// From now on the guest's first emulated SCSI drive answers none of [`COMMANDS`], and the kernel waits for it as for a drive
/// that says that it needs an hour.
///
/// # Errors
/// Where the guest has no such drive, or does not answer.
pub fn freeze(probe: &Probe) -> Result<()> {
    probe.mount("debugfs", "/sys/kernel/debug")?;
    let names = probe.list(SCSI_DEBUG)?;
    let name = names.iter().find(|name| name.matches(':').count() == 3).context("there is a SCSI drive")?;
    probe.write(&format!("/sys/class/scsi_device/{name}/device/timeout"), "3600")?;
    for command in COMMANDS {
        // Type 0 of scsi_debug's errors: the command is never answered; a positive count: from now on.
        probe.write(&format!("{SCSI_DEBUG}/{name}/error"), &format!("0 1 {command}"))?;
    }
    Ok(())
}
