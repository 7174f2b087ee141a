//! The drive file under Imbrex's engine, and how the engine reaches it.

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use imbrex_zoned::drive_file::DriveFileDevice;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{Backend as Queue, BufferPool, Device};
use nix::fcntl::{FallocateFlags, fallocate};

/// How large a drive file is, and what the engine over it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The size of the drive in bytes, at most.
    pub(crate) size_bytes: u64,
    /// The size of a zone in bytes.
    pub(crate) zone_bytes: u64,
    /// The engine's buffers in bytes.
    pub(crate) pool_bytes: usize,
    /// For how many blocks the drive is formatted.
    pub(crate) blocks_max: u64,
}

/// A way to reach a drive file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// Direct I/O by the crate io-uring.
    IoUring,
    /// Direct I/O by the crate tokio-uring.
    #[cfg(feature = "tokio-uring")]
    TokioUring,
}

impl Backend {
    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io-uring",
            #[cfg(feature = "tokio-uring")]
            Self::TokioUring => "tokio-uring",
        }
    }

    fn queue(self) -> Queue {
        match self {
            Self::IoUring => Queue::Ring,
            #[cfg(feature = "tokio-uring")]
            Self::TokioUring => Queue::TokioUring,
        }
    }

    /// Makes a drive in a file and opens it. The file is allocated beforehand, as a disk is.
    pub(crate) fn create(self, path: &Path, shape: &Shape) -> Result<Box<dyn Device>> {
        let geometry = SimulatedGeometry::fitted(shape.size_bytes, shape.zone_bytes)
            .map_err(|sentence| anyhow::anyhow!(sentence))?;
        let pool = BufferPool::new(shape.pool_bytes).context("cannot take the engine's buffers")?;
        drop(SimulatedDevice::create(path, geometry, pool.clone())?);
        let file = OpenOptions::new().write(true).open(path)?;
        let length = i64::try_from(file.metadata()?.len())?;
        fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length)
            .with_context(|| format!("the disk has no room for a drive file of {length} bytes"))?;
        file.sync_all()?;
        drop(file);
        let device = DriveFileDevice::open_by(self.queue(), path, pool)?;
        ensure!(device.is_direct(), "the file system of {} knows no direct I/O", path.display());
        Ok(Box::new(device))
    }
}
