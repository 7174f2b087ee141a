//! A drive's bytes and the states of its zones in a sparse file.
//!
//! The page cache outlives the process. So a process that is killed loses nothing that it wrote, provided that the
//! order of its writes leaves the file whole at every instant; the caller writes data before the entry that covers it.
//!
//! The lock is one of the open file, not of the process: what a killed process had in flight holds it to its end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};

use crate::simulated::file_header::{self, HEADER_BYTES};
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::store::Store;
use crate::simulated::zone_entry::{self, ENTRY_BYTES};
use crate::simulated::zone_table::ZoneState;
use crate::{OpenError, OpenRefusal};

/// How long a file may still be held by what a process that has ended had in flight.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(3);
const RELEASE_WAIT_STEP: Duration = Duration::from_millis(20);

/// The file of a drive, locked against every other process.
pub(crate) struct FileStore {
    file: Flock<File>,
    data_offset_bytes: u64,
}

/// A drive file, and what it says of the drive.
pub(crate) struct OpenedFile {
    pub(crate) store: FileStore,
    pub(crate) geometry: SimulatedGeometry,
    pub(crate) zones: Vec<ZoneState>,
}

impl FileStore {
    /// Makes the file of a new drive, which appears under its name only when it is whole.
    pub(crate) fn create(path: &Path, geometry: &SimulatedGeometry) -> Result<OpenedFile, OpenError> {
        let refuse = |reason| OpenError { path: path.to_owned(), reason };
        let fail = |operation| move |source| refuse(OpenRefusal::System { operation, source });
        let draft = draft_path(path).map_err(|what| refuse(OpenRefusal::Unsupported { what }))?;
        if fs::symlink_metadata(path).is_ok() {
            return Err(refuse(OpenRefusal::Unsupported {
                what: "something has that name already".to_owned(),
            }));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&draft);
        let file = lock(file.map_err(fail("creating the drive's file"))?).map_err(refuse)?;
        let zones: Vec<ZoneState> =
            (0..geometry.zone_count).map(|zone| zone_entry::first_state(geometry, zone)).collect();
        let mut head = file_header::encode(geometry).to_vec();
        head.extend((0..).zip(&zones).flat_map(|(zone, state)| zone_entry::encode(zone, *state)));
        let written = file
            .set_len(0)
            .and_then(|()| file.set_len(file_header::file_bytes(geometry)))
            .and_then(|()| file.write_all_at(&head, 0))
            .and_then(|()| file.sync_all())
            .map_err(fail("writing the new drive's file"))
            // Unlike a rename, a link never takes the place of a file that has appeared meanwhile.
            .and_then(|()| fs::hard_link(&draft, path).map_err(fail("naming the new drive's file")));
        if let Err(error) = written {
            // The first error is the one to tell; the lock is still held, so the draft is nobody else's.
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        fs::remove_file(&draft).map_err(fail("removing the draft of the drive's file"))?;
        let data_offset_bytes = file_header::data_offset_bytes(geometry.zone_count);
        Ok(OpenedFile { store: Self { file, data_offset_bytes }, geometry: geometry.clone(), zones })
    }

    /// Opens and locks the file of a drive, and checks every byte of it that is not data.
    pub(crate) fn open(path: &Path) -> Result<OpenedFile, OpenError> {
        let refuse = |reason| OpenError { path: path.to_owned(), reason };
        let fail = |operation| move |source| refuse(OpenRefusal::System { operation, source });
        let not_a_drive = |what| refuse(OpenRefusal::NotASimulatedDrive { what });
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(|source| match source.kind() {
                io::ErrorKind::IsADirectory => not_a_drive("it is a directory".to_owned()),
                _ => fail("opening the drive's file")(source),
            })?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(not_a_drive("it is no regular file".to_owned()));
        }
        let mut file = lock_released(file, FlockArg::LockExclusiveNonblock).map_err(refuse)?;
        let (geometry, zones) = read_head(&mut file).map_err(refuse)?;
        let data_offset_bytes = file_header::data_offset_bytes(geometry.zone_count);
        Ok(OpenedFile { store: Self { file, data_offset_bytes }, geometry, zones })
    }

    /// The open file, which goes through the page cache.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where the drive's first byte stands in the file.
    pub(crate) fn data_offset_bytes(&self) -> u64 {
        self.data_offset_bytes
    }
}

/// Reads what stands before a drive's data, and checks every byte of it.
pub(crate) fn read_head(file: &mut File) -> Result<(SimulatedGeometry, Vec<ZoneState>), OpenRefusal> {
    let fail = |operation| move |source| OpenRefusal::System { operation, source };
    let not_a_drive = |what| OpenRefusal::NotASimulatedDrive { what };
    let found = file.metadata().map_err(fail("reading the size of the drive's file"))?.len();
    let mut header = [0; HEADER_BYTES];
    if found < HEADER_BYTES as u64 {
        return Err(not_a_drive(format!(
            "its {found} bytes are fewer than the {HEADER_BYTES} of a drive file's header (was it truncated?)"
        )));
    }
    file.read_exact(&mut header).map_err(fail("reading the drive's header"))?;
    let geometry = file_header::decode(&header).map_err(not_a_drive)?;
    let wanted = file_header::file_bytes(&geometry);
    if found != wanted {
        let change = if found < wanted { "cut short" } else { "made longer" };
        return Err(not_a_drive(format!("it has {found} bytes instead of {wanted}: it was {change}")));
    }
    let mut zones = Vec::with_capacity(geometry.zone_count as usize);
    let mut table = vec![0; geometry.zone_count as usize * ENTRY_BYTES];
    file.read_exact(&mut table).map_err(fail("reading the drive's zone table"))?;
    for (zone, entry) in (0..).zip(table.as_chunks().0) {
        let state = zone_entry::decode(entry, zone, &geometry);
        let damaged = || not_a_drive(format!("the entry of zone {zone} in its zone table is damaged"));
        zones.push(state.ok_or_else(damaged)?);
    }
    Ok((geometry, zones))
}

/// The name under which the file is made: beside its own, hidden.
fn draft_path(path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().ok_or("it names no file")?;
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(format!("there is no directory {}: create it first", directory.display()));
    }
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(".draft");
    Ok(directory.join(draft))
}

fn lock(file: File) -> Result<Flock<File>, OpenRefusal> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| not_locked(errno))
}

/// Locks a file that may still be held by what a killed process had in flight: tried again until
/// [`RELEASE_WAIT_MAX`] has passed.
pub(crate) fn lock_released(mut file: File, how: FlockArg) -> Result<Flock<File>, OpenRefusal> {
    let begun = Instant::now();
    loop {
        match Flock::lock(file, how) {
            Ok(locked) => return Ok(locked),
            Err((unlocked, Errno::EWOULDBLOCK)) if begun.elapsed() < RELEASE_WAIT_MAX => file = unlocked,
            Err((_, errno)) => return Err(not_locked(errno)),
        }
        thread::sleep(RELEASE_WAIT_STEP);
    }
}

fn not_locked(errno: Errno) -> OpenRefusal {
    match errno {
        Errno::EWOULDBLOCK => OpenRefusal::InUse { by: None },
        errno => OpenRefusal::System { operation: "locking the drive's file", source: errno.into() },
    }
}

impl Store for FileStore {
    fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, self.data_offset_bytes + offset_bytes)
    }

    fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.data_offset_bytes + offset_bytes)
    }

    fn discard(&mut self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let offset = i64::try_from(self.data_offset_bytes + offset_bytes).map_err(io::Error::other)?;
        let length = i64::try_from(length_bytes).map_err(io::Error::other)?;
        match fallocate(&*self.file, flags, offset, length) {
            // The file system has no holes: the room comes back when the zone is written again.
            Ok(()) | Err(Errno::EOPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn save_zone(&mut self, zone: u32, state: ZoneState) -> io::Result<()> {
        self.file.write_all_at(&zone_entry::encode(zone, state), file_header::entry_offset_bytes(zone))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
