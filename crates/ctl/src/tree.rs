//! A local directory as a list: every directory before what lies in it, names in the order of their bytes,
//! so that the same tree always makes the same manifest.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::byte_text::ByteText;
use crate::error::Error;
use crate::relative_path::RelativePath;

/// One thing in a local directory.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where it is below the directory.
    pub(crate) path: RelativePath,
    /// What it is.
    pub(crate) kind: FoundKind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Seconds of its modification time since 1970.
    pub(crate) mtime_s: i64,
    /// Nanoseconds of that time.
    pub(crate) mtime_ns: u32,
}

/// What a thing in a local directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FoundKind {
    /// A directory.
    Dir,
    /// A regular file of so many bytes.
    File(u64),
    /// A symbolic link to there.
    Symlink(ByteText),
}

impl FoundKind {
    /// The word for it, the same as a manifest's.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::File(_) => "file",
            Self::Symlink(_) => "symlink",
        }
    }
}

/// Lists what lies below `root`. What cannot be listed or stored is told to `left_out`, and the rest goes on.
///
/// # Errors
/// Where `root` itself cannot be read.
pub(crate) fn walk(root: &Path, left_out: &mut dyn FnMut(Error)) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    let mut pending =
        children(root, b"").map_err(|source| Error::local("read the directory", root, source))?;
    while let Some(path_bytes) = pending.pop() {
        let path = match RelativePath::new(path_bytes) {
            Ok(path) => path,
            Err(reason) => {
                left_out(Error::LocalRefused(format!("below {} {reason}; it was left out", root.display())));
                continue;
            }
        };
        let full = path.below(root);
        match look(path, &full) {
            Ok(thing) => {
                if thing.kind == FoundKind::Dir {
                    match children(&full, thing.path.as_bytes()) {
                        Ok(inside) => pending.extend(inside),
                        Err(source) => left_out(Error::local("read the directory", &full, source)),
                    }
                }
                found.push(thing);
            }
            Err(error) => left_out(error),
        }
    }
    Ok(found)
}

/// Paths of what lies in the directory at `full`, the last name first, as a stack wants them.
fn children(full: &Path, relative: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for child in fs::read_dir(full)? {
        let mut path = relative.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(child?.file_name().as_bytes());
        names.push(path);
    }
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

fn look(path: RelativePath, full: &Path) -> Result<Found, Error> {
    let metadata = fs::symlink_metadata(full).map_err(|source| Error::local("look at", full, source))?;
    let kind = if metadata.is_dir() {
        FoundKind::Dir
    } else if metadata.is_file() {
        FoundKind::File(metadata.len())
    } else if metadata.is_symlink() {
        let target = fs::read_link(full).map_err(|source| Error::local("read the link", full, source))?;
        FoundKind::Symlink(ByteText::new(target.as_os_str().as_bytes()))
    } else {
        return Err(special(full, &metadata));
    };
    Ok(Found {
        path,
        kind,
        mode: metadata.mode() & 0o7777,
        mtime_s: metadata.mtime(),
        mtime_ns: nanoseconds(&metadata),
    })
}

fn special(path: &Path, metadata: &Metadata) -> Error {
    let file_type = metadata.file_type();
    let word = match () {
        () if file_type.is_socket() => "a socket",
        () if file_type.is_fifo() => "a named pipe",
        () if file_type.is_block_device() => "a block device",
        () if file_type.is_char_device() => "a character device",
        () => "neither a file nor a directory",
    };
    Error::LocalRefused(format!(
        "{} is {word}, and only files, directories and symbolic links can be stored; it was left out",
        path.display()
    ))
}

fn nanoseconds(metadata: &Metadata) -> u32 {
    u32::try_from(metadata.mtime_nsec()).unwrap_or(0)
}

/// What must stay the same while a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Bytes in the file.
    pub(crate) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Snapshot {
    /// The file as it is now.
    ///
    /// # Errors
    /// Where the system cannot tell.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Opens a regular file to read it. `follow` says whether `path` may be a symbolic link.
///
/// Whatever has taken the file's place since it was listed, a named pipe above all, does not block this.
///
/// # Errors
/// Where it cannot be opened or is no regular file.
pub(crate) fn open_file(path: &Path, follow: bool) -> Result<File, Error> {
    let mut flags = OFlag::O_NONBLOCK;
    if !follow {
        flags |= OFlag::O_NOFOLLOW;
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|source| Error::local("read", path, source))?;
    let metadata = file.metadata().map_err(|source| Error::local("look at", path, source))?;
    if metadata.is_file() {
        return Ok(file);
    }
    if metadata.is_dir() {
        return Err(Error::LocalRefused(format!(
            "{} is a directory where a file was expected",
            path.display()
        )));
    }
    Err(special(path, &metadata))
}

/// The absolute path that a person's `path` means, links resolved.
///
/// # Errors
/// Where there is nothing.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|source| Error::local("find", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn directories_come_before_what_lies_in_them_and_names_in_order() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["b", "a-", "a", "a/z"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        for file in ["b/1", "a/z/2", "a/0", "c"] {
            fs::write(root.path().join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("../nowhere", root.path().join("a/link")).unwrap();
        let found = walk(root.path(), &mut |error| panic!("{error}")).unwrap();
        let paths: Vec<String> = found.iter().map(|found| found.path.to_string()).collect();
        assert_eq!(paths, ["a", "a/0", "a/link", "a/z", "a/z/2", "a-", "b", "b/1", "c"]);
        assert_eq!(found[2].kind, FoundKind::Symlink(ByteText::new("../nowhere")));
        assert_eq!(found[4].kind, FoundKind::File(5));
    }

    #[test]
    fn a_socket_is_left_out_and_told_and_the_rest_is_listed() {
        let root = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(root.path().join("socket")).unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        let mut told = Vec::new();
        let found = walk(root.path(), &mut |error| told.push(error.to_string())).unwrap();
        assert_eq!(found.len(), 1);
        assert!(told.len() == 1 && told[0].contains("is a socket"), "{told:?}");
    }

    #[test]
    fn a_link_is_opened_only_where_links_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("file"), root.path().join("link"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open_file(&link, true).is_ok());
        assert!(open_file(&link, false).is_err());
        assert!(open_file(root.path(), true).unwrap_err().to_string().contains("is a directory"));
    }
}
