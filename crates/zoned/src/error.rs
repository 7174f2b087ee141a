//! What can go wrong with a drive, as a stable type for programs and one sentence for people.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Condition;

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// As many operations are in flight as the device takes.
    QueueFull,
    /// An offset or a length is not a multiple of the unit. The fault is ours, not the drive's.
    Unaligned {
        /// The operation's first byte, from the start of the drive.
        offset_bytes: u64,
        /// The operation's length in bytes.
        length_bytes: u64,
    },
    /// The operation goes beyond the zone's capacity or the drive's end. The fault is ours, not the drive's.
    OutOfBounds {
        /// The operation's first byte, from the start of the drive.
        offset_bytes: u64,
        /// The operation's length in bytes.
        length_bytes: u64,
    },
    /// A write did not begin at the write pointer of a sequential zone. The fault is ours, not the drive's.
    NotAtWritePointer {
        /// The zone's number.
        zone: u32,
        /// The write pointer in bytes from the start of the zone.
        write_pointer_bytes: u64,
        /// Where the write began, in bytes from the start of the zone.
        offset_bytes: u64,
    },
    /// The zone's condition does not allow the operation.
    ZoneCondition {
        /// The zone's number.
        zone: u32,
        /// The zone's condition.
        condition: Condition,
    },
    /// The drive's limit of open or active zones is reached.
    TooManyOpenZones {
        /// The zone's number.
        zone: u32,
    },
    /// The medium cannot be read here: the data at this place is lost.
    MediumRead {
        /// The operation's first byte, from the start of the drive.
        offset_bytes: u64,
        /// The operation's length in bytes.
        length_bytes: u64,
    },
    /// The drive refused or failed a write.
    MediumWrite {
        /// The operation's first byte, from the start of the drive.
        offset_bytes: u64,
        /// The operation's length in bytes.
        length_bytes: u64,
    },
    /// The drive failed to make completed writes durable.
    Flush,
    /// The drive is no longer there.
    Gone,
    /// The drive described something that this program does not know; it is left alone.
    Unknown {
        /// What was described, and how.
        what: String,
    },
    /// Any other error of the operating system.
    System {
        /// What was being done.
        operation: &'static str,
        /// The error's number, as in `errno.h`.
        errno: i32,
    },
}

impl DeviceError {
    /// Whether it tells of the drive itself: not where the fault is ours, nor where the drive has gone, of which its
    /// medium is not to blame.
    #[must_use]
    pub fn blames_drive(&self) -> bool {
        !matches!(
            self,
            Self::QueueFull
                | Self::Unaligned { .. }
                | Self::OutOfBounds { .. }
                | Self::NotAtWritePointer { .. }
                | Self::TooManyOpenZones { .. }
                | Self::Gone
        )
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => write!(f, "the device's queue is full"),
            Self::Unaligned { offset_bytes, length_bytes } => {
                write!(f, "{length_bytes} bytes at byte {offset_bytes} are not aligned to the drive's unit")
            }
            Self::OutOfBounds { offset_bytes, length_bytes } => {
                write!(
                    f,
                    "{length_bytes} bytes at byte {offset_bytes} go beyond the end of a zone or of the drive"
                )
            }
            Self::NotAtWritePointer { zone, write_pointer_bytes, offset_bytes } => write!(
                f,
                "a write to zone {zone} at its byte {offset_bytes} is not at its write pointer, byte \
                 {write_pointer_bytes}"
            ),
            Self::ZoneCondition { zone, condition } => {
                write!(f, "zone {zone} is in condition {condition:?}, which does not allow this")
            }
            Self::TooManyOpenZones { zone } => {
                write!(f, "zone {zone} cannot be opened: the drive's limit of open zones is reached")
            }
            Self::MediumRead { offset_bytes, length_bytes } => {
                write!(f, "the drive could not read {length_bytes} bytes at byte {offset_bytes}")
            }
            Self::MediumWrite { offset_bytes, length_bytes } => {
                write!(f, "the drive could not write {length_bytes} bytes at byte {offset_bytes}")
            }
            Self::Flush => write!(f, "the drive failed to flush its cache"),
            Self::Gone => write!(f, "the drive is gone"),
            Self::Unknown { what } => {
                write!(f, "the drive described {what}, which this version does not know")
            }
            Self::System { operation, errno } => {
                write!(f, "{operation} failed: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for DeviceError {}

/// Why a drive was not opened. Every refusal names the drive and its reason.
#[derive(Debug)]
pub struct OpenError {
    /// The drive, as it was named.
    pub path: PathBuf,
    /// Why.
    pub reason: OpenRefusal,
}

/// The reason for which a drive was not opened.
#[derive(Debug)]
pub enum OpenRefusal {
    /// It is no block device.
    NotABlockDevice,
    /// It has no zones, or is drive-managed or host-aware: `queue/zoned` as the kernel gives it.
    NotHostManaged {
        /// What the kernel says of it: `none` or `host-aware`.
        zoned: String,
    },
    /// It has partitions.
    Partitioned {
        /// The first of its partitions.
        first: String,
    },
    /// Something holds it: a mount, swap, a mapping or another program.
    InUse {
        /// Who holds it, where that can be told.
        by: Option<String>,
    },
    /// The drive says something of itself that this program does not know or cannot use.
    Unsupported {
        /// What is in the way, as a sentence.
        what: String,
    },
    /// The file is no simulated drive, or not a whole one.
    NotASimulatedDrive {
        /// What is wrong with the file, as a sentence.
        what: String,
    },
    /// The operating system's error, and what was being done.
    System {
        /// What was being done.
        operation: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.reason {
            OpenRefusal::NotABlockDevice => write!(f, "{path} is not a block device"),
            OpenRefusal::NotHostManaged { zoned } => write!(
                f,
                "{path} is not a host-managed zoned drive (the kernel says `{zoned}`): Imbrex uses no other kind"
            ),
            OpenRefusal::Partitioned { first } => {
                write!(f, "{path} has partitions ({first} is one): Imbrex takes whole drives only")
            }
            OpenRefusal::InUse { by: Some(by) } => write!(f, "{path} is in use by {by}: stop that use first"),
            OpenRefusal::InUse { by: None } => {
                write!(f, "{path} is in use by another program: stop that use first")
            }
            OpenRefusal::Unsupported { what } => write!(f, "{path} cannot be used: {what}"),
            OpenRefusal::NotASimulatedDrive { what } => write!(f, "{path} is not a simulated drive: {what}"),
            OpenRefusal::System { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                write!(f, "{path} cannot be opened: there is no such file or device")
            }
            OpenRefusal::System { operation, source } => write!(f, "{path}: {operation}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            OpenRefusal::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
