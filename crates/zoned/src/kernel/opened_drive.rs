//! Opening a drive: what it must be, and for this process alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use crate::kernel::holder;
use crate::kernel::sysfs::BlockDirectory;
use crate::{Geometry, Identity, OpenRefusal};

/// The largest part in which a write goes to the kernel, in bytes: the 256 pages that one request of the block layer
/// holds at most (`BIO_MAX_VECS`), so that no part is ever several requests that a zone could take in part.
const WRITE_PART_BYTES_MAX: u64 = 1 << 20;

/// How long a drive may still be held by a process that has ended.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(10);
const RELEASE_WAIT_STEP: Duration = Duration::from_millis(20);

/// A drive that has passed every check, held by this process.
pub(crate) struct OpenedDrive {
    pub(crate) file: File,
    pub(crate) block: BlockDirectory,
    pub(crate) identity: Identity,
    pub(crate) geometry: Geometry,
    /// The largest part in which a write goes to the kernel, in bytes.
    pub(crate) write_part_bytes_max: usize,
}

impl OpenedDrive {
    /// Opens the drive at `path`, or says why it is not ours to use.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenRefusal> {
        let (file, block) = open_block_device(path, true)?;
        let geometry = block.geometry()?;
        let part = write_part_bytes(block.request_bytes_max()?, u64::from(geometry.write_unit_bytes));
        Ok(Self { identity: block.identity(path), file, block, geometry, write_part_bytes_max: part })
    }
}

/// Opens a drive for this process alone, to be written or only to be read; a drive that can only be read is refused for
/// writing alone.
pub(crate) fn open_block_device(
    path: &Path,
    is_written: bool,
) -> Result<(File, BlockDirectory), OpenRefusal> {
    let metadata = fs::metadata(path).map_err(failed("looking for the drive"))?;
    if !metadata.file_type().is_block_device() {
        return Err(OpenRefusal::NotABlockDevice);
    }
    let numbers = metadata.rdev();
    let (major, minor) = (u64::from(libc::major(numbers)), u64::from(libc::minor(numbers)));
    let block = BlockDirectory::of(major, minor).map_err(failed("looking for the drive in sysfs"))?;
    block.check_whole()?;
    if is_written {
        block.check_writable()?;
    }
    let file = open_alone(path, is_written).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => OpenRefusal::InUse { by: holder::holder(path, major, minor, &block) },
        _ => OpenRefusal::System { operation: "opening the drive", source: error },
    })?;
    if file.metadata().map_err(failed("looking at the open drive"))?.rdev() != numbers {
        return Err(OpenRefusal::Unsupported { what: "its name was given to another drive".to_owned() });
    }
    Ok((file, block))
}

/// Opens a block device for this process alone.
///
/// A ring lets go of its file a moment after the process that had it was killed. So where the device is held, it is
/// tried again until [`RELEASE_WAIT_MAX`] has passed.
fn open_alone(path: &Path, is_written: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // With O_EXCL a block device opens only where no mount, swap, mapping or other such opener holds it.
    options.read(true).write(is_written).custom_flags(libc::O_EXCL | libc::O_DIRECT);
    let begun = Instant::now();
    loop {
        let opened = options.open(path);
        let busy = opened.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY));
        if !busy || begun.elapsed() >= RELEASE_WAIT_MAX {
            return opened;
        }
        thread::sleep(RELEASE_WAIT_STEP);
    }
}

/// Makes a refusal of an error of the operating system.
pub(crate) fn failed(operation: &'static str) -> impl Fn(io::Error) -> OpenRefusal {
    move |source| OpenRefusal::System { operation, source }
}

/// The largest part of a write: as many of the largest requests as fit in [`WRITE_PART_BYTES_MAX`], so that the block
/// layer cuts no part into a large and a small one; and whole write units of it.
fn write_part_bytes(request_bytes_max: u64, write_unit_bytes: u64) -> usize {
    let unit = write_unit_bytes.max(crate::UNIT_BYTES as u64);
    let request = (request_bytes_max / unit * unit).clamp(unit, WRITE_PART_BYTES_MAX.max(unit));
    let part = (WRITE_PART_BYTES_MAX / request).max(1) * request;
    usize::try_from(part).unwrap_or(crate::UNIT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::write_part_bytes;

    #[test]
    fn a_part_is_whole_requests_and_whole_units_of_at_most_a_mebibyte() {
        for (request_kib, part_kib) in
            [(1280, 1024), (4, 1024), (512, 1024), (384, 768), (0, 1024), (127, 992)]
        {
            assert_eq!(write_part_bytes(request_kib << 10, 4096), part_kib << 10, "{request_kib} KiB");
        }
        assert_eq!(write_part_bytes(512 << 10, 512), 1 << 20);
    }
}
