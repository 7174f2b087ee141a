//! The two drives, each opened anew for each life of an engine.

use std::path::{Path, PathBuf};

use imbrex_zoned::kernel::KernelDevice;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device};

use crate::twin;

/// The buffers of an engine, in bytes.
const POOL_BYTES: usize = 48 << 20;

/// A drive that engines are started on, one after another.
pub(crate) trait Drive {
    /// Opens it.
    fn open(&mut self) -> Result<Box<dyn Device>, String>;
}

/// A real drive.
pub(crate) struct KernelDrive {
    path: PathBuf,
}

/// Its simulated twin, kept in memory over the lives of its engines.
pub(crate) struct Twin {
    drive: SimulatedDrive,
}

impl KernelDrive {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn device(&self) -> Result<KernelDevice, String> {
        KernelDevice::open(&self.path, pool()?).map_err(|error| error.to_string())
    }
}

impl Twin {
    pub(crate) fn of(real: &KernelDrive) -> Result<Self, String> {
        let device = twin::of(&mut real.device()?, pool()?)?;
        Ok(Self { drive: device.drive() })
    }

    /// A drive of no other's shape, with zones of 2 MiB of which 1.5 MiB can be written, and low limits.
    pub(crate) fn of_zones(zone_count: u32) -> Result<Self, String> {
        let shape = SimulatedGeometry {
            zone_count,
            zone_size_bytes: 2 << 20,
            zone_capacity_bytes: 3 << 19,
            conventional_zones: 0,
            zone_open_max: Some(5),
            zone_active_max: Some(8),
            ..SimulatedGeometry::default()
        };
        let device = SimulatedDevice::in_memory(shape, pool()?).map_err(|error| error.to_string())?;
        Ok(Self { drive: device.drive() })
    }
}

impl Drive for KernelDrive {
    fn open(&mut self) -> Result<Box<dyn Device>, String> {
        Ok(Box::new(self.device()?))
    }
}

impl Drive for Twin {
    fn open(&mut self) -> Result<Box<dyn Device>, String> {
        Ok(Box::new(self.drive.open(pool()?)))
    }
}

fn pool() -> Result<BufferPool, String> {
    BufferPool::new(POOL_BYTES).map_err(|error| format!("no memory for buffers: {error}"))
}
