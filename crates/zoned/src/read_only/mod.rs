//! Drives that are only read: for programs that look at a drive while nothing serves it.
//!
//! Invariants:
//!
//! * Nothing is written, not even the state of a zone: a zone that was open stays so.
//! * A drive that another process has is refused, and none takes it while it is being read.

mod block_device;
mod file;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use block_device::ReadOnlyBlockDevice;
pub use file::ReadOnlyFile;

use crate::{DeviceError, Geometry, Identity, OpenError, Zone};

/// A drive that is only read, one range after another.
pub trait ReadOnlyDrive {
    /// Who the drive is.
    fn identity(&self) -> &Identity;

    /// The drive's shape.
    fn geometry(&self) -> &Geometry;

    /// All zones as they were when the drive was opened, in order.
    fn zones(&self) -> &[Zone];

    /// Fills `bytes` from byte `offset_bytes` of the drive on. Both are multiples of the logical block, and the range
    /// lies within the capacity of one zone. What was never written reads as fill.
    ///
    /// # Errors
    ///
    /// [`DeviceError::MediumRead`] where the medium cannot be read, [`DeviceError::ZoneCondition`] where the zone is
    /// offline, [`DeviceError::Gone`], or another error of the operating system.
    fn read_at(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError>;
}

/// Opens the drive at `path`: a host-managed block device, or else the file of a simulated drive.
///
/// # Errors
///
/// Where it is neither, or not whole, or in use by another process.
pub fn open(path: &Path) -> Result<Box<dyn ReadOnlyDrive>, OpenError> {
    use std::os::unix::fs::FileTypeExt;
    let is_block_device = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device());
    Ok(if is_block_device {
        Box::new(ReadOnlyBlockDevice::open(path)?)
    } else {
        Box::new(ReadOnlyFile::open(path)?)
    })
}
