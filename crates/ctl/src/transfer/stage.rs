//! Output that appears whole or not at all: written under a temporary name, renamed at the end.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use tempfile::{NamedTempFile, TempDir};

use crate::error::Error;

/// What the temporary names begin with.
const PREFIX: &str = ".imbrex-partial-";
/// Permission bits that a new file asks for, before the user's mask.
const FILE_MODE: u32 = 0o666;
/// The same for a new directory.
const DIR_MODE: u32 = 0o777;
/// Permission bits that are restored. Who a file belongs to is not stored, so that to restore the right to run as
/// that user would give it to another one.
const MODE_RESTORED: u32 = 0o777;

/// A file that will have its name when it is whole.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: NamedTempFile,
    target: PathBuf,
    replace: bool,
}

impl StagedFile {
    /// Prepares to write `target`.
    ///
    /// # Errors
    /// Where there is something already that may not be replaced, or its directory cannot be written to.
    pub(crate) fn create(target: &Path, replace: bool) -> Result<Self, Error> {
        if target.is_dir() {
            return Err(Error::LocalRefused(format!("{} is a directory: name a file", target.display())));
        }
        if !replace && target.symlink_metadata().is_ok() {
            return Err(exists(target));
        }
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(FILE_MODE))
            .tempfile_in(parent(target))
            .map_err(|source| Error::local("create", target, source))?;
        Ok(Self { file, target: target.to_owned(), replace })
    }

    /// A handle to write with.
    ///
    /// # Errors
    /// Where the system has no more handles.
    pub(crate) fn handle(&self) -> Result<File, Error> {
        self.file.as_file().try_clone().map_err(|source| Error::local("write", &self.target, source))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// Where that name has been taken meanwhile, or the rename fails.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Self { file, target, replace } = self;
        let outcome = if replace { file.persist(&target) } else { file.persist_noclobber(&target) };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&target)),
            Err(error) => Err(Error::local("create", &target, error.error)),
        }
    }
}

/// A directory whose content will have its names when it is whole.
#[derive(Debug)]
pub(crate) struct StagedDir {
    dir: TempDir,
    target: PathBuf,
    /// Whether the target was there, empty: then the content moves into it, since it may be a mount point.
    inside: bool,
}

impl StagedDir {
    /// Prepares to fill `target`.
    ///
    /// # Errors
    /// Where it is there and not an empty directory, or cannot be written to.
    pub(crate) fn create(target: &Path) -> Result<Self, Error> {
        let inside = match fs::read_dir(target).map(|mut children| children.next().is_some()) {
            Ok(true) => {
                return Err(Error::LocalRefused(format!(
                    "{} is not empty: name a directory that does not exist or is empty",
                    target.display()
                )));
            }
            Ok(false) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(Error::local("use as a directory", target, source)),
        };
        let place = if inside { target } else { parent(target) };
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(DIR_MODE))
            .tempdir_in(place)
            .map_err(|source| Error::local("create", target, source))?;
        Ok(Self { dir, target: target.to_owned(), inside })
    }

    /// The directory to fill.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Gives the content its names.
    ///
    /// # Errors
    /// Where the target is no longer as it was, or a rename fails.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let failed = |source| Error::local("fill", &self.target, source);
        if !self.inside {
            // The target did not exist; a rename would silently replace an empty directory made meanwhile, no more.
            fs::rename(self.dir.path(), &self.target).map_err(failed)?;
            let _moved = self.dir.keep();
            return Ok(());
        }
        for child in fs::read_dir(self.dir.path()).map_err(failed)? {
            let child = child.map_err(failed)?;
            fs::rename(child.path(), self.target.join(child.file_name())).map_err(failed)?;
        }
        self.dir.close().map_err(failed)
    }
}

/// Creates a file that must not be there yet, so that no link is followed.
///
/// # Errors
/// Where it is there, or cannot be created.
pub(crate) fn create_new(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|source| Error::local("create", path, source))
}

/// Gives an open file or directory its permission bits and its modification time.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn restore(file: &File, path: &Path, mode: u32, mtime: (i64, u32)) -> Result<(), Error> {
    let failed = |source| Error::local("set the mode and time of", path, source);
    file.set_permissions(Permissions::from_mode(mode & MODE_RESTORED)).map_err(failed)?;
    match time(mtime) {
        Some(time) => file.set_times(FileTimes::new().set_modified(time)).map_err(failed),
        None => Ok(()),
    }
}

/// The same for a directory that is closed.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn restore_dir(path: &Path, mode: u32, mtime: (i64, u32)) -> Result<(), Error> {
    let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    let dir = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| Error::local("open", path, source))?;
    restore(&dir, path, mode, mtime)
}

/// Makes a symbolic link with its modification time.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn symlink(target: &Path, path: &Path, mtime: (i64, u32)) -> Result<(), Error> {
    std::os::unix::fs::symlink(target, path)
        .map_err(|source| Error::local("create the link", path, source))?;
    let time = TimeSpec::new(mtime.0, mtime.1.into());
    utimensat(AT_FDCWD, path, &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(|errno| Error::local("set the time of", path, errno.into()))
}

/// A point in time; nothing where this machine cannot express it.
fn time((seconds, nanoseconds): (i64, u32)) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    whole?.checked_add(Duration::from_nanos(nanoseconds.into()))
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn exists(target: &Path) -> Error {
    Error::LocalRefused(format!("{} is there already: name another file, or give --force", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind_when_a_transfer_breaks_off() {
        let place = tempfile::tempdir().unwrap();
        let file = StagedFile::create(&place.path().join("f"), false).unwrap();
        let dir = StagedDir::create(&place.path().join("d")).unwrap();
        fs::write(dir.path().join("x"), "x").unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
        drop((file, dir));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_there_is_replaced_only_when_told() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("f");
        let staged = StagedFile::create(&target, false).unwrap();
        fs::write(&target, "old").unwrap();
        assert!(staged.finish().unwrap_err().to_string().contains("--force"));
        assert!(StagedFile::create(&target, false).is_err());
        StagedFile::create(&target, true).unwrap().finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn an_empty_directory_is_filled_and_stays_the_same_directory() {
        use std::os::unix::fs::MetadataExt;
        let place = tempfile::tempdir().unwrap();
        let inode = place.path().metadata().unwrap().ino();
        let staged = StagedDir::create(place.path()).unwrap();
        fs::write(staged.path().join("x"), "x").unwrap();
        staged.finish().unwrap();
        assert_eq!(place.path().metadata().unwrap().ino(), inode);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(StagedDir::create(place.path()).unwrap_err().to_string().contains("not empty"));
    }

    #[test]
    fn set_user_id_is_not_restored() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("f");
        restore(&create_new(&path).unwrap(), &path, 0o6755, (-5, 7)).unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
        assert_eq!(metadata.modified().unwrap(), time((-5, 7)).unwrap());
    }
}
