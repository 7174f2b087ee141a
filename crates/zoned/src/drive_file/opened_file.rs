//! Opening the file of a drive twice: for its entries through the page cache, and for its data beside it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};

use crate::kernel::opened_drive::failed;
use crate::simulated::file_store::{FileStore, OpenedFile};
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::store::Store;
use crate::simulated::zone_table::ZoneState;
use crate::{BufferPool, OpenError, OpenRefusal, UNIT_BYTES};

/// The open file of a drive, locked.
pub(crate) struct OpenedDriveFile {
    pub(crate) store: FileStore,
    /// Another opening of the same file, for direct I/O; `None` where the file system has no such thing.
    pub(crate) direct: Option<File>,
    pub(crate) geometry: SimulatedGeometry,
    /// The states of the zones, of which none is open.
    pub(crate) zones: Vec<ZoneState>,
}

impl OpenedDriveFile {
    /// Opens and locks the drive's file, and closes the zones that were open.
    pub(crate) fn open(path: &Path, pool: &BufferPool) -> Result<Self, OpenError> {
        let OpenedFile { mut store, geometry, mut zones } = FileStore::open(path)?;
        let refuse = |reason| OpenError { path: path.to_owned(), reason };
        for (zone, state) in (0..).zip(&mut zones).filter(|(_, state)| state.is_open()) {
            *state = state.closed();
            let saved = store.save_zone(zone, *state);
            saved.map_err(failed("closing the zones that were open")).map_err(refuse)?;
        }
        let direct = open_direct(path, store.file(), &geometry, pool).map_err(refuse)?;
        Ok(Self { store, direct, geometry, zones })
    }
}

/// Opens the file that is open as `file` once more, for direct I/O in units of the drive's logical block. `None` where
/// its file system refuses that, or would go through its memory all the same.
fn open_direct(
    path: &Path,
    file: &File,
    geometry: &SimulatedGeometry,
    pool: &BufferPool,
) -> Result<Option<File>, OpenRefusal> {
    // tmpfs takes the flag, and has nothing but memory.
    if fstatfs(file).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC) {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    let direct = match options.read(true).write(true).custom_flags(libc::O_DIRECT).open(path) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
        opened => opened.map_err(failed("opening the drive's file for direct I/O"))?,
    };
    let looking = failed("looking at the drive's file");
    let (found, wanted) = (direct.metadata().map_err(&looking)?, file.metadata().map_err(&looking)?);
    if (found.dev(), found.ino()) != (wanted.dev(), wanted.ino()) {
        return Err(OpenRefusal::Unsupported { what: "its name was given to another file".to_owned() });
    }
    match reads_blocks(&direct, geometry.logical_block_bytes as usize, pool) {
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(None),
        read => read.map(|()| Some(direct)).map_err(failed("reading the drive's file by direct I/O")),
    }
}

/// Reads one block: where the disk under the file has larger ones, the file system refuses it.
fn reads_blocks(direct: &File, block_bytes: usize, pool: &BufferPool) -> io::Result<()> {
    let mut buffer =
        pool.try_allocate(UNIT_BYTES).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    direct.read_exact_at(&mut buffer[..block_bytes], 0)
}
