//! A drive's identity from sysfs: what the kernel knows without asking the drive.
//!
//! A value that is not there stays `None`. Reading may block where a queue is frozen: callers use a
//! thread of their own and a deadline.

mod whereabouts;

use std::path::Path;

use imbrex_api::node::{Bus, Zones};

use crate::file::{read_bounded, read_line};
pub(crate) use whereabouts::Whereabouts;

/// The unit of `size` and `chunk_sectors` in sysfs, whatever the drive's blocks are.
const SECTOR_BYTES: u64 = 512;

/// SCSI's vital product data page of the unit serial number: a header of 4 bytes (the page code in
/// the second, the length in the last two, big-endian), then the serial in ASCII (SPC-4, 7.8.18).
const SERIAL_PAGE: u8 = 0x80;
const PAGE_HEADER_BYTES: usize = 4;

/// What the kernel knows of a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// World-wide name.
    pub(crate) wwn: Option<String>,
    /// Serial number.
    pub(crate) serial: Option<String>,
    /// Model.
    pub(crate) model: Option<String>,
    /// Firmware revision.
    pub(crate) firmware: Option<String>,
    /// How it is attached.
    pub(crate) bus: Bus,
    /// Whole size in bytes.
    pub(crate) capacity_bytes: Option<u64>,
    /// Bytes in a logical block.
    pub(crate) logical_block_bytes: Option<u64>,
    /// Bytes in a physical block.
    pub(crate) physical_block_bytes: Option<u64>,
    /// Its zones, without their conditions.
    pub(crate) zones: Zones,
    /// Where it sits.
    pub(crate) whereabouts: Whereabouts,
}

/// Reads the identity of the device file `device` below `sysfs` (where sysfs is mounted); `None` where
/// the kernel has no such block device.
pub(crate) fn read_identity(sysfs: &Path, device: &str) -> Option<Identity> {
    let name = kernel_name(device)?;
    let block = sysfs.join("block").join(&name);
    if !block.is_dir() {
        return None;
    }
    let queue = block.join("queue");
    let number = |path: &Path| read_line(path).and_then(|text| text.parse::<u64>().ok());
    let bytes = |path: &Path| number(path).and_then(|sectors| sectors.checked_mul(SECTOR_BYTES));
    let zones = if read_line(&queue.join("zoned")).is_some_and(|zoned| zoned != "none") {
        Zones {
            count: number(&queue.join("nr_zones")),
            size_bytes: bytes(&queue.join("chunk_sectors")),
            open_max: number(&queue.join("max_open_zones")),
            active_max: number(&queue.join("max_active_zones")),
            ..Zones::default()
        }
    } else {
        Zones::default()
    };
    Some(Identity {
        wwn: read_line(&block.join("wwid")).or_else(|| read_line(&block.join("device/wwid"))),
        serial: read_line(&block.join("device/serial"))
            .or_else(|| read_serial_page(&block.join("device/vpd_pg80")))
            .or_else(|| read_line(&block.join("serial"))),
        model: read_line(&block.join("device/model")),
        firmware: read_line(&block.join("device/firmware_rev"))
            .or_else(|| read_line(&block.join("device/rev"))),
        bus: bus_of(&name),
        capacity_bytes: bytes(&block.join("size")),
        logical_block_bytes: number(&queue.join("logical_block_size")),
        physical_block_bytes: number(&queue.join("physical_block_size")),
        zones,
        whereabouts: whereabouts::read(sysfs, &name),
    })
}

/// `nvme0n1` of `/dev/nvme0n1`, `a!b` of `/dev/a/b`; `None` where that is not a device file's path.
pub(crate) fn kernel_name(device: &str) -> Option<String> {
    let name = device.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.starts_with('.'))?;
    Some(name.replace('/', "!"))
}

fn bus_of(name: &str) -> Bus {
    match name {
        _ if name.starts_with("nvme") => Bus::Nvme,
        _ if name.starts_with("sd") => Bus::Scsi,
        _ if name.starts_with("nullb") => Bus::NullBlock,
        _ => Bus::Unknown,
    }
}

fn read_serial_page(path: &Path) -> Option<String> {
    let page = read_bounded(path, 4096)?;
    let [_, SERIAL_PAGE, high, low, ..] = *page.as_slice() else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let text = page.get(PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + length)?;
    let serial = std::str::from_utf8(text).ok()?.trim_matches([' ', '\0']);
    (!serial.is_empty()).then(|| serial.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sysfs_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, contents) in files {
            let path = directory.path().join("block").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        directory
    }

    #[test]
    fn a_zoned_nvme_drive_is_described() {
        let sysfs = sysfs_with(&[
            ("nvme0n1/wwid", b"eui.0025385b71b00001\n"),
            ("nvme0n1/size", b"8388608\n"),
            ("nvme0n1/device/serial", b"imbrex-0            \n"),
            ("nvme0n1/device/model", b"QEMU NVMe Ctrl     \n"),
            ("nvme0n1/device/firmware_rev", b"7.2.22\n"),
            ("nvme0n1/queue/zoned", b"host-managed\n"),
            ("nvme0n1/queue/nr_zones", b"64\n"),
            ("nvme0n1/queue/chunk_sectors", b"131072\n"),
            ("nvme0n1/queue/max_open_zones", b"16\n"),
            ("nvme0n1/queue/logical_block_size", b"4096\n"),
        ]);
        let identity = read_identity(sysfs.path(), "/dev/nvme0n1").unwrap();
        assert_eq!(identity.wwn.as_deref(), Some("eui.0025385b71b00001"));
        assert_eq!(identity.serial.as_deref(), Some("imbrex-0"));
        assert_eq!(identity.capacity_bytes, Some(4 << 30));
        assert_eq!(identity.zones.size_bytes, Some(64 << 20));
        assert_eq!(identity.zones.open_max, Some(16));
        assert_eq!(identity.zones.active_max, None);
        assert_eq!(identity.physical_block_bytes, None);
        assert_eq!(identity.bus, Bus::Nvme);
    }

    #[test]
    fn a_scsi_serial_comes_from_its_page() {
        let sysfs = sysfs_with(&[
            ("sda/device/vpd_pg80", b"\x00\x80\x00\x08  ZL2012"),
            ("sda/device/wwid", b"naa.5000c5\n"),
        ]);
        let identity = read_identity(sysfs.path(), "/dev/sda").unwrap();
        assert_eq!(identity.serial.as_deref(), Some("ZL2012"));
        assert_eq!(identity.wwn.as_deref(), Some("naa.5000c5"));
        assert_eq!(identity.zones, Zones::default());
    }

    #[test]
    fn a_serial_page_that_is_short_or_another_gives_none() {
        for page in
            [&b"\x00\x80\x00\x20abc"[..], b"\x00\x83\x00\x03abc", b"\x00", b"", b"\x00\x80\x00\x02\xff\xfe"]
        {
            let sysfs = sysfs_with(&[("sda/device/vpd_pg80", page)]);
            assert_eq!(read_identity(sysfs.path(), "/dev/sda").unwrap().serial, None, "{page:?}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_or_not_a_device_gives_none() {
        let sysfs = sysfs_with(&[("sda/size", b"1\n")]);
        for device in ["/dev/sdb", "/tmp/drive.img", "/dev/", "/dev/../block/sda", "sda"] {
            assert_eq!(read_identity(sysfs.path(), device), None, "{device}");
        }
    }
}
