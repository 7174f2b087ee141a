//! The kinds of drives that a node can be given, none of them of metal.

/// Drives of a node.
#[derive(Clone, Copy, Debug)]
pub enum DriveKind {
    /// NVMe namespaces with zones, emulated by QEMU.
    ZonedNvme {
        /// How many.
        count: u32,
        /// Size of each.
        size_bytes: u64,
    },
    /// As zoned NVMe namespaces, the second of which has a sector in every zone that cannot be read.
    BadSectors {
        /// How many.
        count: u32,
        /// Size of each.
        size_bytes: u64,
        /// Where the sector lies, in bytes from the start of a zone.
        offset_bytes: u64,
    },
    /// The kernel's own emulated host-managed SCSI disks, in the guest's memory.
    ScsiDebug {
        /// How many.
        count: u32,
        /// Size of each in MiB.
        size_mib: u32,
    },
    /// Drives that the [`Additions`] bring.
    Added {
        /// How many.
        count: u32,
    },
}

impl DriveKind {
    /// How many drives.
    #[must_use]
    pub fn count(self) -> u32 {
        match self {
            Self::ZonedNvme { count, .. }
            | Self::BadSectors { count, .. }
            | Self::ScsiDebug { count, .. }
            | Self::Added { count } => count,
        }
    }

    /// What the kernel must be told for them.
    #[must_use]
    pub fn kernel_options(self) -> String {
        match self {
            Self::ZonedNvme { .. } | Self::BadSectors { .. } | Self::Added { .. } => String::new(),
            Self::ScsiDebug { count, size_mib } => format!(
                " imbrex.modules=scsi_debug scsi_debug.zbc=managed scsi_debug.sector_size=4096 \
                 scsi_debug.zone_size_mb=16 scsi_debug.zone_nr_conv=2 scsi_debug.dev_size_mb={size_mib} \
                 scsi_debug.add_host={count} scsi_debug.per_host_store=1 scsi_debug.delay=0"
            ),
        }
    }
}
