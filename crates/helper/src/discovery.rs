//! Host-managed drives as sysfs shows them. Nothing here opens a drive.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::{fs, io};

/// A host-managed drive that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a look at the machine has given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The drives that are there, sorted by ID.
    pub(crate) found: Vec<Found>,
    /// Device files of which nobody knows what they are now: the kernel did not say.
    pub(crate) unreadable: Vec<String>,
}

/// The unit of `size` in sysfs, whatever the drive's blocks are, in bytes.
const SECTOR_BYTES: u64 = 512;

/// Every host-managed drive below this sysfs, as `ask` tells it of each name, which is [`look`] or whoever runs it. Where
/// two names lead to one drive, the first counts.
///
/// # Errors
/// Where the list of block devices cannot be read: that is not the same as none.
pub(crate) fn scan(
    sysfs: &Path,
    mut ask: impl FnMut(&str) -> Result<Option<Found>, String>,
) -> Result<Scan, String> {
    let folder = sysfs.join("block");
    let entries: io::Result<Vec<_>> = fs::read_dir(&folder).and_then(Iterator::collect);
    let entries = entries.map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let mut scan = Scan::default();
    for name in &names {
        match ask(name) {
            Ok(found) => scan.found.extend(found),
            Err(_) => scan.unreadable.push(device(name)),
        }
    }
    scan.found.sort_by(|one, other| one.id.cmp(&other.id));
    scan.found.dedup_by(|later, earlier| later.id == earlier.id);
    Ok(scan)
}

/// The device file of a name in sysfs.
pub(crate) fn device(name: &str) -> String {
    format!("/dev/{}", name.replace('!', "/"))
}

/// A file of sysfs; empty where there is none, or where the kernel says that the drive has no such thing. Any other
/// error is one: a drive whose name cannot be read for a moment must not come back under another.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.raw_os_error().is_some_and(|number| ABSENT.contains(&number)) => Ok(Vec::new()),
        bytes => bytes,
    }
}

/// ENXIO and ENODEV (the drive has gone), EINVAL and EOPNOTSUPP (it has no such page): drivers/scsi/scsi_sysfs.c.
const ABSENT: [i32; 4] = [6, 19, 22, 95];

/// What a block device is, by its folder in sysfs: nothing where it is no host-managed drive.
///
/// # Errors
/// Where the kernel does not say.
pub(crate) fn look(block: &Path, name: &str) -> io::Result<Option<Found>> {
    let text = |path: &str| {
        let text = String::from_utf8_lossy(&read(&block.join(path))?).into_owned();
        Ok::<_, io::Error>(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    };
    // A path of an NVMe drive with several: its head is the drive.
    if text("queue/zoned")? != "host-managed" || text("hidden")? == "1" {
        return Ok(None);
    }
    let sequence = text("diskseq")?;
    let wwn = first([text("wwid")?, text("device/wwid")?]);
    let page = read(&block.join("device/vpd_pg80"))?;
    let serial = first([text("device/serial")?, vpd_serial(&page), text("serial")?]).unwrap_or_default();
    let id = wwn.or_else(|| first([serial.clone()])).unwrap_or_else(|| name.to_owned());
    let found = Found {
        id: clean(&id),
        device: device(name),
        model: text("device/model")?,
        serial,
        capacity_bytes: text("size")?.parse::<u64>().unwrap_or(0).saturating_mul(SECTOR_BYTES),
        sequence: sequence.parse().unwrap_or(0),
    };
    if goes(block) || text("diskseq")? != sequence {
        return Err(io::Error::other("it was taken away, or another came, in the middle of the look"));
    }
    Ok(Some(found))
}

/// Whether a drive is being taken away, so that what was absent may have been there: the kernel removes `uevent` before
/// any attribute that we read (`device_del` of drivers/base/core.c), of the drive's device before that of its disk.
fn goes(block: &Path) -> bool {
    let (disk, device) = (block.join("uevent"), block.join("device"));
    !disk.exists() || (device.exists() && !device.join("uevent").exists())
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

        /// A file of a disk, or of its device: whichever of them it belongs to is there, and so has its `uevent`.
        fn file(&self, path: &str, contents: &[u8]) {
            let disk = self.0.join("block").join(path.split('/').next().unwrap());
            let path = self.0.join("block").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
            for owner in [disk.clone(), disk.join("device")] {
                if owner.exists() {
                    fs::write(owner.join("uevent"), b"").unwrap();
                }
            }
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn scan(sysfs: &Path) -> Result<Scan, String> {
        super::scan(sysfs, |name| {
            look(&sysfs.join("block").join(name), name).map_err(|error| error.to_string())
        })
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
        let found = scan(&sysfs.0).unwrap().found;
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
        let found = scan(&sysfs.0).unwrap().found;
        assert_eq!(found.iter().map(|drive| drive.device.as_str()).collect::<Vec<_>>(), ["/dev/sda"]);
    }

    #[test]
    fn a_machine_without_drives_has_none_and_one_that_cannot_be_read_is_not_one_without() {
        let sysfs = Fixture::new("none");
        fs::create_dir_all(sysfs.0.join("block")).unwrap();
        assert_eq!(scan(&sysfs.0), Ok(Scan::default()));
        assert!(scan(Path::new("/nowhere")).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_drive_that_does_not_tell_its_name_does_not_get_another_and_costs_no_other() {
        let sysfs = Fixture::new("unreadable");
        for name in ["sda", "sdb"] {
            sysfs.file(&format!("{name}/queue/zoned"), b"host-managed\n");
            sysfs.file(&format!("{name}/device/serial"), format!("serial-{name}\n").as_bytes());
        }
        // A folder in the place of the file: an error, and not an absent file.
        fs::create_dir_all(sysfs.0.join("block/sda/device/wwid")).unwrap();
        let scan = scan(&sysfs.0).unwrap();
        assert_eq!(scan.unreadable, ["/dev/sda"]);
        assert_eq!(scan.found.iter().map(|drive| drive.id.as_str()).collect::<Vec<_>>(), ["serial-sdb"]);
    }

    #[test]
    fn a_drive_that_is_taken_away_in_the_middle_of_the_look_does_not_get_another_name() {
        let sysfs = Fixture::new("unplugged");
        for name in ["sda", "sdb", "sdc"] {
            sysfs.file(&format!("{name}/queue/zoned"), b"host-managed\n");
            sysfs.file(&format!("{name}/device/wwid"), format!("naa.{name}\n").as_bytes());
        }
        // The first is as the kernel leaves it while it lets go of a SCSI drive, the second a moment later.
        for path in ["sda/device/uevent", "sda/device/wwid", "sdb/uevent"] {
            fs::remove_file(sysfs.0.join("block").join(path)).unwrap();
        }
        let scan = scan(&sysfs.0).unwrap();
        assert_eq!(scan.unreadable, ["/dev/sda", "/dev/sdb"]);
        assert_eq!(scan.found.iter().map(|drive| drive.id.as_str()).collect::<Vec<_>>(), ["naa.sdc"]);
    }

    #[test]
    fn no_bytes_of_a_vpd_page_do_harm() {
        for page in [&b""[..], b"\x00", b"\x00\x80\x00", b"\x00\x83\x00\x01x", b"\x00\x80\xff\xff"] {
            assert_eq!(vpd_serial(page), "");
        }
    }
}
