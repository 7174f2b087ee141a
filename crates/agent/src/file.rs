//! Small files: written in one step, read with a bound.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Writes `contents` to `path` so that a reader sees either the old file or the whole new one.
///
/// # Errors
///
/// The directory cannot be written, or is full.
pub(crate) fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(temporary_name);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The error that counts is the first one; a leftover is harmless and is replaced next time.
        fs::remove_file(&temporary).ok();
    }
    written
}

/// The first `bytes_max` bytes of the file at `path`; `None` where it cannot be read.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path).ok()?.take(bytes_max).read_to_end(&mut contents).ok()?;
    Some(contents)
}

/// The text of a small file (at most 4 KiB) without white space around it; `None` where it cannot be
/// read, is not UTF-8 or is empty.
pub(crate) fn read_line(path: &Path) -> Option<String> {
    let text = String::from_utf8(read_bounded(path, 4096)?).ok()?;
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.toml");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_whole(&path, b"new").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
