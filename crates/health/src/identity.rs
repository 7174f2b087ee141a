//! What a drive is, and what it is attached to.

use serde::{Deserialize, Serialize};

/// A drive and its surroundings, as far as they are known. What is not known is `None`, and matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// World-wide name.
    pub wwn: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Model, as the drive itself or smartctl gives it.
    pub model: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// How it is attached.
    pub bus: Bus,
    /// The host bus adapter: its driver and its place, for example `mpt3sas 0000:3b:00.0`.
    pub hba: Option<String>,
    /// The kernel's release, as `uname -r` gives it.
    pub kernel: Option<String>,
}

/// How a drive is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bus {
    /// NVMe.
    Nvme,
    /// SATA, also behind a SAS adapter.
    Sata,
    /// SAS.
    Sas,
    /// Not known.
    #[default]
    Unknown,
}
