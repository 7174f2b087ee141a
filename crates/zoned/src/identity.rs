//! Who a drive is: read from the drive, kept apart from the name that the kernel gave it this time.

use std::path::PathBuf;

/// A drive's identity. What a drive does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Where it was opened: `/dev/sdb`, or the file of a simulated drive.
    pub path: PathBuf,
    /// The World Wide Name as sysfs shows it, such as `naa.5000cca2...` or `eui.0025...`.
    pub wwn: Option<String>,
    /// The serial number, without padding.
    pub serial: Option<String>,
    /// The model, without padding.
    pub model: Option<String>,
    /// The firmware revision, without padding.
    pub firmware: Option<String>,
    /// The transport: `nvme`, `scsi`, `null_blk`, `simulated`.
    pub bus: String,
}

impl Identity {
    /// The name under which the node knows the drive: its WWN, else its serial, else the last part of its path.
    ///
    /// Characters other than ASCII letters, digits, `.`, `_` and `-` become `-`, so that it can name a socket.
    #[must_use]
    pub fn id(&self) -> String {
        let fallback = || self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = self.wwn.clone().or_else(|| self.serial.clone()).or_else(fallback).unwrap_or_default();
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
    }
}
