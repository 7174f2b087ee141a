//! Which drive a report is about.

use serde::{Deserialize, Serialize};

use crate::field::Field;

/// A name or model is kept to this length, in bytes. ATA's longest is 40, NVMe's 40, SCSI's 36.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// SCSI's peripheral device type of host-managed zoned block devices (SPC-5, 6.7.2).
const HOST_MANAGED_ZONED: u64 = 0x14;

/// How smartctl reached the drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device file that was asked. It names a drive only for as long as the kernel runs.
    pub name: Option<String>,
    /// The type of access, such as `sat`, `scsi`, `nvme` or `sat+megaraid,14`.
    pub access: Option<String>,
    /// The command set.
    pub protocol: Option<Protocol>,
}

/// A drive's command set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// ATA, and ATA behind a translator.
    Ata,
    /// SCSI, which SAS drives speak.
    Scsi,
    /// NVM Express.
    Nvme,
}

/// What a drive says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Model, as the drive tells it.
    pub model: Option<String>,
    /// The family that smartctl's database puts it in; none where the database does not know it.
    pub family: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// World-wide name as sysfs writes it: `naa.` and 16 or 32 hex digits, or `eui.` and 16.
    pub wwn: Option<String>,
    /// Whole size in bytes.
    pub capacity_bytes: Option<u64>,
    /// Rotations in a minute; 0 for a drive that does not rotate.
    pub rotation_rate_rpm: Option<u32>,
    /// Whether the drive says that it is host-managed zoned; none where it does not say.
    pub host_managed_zoned: Option<bool>,
}

impl Device {
    pub(crate) fn read(report: Field<'_>) -> Self {
        let device = report.at("device");
        let protocol = match device.at("protocol").text() {
            Some("ATA") => Some(Protocol::Ata),
            Some("SCSI") => Some(Protocol::Scsi),
            Some("NVMe") => Some(Protocol::Nvme),
            _ => None,
        };
        Self {
            name: device.at("name").owned(NAME_BYTES_MAX),
            access: device.at("type").owned(NAME_BYTES_MAX),
            protocol,
        }
    }
}

impl Identity {
    pub(crate) fn read(report: Field<'_>) -> Self {
        // smartctl 7.0 to 7.2 call SCSI's `product` and `revision`, later ones `scsi_product` and `scsi_revision`.
        let first = |names: &[&str]| names.iter().find_map(|name| report.at(name).owned(NAME_BYTES_MAX));
        let device_type = report.at("device_type").at("scsi_value").number();
        Self {
            model: first(&["model_name", "scsi_model_name", "scsi_product", "product"]),
            family: first(&["model_family"]),
            serial: first(&["serial_number"]),
            firmware: first(&["firmware_version", "scsi_revision", "revision"]),
            wwn: wwn(report),
            capacity_bytes: report
                .at("user_capacity")
                .wide("bytes")
                .or_else(|| report.wide("nvme_total_capacity")),
            rotation_rate_rpm: report.at("rotation_rate").small(),
            host_managed_zoned: device_type.map(|value| value == HOST_MANAGED_ZONED),
        }
    }
}

/// The WWN in the form that sysfs has, so that both name one drive alike.
fn wwn(report: Field<'_>) -> Option<String> {
    let ata = report.at("wwn");
    let ata = (ata.at("naa").number(), ata.at("oui").number(), ata.at("id").number());
    if let (Some(naa @ 1..=0xf), Some(oui @ 0..=0xff_ffff), Some(id @ 0..=0xf_ffff_ffff)) = ata {
        return Some(format!("naa.{naa:x}{oui:06x}{id:09x}"));
    }
    if let Some(digits) = report.at("logical_unit_id").text().and_then(|text| text.strip_prefix("0x")) {
        let good = matches!(digits.len(), 16 | 32) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return good.then(|| format!("naa.{}", digits.to_ascii_lowercase()));
    }
    let namespace = report.at("nvme_namespaces").items(1).next()?.at("eui64");
    match (namespace.at("oui").number(), namespace.at("ext_id").number()) {
        (Some(oui @ 0..=0xff_ffff), Some(id @ 0..=0xff_ffff_ffff)) if oui | id != 0 => {
            Some(format!("eui.{oui:06x}{id:010x}"))
        }
        _ => None,
    }
}
