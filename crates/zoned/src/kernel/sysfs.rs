//! What sysfs says of a block device: its shape, who it is, and whether it is ours to open.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::ioctl::SECTOR_BYTES;
use crate::{Geometry, Identity, OpenRefusal};

/// The directory of a block device in sysfs.
pub(crate) struct BlockDirectory {
    path: PathBuf,
}

impl BlockDirectory {
    /// The directory of the device with these numbers.
    pub(crate) fn of(major: u64, minor: u64) -> io::Result<Self> {
        fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).map(Self::at)
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Whether the device is still there. The kernel removes the directory of a drive that has vanished before the
    /// last user has closed it.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The directories of those that hold the device: mappings, arrays.
    pub(crate) fn holders(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.join("holders")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Refuses what is not a whole, host-managed drive without partitions.
    pub(crate) fn check_whole(&self) -> Result<(), OpenRefusal> {
        if self.path.join("partition").exists() {
            return Err(unsupported("it is a partition: name the whole drive"));
        }
        let zoned = self.text("queue/zoned").unwrap_or_else(|| "none".to_owned());
        if zoned != "host-managed" {
            return Err(OpenRefusal::NotHostManaged { zoned });
        }
        let mut partitions: Vec<String> = fs::read_dir(&self.path)
            .map_err(|source| OpenRefusal::System { operation: "looking for partitions", source })?
            .flatten()
            .filter(|entry| entry.path().join("partition").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        partitions.sort();
        if let Some(first) = partitions.into_iter().next() {
            return Err(OpenRefusal::Partitioned { first });
        }
        Ok(())
    }

    /// Refuses what cannot be written.
    pub(crate) fn check_writable(&self) -> Result<(), OpenRefusal> {
        match self.number("ro")? {
            0 => Ok(()),
            _ => Err(unsupported("it is read-only")),
        }
    }

    /// The shape of the drive.
    pub(crate) fn geometry(&self) -> Result<Geometry, OpenRefusal> {
        let bytes = |name, unit: u64| {
            let value = self.number(name)?.checked_mul(unit);
            value.ok_or_else(|| unsupported(format!("its {name} is out of range")))
        };
        let small = |name| {
            let value = self.number(name)?;
            u32::try_from(value).map_err(|_| unsupported(format!("its {name} is {value}")))
        };
        let limit = |name| Ok(Some(small(name)?).filter(|&limit| limit > 0));
        let logical_block_bytes = small("queue/logical_block_size")?;
        let geometry = Geometry {
            logical_block_bytes,
            write_unit_bytes: small("queue/zone_write_granularity")?.max(logical_block_bytes),
            zone_count: small("queue/nr_zones")?,
            zone_size_bytes: bytes("queue/chunk_sectors", SECTOR_BYTES)?,
            zone_open_max: limit("queue/max_open_zones")?,
            zone_active_max: limit("queue/max_active_zones")?,
            device_bytes: bytes("size", SECTOR_BYTES)?,
            rotational: self.number("queue/rotational")? != 0,
        };
        let zones = geometry.device_bytes.checked_div(geometry.zone_size_bytes).unwrap_or(0);
        let rest = geometry.device_bytes.checked_rem(geometry.zone_size_bytes).unwrap_or(0);
        if zones + u64::from(rest > 0) != u64::from(geometry.zone_count) || geometry.zone_count == 0 {
            return Err(unsupported("its size, zone size and number of zones do not fit together"));
        }
        if !geometry.write_unit_bytes.is_power_of_two() {
            return Err(unsupported(format!("its write unit is {} bytes", geometry.write_unit_bytes)));
        }
        Ok(geometry)
    }

    /// The largest request that the device takes in one piece, in bytes.
    pub(crate) fn request_bytes_max(&self) -> Result<u64, OpenRefusal> {
        Ok(self.number("queue/max_sectors_kb")?.saturating_mul(1024))
    }

    /// Who the drive is. What sysfs does not say is `None`.
    pub(crate) fn identity(&self, path: &Path) -> Identity {
        let bus = fs::canonicalize(self.path.join("device/subsystem")).ok();
        let bus = bus.and_then(|bus| Some(bus.file_name()?.to_string_lossy().into_owned()));
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let identity = Identity { path: path.to_owned(), ..Identity::default() };
        match bus.as_deref() {
            Some("scsi") => Identity {
                wwn: self.text("device/wwid"),
                serial: fs::read(self.path.join("device/vpd_pg80")).ok().and_then(|page| vpd_serial(&page)),
                model: match (self.text("device/vendor"), self.text("device/model")) {
                    (Some(vendor), Some(model)) => Some(format!("{vendor} {model}")),
                    (vendor, model) => model.or(vendor),
                },
                firmware: self.text("device/rev"),
                bus: "scsi".to_owned(),
                ..identity
            },
            // Under multipath the subsystem stands where the controller does otherwise.
            Some("nvme" | "nvme-subsystem") => Identity {
                wwn: self.text("wwid"),
                serial: self.text("device/serial"),
                model: self.text("device/model"),
                firmware: self.text("device/firmware_rev"),
                bus: "nvme".to_owned(),
                ..identity
            },
            Some(other) => Identity { bus: other.to_owned(), ..identity },
            None if name.starts_with("nullb") => Identity { bus: "null_blk".to_owned(), ..identity },
            None => Identity { bus: "block".to_owned(), ..identity },
        }
    }

    /// The text of an attribute without padding; `None` where there is none or it is empty.
    fn text(&self, name: &str) -> Option<String> {
        let text = fs::read(self.path.join(name)).ok()?;
        let text = String::from_utf8_lossy(&text).trim_matches(['\0', ' ', '\n', '\t']).to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn number(&self, name: &str) -> Result<u64, OpenRefusal> {
        let text =
            self.text(name).ok_or_else(|| unsupported(format!("the kernel does not tell its {name}")))?;
        text.parse().map_err(|_| unsupported(format!("the kernel says {text:?} of its {name}")))
    }
}

fn unsupported(what: impl Into<String>) -> OpenRefusal {
    OpenRefusal::Unsupported { what: what.into() }
}

/// The serial in the unit serial number page (SPC-4, 7.8.14): a length in bytes 2 and 3, then ASCII.
fn vpd_serial(page: &[u8]) -> Option<String> {
    let (header, rest) = page.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let serial = String::from_utf8_lossy(rest.get(..length)?).trim_matches(['\0', ' ']).to_owned();
    (header[1] == 0x80 && !serial.is_empty()).then_some(serial)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{BlockDirectory, vpd_serial};
    use crate::OpenRefusal;

    fn tree(attributes: &[(&str, &str)]) -> (tempfile::TempDir, BlockDirectory) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in attributes {
            let file = directory.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{text}\n")).unwrap();
        }
        let block = BlockDirectory::at(directory.path().to_owned());
        (directory, block)
    }

    const DRIVE: [(&str, &str); 11] = [
        ("queue/zoned", "host-managed"),
        ("ro", "0"),
        ("size", "4096"),
        ("queue/logical_block_size", "512"),
        ("queue/zone_write_granularity", "4096"),
        ("queue/nr_zones", "3"),
        ("queue/chunk_sectors", "2000"),
        ("queue/max_open_zones", "128"),
        ("queue/max_active_zones", "0"),
        ("queue/rotational", "1"),
        ("queue/max_sectors_kb", "1280"),
    ];

    #[test]
    fn a_drive_with_a_short_last_zone_has_the_shape_that_sysfs_tells() {
        let (_directory, block) = tree(&DRIVE);
        block.check_whole().and_then(|()| block.check_writable()).unwrap();
        let geometry = block.geometry().unwrap();
        assert_eq!((geometry.zone_count, geometry.zone_size_bytes), (3, 2000 * 512));
        assert_eq!((geometry.zone_open_max, geometry.zone_active_max), (Some(128), None));
        assert_eq!((geometry.write_unit_bytes, geometry.device_bytes), (4096, 4096 * 512));
        assert_eq!(block.request_bytes_max().unwrap(), 1280 * 1024);
        assert_eq!(block.identity(Path::new("/dev/x")).bus, "block");
    }

    #[test]
    fn a_drive_that_is_not_ours_to_use_is_refused_with_the_reason() {
        let with = |name: &str, text: &str| {
            let mut attributes = DRIVE.to_vec();
            attributes.push((name, text));
            let (_directory, block) = tree(&attributes);
            let checked = block.check_whole().and_then(|()| block.check_writable());
            checked.and_then(|()| block.geometry()).unwrap_err()
        };
        assert!(
            matches!(with("queue/zoned", "none"), OpenRefusal::NotHostManaged { zoned } if zoned == "none")
        );
        assert!(matches!(with("queue/zoned", "host-aware"), OpenRefusal::NotHostManaged { .. }));
        assert!(matches!(with("sdx1/partition", "1"), OpenRefusal::Partitioned { first } if first == "sdx1"));
        for (name, text) in [
            ("partition", "1"),
            ("ro", "1"),
            ("queue/nr_zones", "4"),
            ("queue/nr_zones", "many"),
            ("queue/chunk_sectors", "0"),
            ("queue/zone_write_granularity", "5000"),
        ] {
            assert!(matches!(with(name, text), OpenRefusal::Unsupported { .. }), "{name} = {text}");
        }
    }

    #[test]
    fn a_serial_page_is_read_within_its_bounds() {
        assert_eq!(vpd_serial(b"\x14\x80\x00\x06 AB12 tail"), Some("AB12".to_owned()));
        for page in [&b"\x14\x80\x00\x09short"[..], b"\x14\x80\x00\x02  ", b"\x14\x83\x00\x02AB", b"\x14"] {
            assert_eq!(vpd_serial(page), None);
        }
    }
}
