//! Files that others read while they are written anew.

use std::path::Path;
use std::{fs, io};

/// Writes a whole file or nothing of it, by a rename within its directory.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}
