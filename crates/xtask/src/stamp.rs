//! What is up to date: a stamp holds the digest of everything that a step's output was made from.
//!
//! Contents count, times do not: a checkout of another branch and back makes nothing anew.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The inputs of one step, digested.
#[derive(Clone, Default)]
pub struct Inputs {
    digest: Sha256,
}

impl Inputs {
    /// Inputs of a step whose own procedure has the given version; raise it when the procedure changes.
    #[must_use]
    pub fn of_procedure(version: u32) -> Self {
        let inputs = Self::default();
        inputs.text(&format!("procedure {version}"))
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.add(text.as_bytes());
        self
    }

    /// Adds a file, by name and content.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        self.add(path.as_os_str().as_encoded_bytes());
        let digest = file_digest(path)?;
        self.add(&digest);
        Ok(self)
    }

    /// Adds a folder: every file in it, by name and content.
    ///
    /// # Errors
    /// Where something in it cannot be read.
    pub fn folder(mut self, folder: &Path) -> Result<Self> {
        for path in files_below(folder)? {
            self = self.file(&path)?;
        }
        Ok(self)
    }

    /// The digest, in hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        hexadecimal(&self.digest.finalize())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes.len().to_le_bytes());
        self.digest.update(bytes);
    }
}

/// Whether `outputs` all exist and were made from the inputs with that digest.
#[must_use]
pub fn is_fresh(stamp: &Path, digest: &str, outputs: &[PathBuf]) -> bool {
    outputs.iter().all(|output| output.exists())
        && fs::read_to_string(stamp).is_ok_and(|written| written.trim() == digest)
}

/// Writes down that the outputs beside `stamp` were made from the inputs with that digest.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(stamp: &Path, digest: &str) -> Result<()> {
    fs::write(stamp, format!("{digest}\n")).with_context(|| format!("cannot write {}", stamp.display()))
}

/// SHA-256 of a file.
///
/// # Errors
/// Where it cannot be read.
pub fn file_digest(path: &Path) -> Result<[u8; 32]> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = io::BufReader::with_capacity(1 << 20, file);
    let mut digest = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let count = reader.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        if count == 0 {
            return Ok(digest.finalize().into());
        }
        digest.update(&buffer[..count]);
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every regular file below a folder, sorted; links are not followed.
///
/// # Errors
/// Where a folder cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
            let kind = entry
                .file_type()
                .with_context(|| format!("cannot tell what {} is", entry.path().display()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_in_a_folder_changes_the_digest_and_a_changed_time_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let digest = || Inputs::of_procedure(1).folder(folder.path()).unwrap().finish();
        fs::write(&path, b"one").unwrap();
        let first = digest();
        fs::write(&path, b"two").unwrap();
        assert_ne!(digest(), first);
        fs::write(&path, b"one").unwrap();
        assert_eq!(digest(), first);
    }

    #[test]
    fn a_missing_output_is_not_fresh() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, output) = (folder.path().join("stamp"), folder.path().join("output"));
        write(&stamp, "digest").unwrap();
        assert!(!is_fresh(&stamp, "digest", std::slice::from_ref(&output)));
        fs::write(&output, b"").unwrap();
        assert!(is_fresh(&stamp, "digest", std::slice::from_ref(&output)));
        assert!(!is_fresh(&stamp, "other", &[output]));
    }
}
