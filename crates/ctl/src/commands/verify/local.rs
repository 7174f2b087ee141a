//! The local side of a comparison.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use crate::error::Error;
use crate::manifest::Entry;
use crate::tree::{self, Found, FoundKind, Snapshot};

/// A local file that a stored one is compared with.
#[derive(Debug)]
pub(crate) struct LocalFile {
    file: File,
    path: PathBuf,
    size: u64,
    size_stored: u64,
}

impl LocalFile {
    /// Opens the file at `path`, which is compared with one of `size_stored` bytes.
    ///
    /// # Errors
    /// Where it cannot be opened, or is no file.
    pub(crate) fn open(path: &Path, size_stored: u64, follow: bool) -> Result<Self, Error> {
        let file = tree::open_file(path, follow)?;
        let size = Snapshot::of(&file).map_err(|source| Error::local("look at", path, source))?.size;
        Ok(Self { file, path: path.to_owned(), size, size_stored })
    }

    /// A sentence where the sizes differ.
    pub(crate) fn size_difference(&self, name: &str) -> Option<String> {
        let (size, stored) = (self.size, self.size_stored);
        (size != stored).then(|| format!("{name} has {size} bytes here and {stored} stored"))
    }

    /// A sentence where the bytes from `offset` on are not `stored`.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn difference(&self, offset: u64, stored: &[u8]) -> Result<Option<String>, Error> {
        let mut here = vec![0; stored.len()];
        match self.file.read_exact_at(&mut here, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(Some(format!("{} became shorter while it was compared", self.path.display())));
            }
            Err(source) => return Err(Error::local("read", &self.path, source)),
        }
        let first = here.iter().zip(stored).position(|(here, stored)| here != stored);
        Ok(first.map(|at| format!("{} differs from byte {} on", self.path.display(), offset + at as u64)))
    }
}

/// Compares names, kinds and the targets of links; tells also what could not be looked at.
///
/// # Errors
/// Where `root` is no directory that can be read.
pub(crate) fn compare_lists(root: &Path, entries: &[Entry]) -> Result<(Findings, Vec<String>), Error> {
    let mut left_out = Vec::new();
    let found = tree::walk(root, &mut |error| left_out.push(error.to_string()))?;
    let mut here: HashMap<&[u8], &Found> = found.iter().map(|found| (found.path.as_bytes(), found)).collect();
    let mut findings = Findings::default();
    for entry in entries {
        let path = entry.path();
        match (entry, here.remove(path.as_bytes())) {
            (_, None) => findings.only_stored.push(path.to_string()),
            (_, Some(found)) if found.kind.word() != entry.kind() => {
                let (one, other) = (found.kind.word(), entry.kind());
                findings.different.push(format!("{path} is a {one} here and a {other} stored"));
            }
            (Entry::Symlink { target, .. }, Some(Found { kind: FoundKind::Symlink(to), .. }))
                if to != target =>
            {
                findings.different.push(format!("{path} points to {to} here and to {target} stored"));
            }
            _ => {}
        }
    }
    findings.only_here = here.into_values().map(|found| found.path.to_string()).collect();
    findings.only_here.sort_unstable();
    Ok((findings, left_out))
}
