//! A host-managed drive of this machine, only read.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;

use crate::kernel::errno;
use crate::kernel::ioctl::{self, ReportError};
use crate::kernel::opened_drive::{failed, open_block_device};
use crate::read_only::ReadOnlyDrive;
use crate::{Buffer, BufferPool, DeviceError, Geometry, Identity, OpenError, OpenRefusal, Zone};

/// How much one read asks of the drive, in bytes.
const READ_BYTES_MAX: usize = 1 << 20;

/// A host-managed drive, open for reading by this process alone, by direct I/O.
pub struct ReadOnlyBlockDevice {
    file: File,
    buffer: Buffer,
    identity: Identity,
    geometry: Geometry,
    zones: Vec<Zone>,
}

impl ReadOnlyBlockDevice {
    /// Opens the drive at `path`, such as `/dev/sdb`, and reports its zones, which takes seconds on a large one.
    ///
    /// # Errors
    ///
    /// Where it is no whole host-managed drive, has partitions, is in use, or does not report its zones; and where the
    /// kernel describes it in a way that this program does not know.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_checked(path).map_err(|reason| OpenError { path: path.to_owned(), reason })
    }

    fn open_checked(path: &Path) -> Result<Self, OpenRefusal> {
        let (file, block) = open_block_device(path, false)?;
        let geometry = block.geometry()?;
        let zones = ioctl::report_zones(file.as_fd(), &geometry, 0, geometry.zone_count);
        let zones = zones.map_err(|error| match error {
            ReportError::Errno(errno) => failed("reporting the drive's zones")(errno.into()),
            ReportError::Unknown(what) => OpenRefusal::Unsupported {
                what: format!("it described {what}, which this version does not know"),
            },
        })?;
        let pool = BufferPool::new(READ_BYTES_MAX).map_err(failed("taking memory"))?;
        let buffer = pool.try_allocate(READ_BYTES_MAX);
        let buffer = buffer.ok_or_else(|| failed("taking memory")(Errno::ENOMEM.into()))?;
        Ok(Self { identity: block.identity(path), file, buffer, geometry, zones })
    }
}

impl ReadOnlyDrive for ReadOnlyBlockDevice {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read_at(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let mut at = offset_bytes;
        for part in bytes.chunks_mut(READ_BYTES_MAX) {
            let aligned = &mut self.buffer[..part.len()];
            self.file.read_exact_at(aligned, at).map_err(|error| match error.raw_os_error() {
                Some(number) => errno::of_read(Errno::from_raw(number), at, part.len() as u64),
                // A drive that has vanished has no size, and our range lay within the size that it had.
                None => DeviceError::Gone,
            })?;
            part.copy_from_slice(aligned);
            at += part.len() as u64;
        }
        Ok(())
    }
}
