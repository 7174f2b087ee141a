//! Host-managed drives as sysfs shows them. Nothing here opens a drive.

use std::fs;
use std::path::Path;

/// A host-managed drive that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// WWN, else serial, else the kernel's name; only letters, digits, `.`, `_` and `-`.
    pub(crate) id: String,
    /// The device file.
    pub(crate) device: String,
    /// Model, empty where the drive has none.
    pub(crate) model: String,
    /// Serial number, empty where the drive has none.
    pub(crate) serial: String,
    /// How much it holds, in bytes; 0 where it does not tell.
    pub(crate) capacity_bytes: u64,
    /// The kernel's number of this appearance of it.
    pub(crate) sequence: u64,
}

/// The unit of `size` in sysfs, whatever the drive's blocks are, in bytes.
const SECTOR_BYTES: u64 = 512;

/// Every host-managed drive below this sysfs, sorted by ID. Where two names lead to one drive, the
/// first counts.
pub(crate) fn scan(sysfs: &Path) -> Vec<Found> {
    let entries = fs::read_dir(sysfs.join("block")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let mut found: Vec<Found> = names.iter().filter_map(|name| look(sysfs, name)).collect();
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|later, earlier| later.id == earlier.id);
    found
}

fn look(sysfs: &Path, name: &str) -> Option<Found> {
    let block = sysfs.join("block").join(name);
    let text = |path: &str| {
        let bytes = fs::read(block.join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
    };
    // A path of an NVMe drive with several: its head is the drive.
    if text("queue/zoned") != "host-managed" || text("hidden") == "1" {
        return None;
    }
    let wwn = first([text("wwid"), text("device/wwid")]);
    let page = fs::read(block.join("device/vpd_pg80")).unwrap_or_default();
    let serial = first([text("device/serial"), vpd_serial(&page), text("serial")]).unwrap_or_default();
    let id = wwn.or_else(|| first([serial.clone()])).unwrap_or_else(|| name.to_owned());
    Some(Found {
        id: clean(&id),
        device: format!("/dev/{}", name.replace('!', "/")),
        model: text("device/model"),
        serial,
        capacity_bytes: text("size").parse::<u64>().unwrap_or(0).saturating_mul(SECTOR_BYTES),
        sequence: text("diskseq").parse().unwrap_or(0),
    })
}

fn first<const N: usize>(texts: [String; N]) -> Option<String> {
    texts.into_iter().find(|text| !text.is_empty())
}

/// The serial number in SCSI's VPD page 0x80: four bytes of header, then text.
fn vpd_serial(page: &[u8]) -> String {
    let [_, 0x80, high, low, rest @ ..] = page else { return String::new() };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    String::from_utf8_lossy(&rest[..length]).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

fn clean(id: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    id.chars().map(|character| if allowed(character) { character } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A sysfs of its own for one test.
    struct Fixture(PathBuf);

    impl Fixture {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("imbrex-init-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn file(&self, path: &str, contents: &[u8]) {
            let path = self.0.join("block").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_host_managed_drives_are_found_and_each_has_the_identity_of_the_contract() {
        let sysfs = Fixture::new("discovery");
        for (name, zoned) in [
            ("nvme0n1", "host-managed"),
            ("nvme0c0n1", "host-managed"),
            ("nvme1n1", "none"),
            ("sda", "host-managed"),
            ("sdb", "host-aware"),
            ("sdc", "host-managed"),
            ("nullb0", "host-managed"),
        ] {
            sysfs.file(&format!("{name}/queue/zoned"), format!("{zoned}\n").as_bytes());
        }
        sysfs.file("nvme0n1/wwid", b"nvme.1b36-7a6e73 0/1\n");
        sysfs.file("nvme0n1/device/serial", b"zns0                \n");
        sysfs.file("nvme0n1/device/model", b"QEMU NVMe Ctrl   \n");
        sysfs.file("nvme0c0n1/hidden", b"1\n");
        sysfs.file("sda/size", b"2048\n");
        sysfs.file("sda/device/wwid", b"naa.5000c500a1b2c3d4\n");
        sysfs.file("sda/device/vpd_pg80", b"\x00\x80\x00\x08ZHZ12345garbage");
        sysfs.file("sdc/device/vpd_pg80", b"\x00\x80\xff\xff  ZHZ9 ");
        let found = scan(&sysfs.0);
        let seen: Vec<_> = found.iter().map(|drive| (drive.id.as_str(), drive.device.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("ZHZ9", "/dev/sdc"),
                ("naa.5000c500a1b2c3d4", "/dev/sda"),
                ("nullb0", "/dev/nullb0"),
                ("nvme.1b36-7a6e73-0-1", "/dev/nvme0n1"),
            ]
        );
        assert_eq!((found[3].model.as_str(), found[3].serial.as_str()), ("QEMU NVMe Ctrl", "zns0"));
        assert_eq!((found[1].serial.as_str(), found[1].capacity_bytes), ("ZHZ12345", 1 << 20));
    }

    #[test]
    fn two_paths_to_one_drive_are_one_drive() {
        let sysfs = Fixture::new("paths");
        for name in ["sda", "sdb"] {
            sysfs.file(&format!("{name}/queue/zoned"), b"host-managed\n");
            sysfs.file(&format!("{name}/device/wwid"), b"naa.1\n");
        }
        let found = scan(&sysfs.0);
        assert_eq!(found.iter().map(|drive| drive.device.as_str()).collect::<Vec<_>>(), ["/dev/sda"]);
    }

    #[test]
    fn a_machine_without_drives_has_none() {
        assert_eq!(scan(Path::new("/nowhere")), []);
    }

    #[test]
    fn no_bytes_of_a_vpd_page_do_harm() {
        for page in [&b""[..], b"\x00", b"\x00\x80\x00", b"\x00\x83\x00\x01x", b"\x00\x80\xff\xff"] {
            assert_eq!(vpd_serial(page), "");
        }
    }
}
