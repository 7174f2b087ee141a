//! The file of a simulated drive, only read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::read_only::ReadOnlyDrive;
use crate::simulated::file_header;
use crate::simulated::file_store::{lock_released, read_head};
use crate::simulated::zone_table::ZoneTable;
use crate::{DeviceError, Geometry, Identity, OpenError, OpenRefusal, Zone};

/// The file of a simulated drive. Its lock is shared: others may read it meanwhile, and nobody may serve it.
pub struct ReadOnlyFile {
    file: Flock<File>,
    data_offset_bytes: u64,
    identity: Identity,
    geometry: Geometry,
    table: ZoneTable,
    zones: Vec<Zone>,
}

impl ReadOnlyFile {
    /// Opens the drive's file, and checks every byte of it that is not data.
    ///
    /// # Errors
    ///
    /// Where it is no simulated drive, or not a whole one, and where another process has it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_checked(path).map_err(|reason| OpenError { path: path.to_owned(), reason })
    }

    fn open_checked(path: &Path) -> Result<Self, OpenRefusal> {
        let not_a_drive = |what: &str| OpenRefusal::NotASimulatedDrive { what: what.to_owned() };
        let fail = |operation| move |source| OpenRefusal::System { operation, source };
        let file = OpenOptions::new().read(true).open(path).map_err(fail("opening the drive's file"))?;
        let kind = file.metadata().map_err(fail("looking at the drive's file"))?.file_type();
        if kind.is_dir() {
            return Err(not_a_drive("it is a directory"));
        }
        if !kind.is_file() {
            return Err(not_a_drive("it is no regular file"));
        }
        let mut file = lock_released(file, FlockArg::LockSharedNonblock)?;
        let (simulated, states) = read_head(&mut file)?;
        let geometry = simulated.geometry();
        let identity = Identity {
            path: path.to_owned(),
            serial: simulated.serial.clone().filter(|serial| !serial.is_empty()),
            bus: "simulated".to_owned(),
            ..Identity::default()
        };
        let table = ZoneTable::new(geometry.clone(), states);
        let data_offset_bytes = file_header::data_offset_bytes(geometry.zone_count);
        Ok(Self { file, data_offset_bytes, identity, geometry, zones: table.report(), table })
    }
}

impl ReadOnlyDrive for ReadOnlyFile {
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
        let length_bytes = bytes.len() as u64;
        let (_, stored_bytes) = self.table.read(offset_bytes, length_bytes)?;
        let stored = usize::try_from(stored_bytes).unwrap_or(bytes.len()).min(bytes.len());
        let (stored, fill) = bytes.split_at_mut(stored);
        fill.fill(0);
        let read = self.file.read_exact_at(stored, self.data_offset_bytes + offset_bytes);
        read.map_err(|error| of_read(&error, offset_bytes, length_bytes))
    }
}

/// What the operating system's error says of the drive in the file.
fn of_read(error: &io::Error, offset_bytes: u64, length_bytes: u64) -> DeviceError {
    match error.raw_os_error() {
        Some(libc::EIO) => DeviceError::MediumRead { offset_bytes, length_bytes },
        Some(errno) => DeviceError::System { operation: "reading the drive's file", errno },
        // The file has become shorter since it was opened.
        None => DeviceError::Gone,
    }
}
