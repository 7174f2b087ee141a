//! Where a drive sits among the kernel's devices: its adapter, and every name that the kernel's log may call it by.
//!
//! All of it stands in the path of the device below `/sys/devices`, for example
//! `pci0000:00/0000:3b:00.0/host0/port-0:0/end_device-0:0/target0:0:1/0:0:1:0/block/sda`.

use std::fs;
use std::path::Path;

use crate::file::read_line;

/// At most this many controllers of one NVMe subsystem are looked at.
const CONTROLLERS_MAX: usize = 16;

/// The vendor that the kernel gives a drive that it reaches by a translation from SCSI to ATA (SAT-3, 8.1.2).
const ATA_VENDOR: &str = "ATA";

/// Where a drive sits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// The adapter: its driver and its place, for example `mpt3sas 0000:3b:00.0`. For NVMe, the drive's own.
    pub(crate) adapter: Option<String>,
    /// What the kernel's log may call the drive: `sda`, `0:0:1:0`, `ata3`, `nvme0`, `0000:3b:00.0`.
    pub(crate) names: Vec<String>,
    /// Whether it speaks ATA behind the kernel's SCSI.
    pub(crate) is_ata: bool,
}

/// The whereabouts of the block device `name`; as much as sysfs tells.
pub(super) fn read(sysfs: &Path, name: &str) -> Whereabouts {
    let block = sysfs.join("block").join(name);
    let mut names = vec![name.to_owned()];
    if let Ok(path) = fs::canonicalize(&block) {
        names.extend(components(&path));
    }
    // A drive that could be reached by several controllers hangs below its subsystem, beside them.
    for controller in controllers(&block.join("device")) {
        if let Ok(path) = fs::canonicalize(&controller) {
            names.extend(components(&path));
        }
    }
    names.sort();
    names.dedup();
    Whereabouts {
        adapter: names.iter().rfind(|name| is_pci_address(name)).map(|address| with_driver(sysfs, address)),
        is_ata: read_line(&block.join("device/vendor")).is_some_and(|vendor| vendor == ATA_VENDOR),
        names,
    }
}

/// Those parts of a path below `/sys/devices` by which the kernel's log calls a drive: of the addresses on PCI only
/// the last, the others are bridges.
fn components(path: &Path) -> Vec<String> {
    let parts = path.iter().filter_map(|part| part.to_str()).map(str::to_owned);
    let mut names: Vec<_> = parts.filter(|part| is_log_name(part)).collect();
    if let Some(last) = names.iter().rposition(|name| is_pci_address(name)) {
        let adapter = names[last].clone();
        names.retain(|name| !is_pci_address(name) || *name == adapter);
    }
    names
}

fn is_log_name(part: &str) -> bool {
    let numbered = |prefix: &str| {
        part.strip_prefix(prefix).is_some_and(|rest| {
            rest.starts_with(|digit: char| digit.is_ascii_digit())
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    is_pci_address(part) || is_scsi_address(part) || numbered("ata") || numbered("nvme")
}

/// `0000:3b:00.0`: domain, bus, device and function, in hex.
fn is_pci_address(part: &str) -> bool {
    let Some((place, function)) = part.rsplit_once('.') else { return false };
    let fields: Vec<_> = place.split(':').collect();
    let is_hex = |field: &str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_hexdigit());
    fields.len() == 3 && fields.iter().all(|field| is_hex(field)) && is_hex(function)
}

/// `0:0:1:0`: host, channel, target and unit.
fn is_scsi_address(part: &str) -> bool {
    let fields: Vec<_> = part.split(':').collect();
    fields.len() == 4
        && fields.iter().all(|field| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()))
}

fn controllers(subsystem: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(subsystem) else { return Vec::new() };
    let is_controller = |name: &str| {
        name.strip_prefix("nvme")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let names = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.file_name().to_str().is_some_and(is_controller).then(|| entry.path())
    });
    names.take(CONTROLLERS_MAX).collect()
}

fn with_driver(sysfs: &Path, address: &str) -> String {
    let link = fs::read_link(sysfs.join("bus/pci/devices").join(address).join("driver"));
    match link.ok().and_then(|driver| Some(driver.file_name()?.to_str()?.to_owned())) {
        Some(driver) => format!("{driver} {address}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn sysfs_with_disk(name: &str, path: &str) -> tempfile::TempDir {
        let sysfs = tempfile::tempdir().unwrap();
        let disk = sysfs.path().join("devices").join(path).join(name);
        fs::create_dir_all(&disk).unwrap();
        fs::create_dir_all(sysfs.path().join("block")).unwrap();
        symlink(&disk, sysfs.path().join("block").join(name)).unwrap();
        sysfs
    }

    #[test]
    fn a_disk_behind_an_adapter_is_known_by_its_adapter_and_its_address() {
        let path = "pci0000:00/0000:00:1c.0/0000:3b:00.0/ata3/host2/target2:0:0/2:0:0:0/block";
        let sysfs = sysfs_with_disk("sdb", path);
        let adapter = sysfs.path().join("bus/pci/devices/0000:3b:00.0");
        fs::create_dir_all(&adapter).unwrap();
        symlink("../../../bus/pci/drivers/ahci", adapter.join("driver")).unwrap();
        let device = sysfs.path().join("block/sdb/device");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), "ATA     \n").unwrap();
        let found = read(sysfs.path(), "sdb");
        assert_eq!(found.adapter.as_deref(), Some("ahci 0000:3b:00.0"));
        assert_eq!(found.names, ["0000:3b:00.0", "2:0:0:0", "ata3", "sdb"]);
        assert!(found.is_ata);
    }

    #[test]
    fn an_nvme_drive_is_its_own_adapter() {
        let sysfs = sysfs_with_disk("nvme0n1", "pci0000:00/0000:00:04.0/nvme/nvme0");
        let found = read(sysfs.path(), "nvme0n1");
        assert_eq!(found.adapter.as_deref(), Some("0000:00:04.0"));
        assert_eq!(found.names, ["0000:00:04.0", "nvme0", "nvme0n1"]);
    }

    #[test]
    fn a_drive_of_a_subsystem_is_known_by_its_controllers() {
        let sysfs = sysfs_with_disk("nvme0n1", "virtual/nvme-subsystem/nvme-subsys0");
        let controller = sysfs.path().join("devices/pci0000:00/0000:00:05.0/nvme/nvme3");
        fs::create_dir_all(&controller).unwrap();
        let subsystem = sysfs.path().join("devices/virtual/nvme-subsystem/nvme-subsys0");
        symlink(&subsystem, sysfs.path().join("block/nvme0n1/device")).unwrap();
        symlink(&controller, subsystem.join("nvme3")).unwrap();
        let found = read(sysfs.path(), "nvme0n1");
        assert_eq!(found.names, ["0000:00:05.0", "nvme0n1", "nvme3"]);
        assert_eq!(found.adapter.as_deref(), Some("0000:00:05.0"));
    }

    #[test]
    fn a_device_without_a_path_has_its_name_alone() {
        let sysfs = tempfile::tempdir().unwrap();
        let found = read(sysfs.path(), "nullb0");
        assert_eq!(found, Whereabouts { names: vec!["nullb0".to_owned()], ..Whereabouts::default() });
    }
}
