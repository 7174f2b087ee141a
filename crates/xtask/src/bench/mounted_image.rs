//! A file system in a file of the disk under test, mounted for one contender and gone afterwards.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::output_of;

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// XFS with its defaults.
    Xfs,
    /// ext4 with its defaults, and no blocks kept back for root.
    Ext4,
}

impl FileSystem {
    /// Its name for `mount`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Ext4 => "ext4",
        }
    }
}

/// A mounted file system. Dropped, it is unmounted and its file removed.
#[derive(Debug)]
pub struct MountedImage {
    file: PathBuf,
    folder: PathBuf,
    loop_device: Option<String>,
    mounted: bool,
}

impl MountedImage {
    /// Makes a file of `size_bytes` in `directory`, all of it allocated, and mounts a new file system in it. The loop
    /// device does direct I/O, so that nothing is cached twice, and a flush reaches the disk.
    ///
    /// # Errors
    /// Where one of its steps fails: the sentence has what it said.
    pub fn make(directory: &Path, size_bytes: u64, system: FileSystem) -> Result<Self> {
        let file = directory.join("comparison.img");
        let folder = directory.join("comparison");
        let mut image = Self { file, folder, loop_device: None, mounted: false };
        image.allocate(size_bytes)?;
        let output =
            output_of(Command::new("losetup").args(["--find", "--show", "--direct-io=on"]).arg(&image.file))?;
        let device = String::from_utf8_lossy(&output).trim().to_owned();
        image.loop_device = Some(device.clone());
        image.allow_large_requests()?;
        let mut make = Command::new(format!("mkfs.{}", system.name()));
        match system {
            FileSystem::Xfs => make.args(["-q", "-f", "-K"]),
            FileSystem::Ext4 => make.args(["-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0"]),
        };
        output_of(make.arg(&device))?;
        fs::create_dir_all(&image.folder)
            .with_context(|| format!("cannot make {}", image.folder.display()))?;
        output_of(Command::new("mount").args(["-t", system.name()]).arg(&device).arg(&image.folder))?;
        image.mounted = true;
        Ok(image)
    }

    /// Requests as large as the loop device can take: its default cuts a block into several.
    fn allow_large_requests(&self) -> Result<()> {
        let queue = Path::new("/sys/block").join(self.block_device()).join("queue");
        let most =
            fs::read_to_string(queue.join("max_hw_sectors_kb")).context("the loop device has no queue")?;
        fs::write(queue.join("max_sectors_kb"), most.trim()).context("cannot set the size of requests")
    }

    fn allocate(&self, size_bytes: u64) -> Result<()> {
        let file =
            File::create(&self.file).with_context(|| format!("cannot make {}", self.file.display()))?;
        let length = i64::try_from(size_bytes).context("too large an image")?;
        nix::fcntl::fallocate(file.as_fd(), nix::fcntl::FallocateFlags::empty(), 0, length).with_context(
            || format!("the disk has no room for {} of {size_bytes} bytes", self.file.display()),
        )
    }

    /// Where it is mounted.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of its block device in `/sys/block`.
    #[must_use]
    pub fn block_device(&self) -> &str {
        self.loop_device.as_deref().and_then(|device| device.rsplit('/').next()).unwrap_or_default()
    }
}

impl Drop for MountedImage {
    fn drop(&mut self) {
        let mut complaints = Vec::new();
        if self.mounted {
            complaints.extend(output_of(Command::new("umount").arg(&self.folder)).err());
        }
        if let Some(device) = self.loop_device.take() {
            complaints.extend(output_of(Command::new("losetup").arg("--detach").arg(device)).err());
        }
        // Neither need be there where a step before failed.
        let _ = fs::remove_dir(&self.folder);
        let _ = fs::remove_file(&self.file);
        for complaint in complaints {
            eprintln!("✗ {complaint:#}");
        }
    }
}
