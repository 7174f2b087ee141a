//! A file for each block on a file system: what a Swift or MinIO node does on its disks.
//!
//! A durable put is: write a new file by direct I/O, fsync it, rename it into place, fsync the folder. A
//! durable deletion is: unlink, fsync the folder. No checksum is made or checked.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::libc::O_DIRECT;

use crate::contender::{Contender, Key};
use crate::noise::{ALIGNMENT_BYTES, aligned_start};

/// The folders over which files are spread.
const FOLDERS: usize = 256;

/// See the module.
pub(crate) struct FilePerBlock {
    top: PathBuf,
    /// The folders, open, so that each can be fsynced.
    folders: Vec<File>,
    name: &'static str,
    block_bytes: usize,
}

impl FilePerBlock {
    /// Makes the folders.
    pub(crate) fn create(top: &Path, name: &'static str, block_bytes: usize) -> Result<Self> {
        let mut folders = Vec::with_capacity(FOLDERS);
        for number in 0..FOLDERS {
            let folder = top.join(format!("{number:02x}"));
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            folders.push(File::open(&folder)?);
        }
        File::open(top)?.sync_all()?;
        Ok(Self { top: top.to_owned(), folders, name, block_bytes })
    }

    fn path(&self, key: &Key) -> PathBuf {
        let mut name = String::with_capacity(67);
        name.push_str(&format!("{:02x}/", key[0]));
        key.iter().for_each(|byte| name.push_str(&format!("{byte:02x}")));
        self.top.join(name)
    }

    fn sync_folder(&self, key: &Key) -> Result<()> {
        Ok(self.folders[usize::from(key[0])].sync_all()?)
    }
}

impl Contender for FilePerBlock {
    fn describe(&self) -> String {
        format!(
            "{}: a file per block, O_DIRECT, fsync of file and folder, rename into place; no checksum",
            self.name
        )
    }

    fn put(&self, key: &Key, payload: &[u8], durable: bool) -> Result<()> {
        let path = self.path(key);
        let draft = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create_new(true).custom_flags(O_DIRECT).open(&draft)?;
        file.write_all(payload)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&draft, &path)?;
        if durable {
            self.sync_folder(key)?;
        }
        Ok(())
    }

    fn get(&self, key: &Key, look: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let opened = OpenOptions::new().read(true).custom_flags(O_DIRECT).open(self.path(key));
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.len() < self.block_bytes + ALIGNMENT_BYTES {
                *buffer = vec![0; self.block_bytes + ALIGNMENT_BYTES];
            }
            let start = aligned_start(buffer);
            let bytes = &mut buffer[start..start + self.block_bytes];
            file.read_exact(bytes)?;
            look(bytes);
            Ok(true)
        })
    }

    fn delete(&self, key: &Key, durable: bool) -> Result<()> {
        fs::remove_file(self.path(key))?;
        if durable {
            self.sync_folder(key)?;
        }
        Ok(())
    }

    fn settle(&self, _seconds_max: u64) -> Result<()> {
        nix::unistd::sync();
        Ok(())
    }
}

thread_local! {
    /// Where a thread reads to, aligned within.
    static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}
