//! Files that others read while they are written anew.

use serde::de::DeserializeOwned;
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

/// Reads what an earlier run has written; none where none did.
///
/// # Errors
/// Where it is there and cannot be read, or not understood: that is not the same as not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_none_and_one_that_cannot_be_read_or_understood_is_an_error() {
        let folder = std::env::temp_dir().join(format!("imbrex-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("numbers");
        assert_eq!(read_json::<Vec<u8>>(&path), Ok(None));
        write_atomically(&path, b"[1,2]").unwrap();
        assert_eq!(read_json(&path), Ok(Some(vec![1_u8, 2])));
        fs::write(&path, "[1,").unwrap();
        let half = read_json::<Vec<u8>>(&path).unwrap_err();
        let folder_instead = read_json::<Vec<u8>>(&folder).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        assert!(half.contains("cannot be read") && folder_instead.contains("cannot be read"), "{half}");
    }
}
