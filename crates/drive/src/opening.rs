//! Opening the drive that the command line names.

use std::path::Path;

use imbrex_zoned::drive_file::DriveFileDevice;
use imbrex_zoned::kernel::KernelDevice;
use imbrex_zoned::simulated::SimulatedGeometry;
use imbrex_zoned::{BufferPool, Device};

use crate::failure::Failure;
use crate::options::{Options, ZONE_SIZE_BYTES};

/// An open drive.
pub(crate) struct Opened {
    pub(crate) device: Box<dyn Device>,
    /// Whether it is to be formatted where nothing is written on it: only a simulated drive is.
    pub(crate) format_if_empty: bool,
}

/// Opens the drive; a simulated one is made where there is none.
///
/// # Errors
///
/// One of [`Failure`], with a sentence for the person who gave the command.
pub(crate) fn open_drive(options: &Options, pool: BufferPool) -> Result<Opened, Failure> {
    match (&options.drive.device, &options.drive.simulated) {
        (Some(path), _) => {
            let device = KernelDevice::open_by(options.backend(), path, pool).map_err(Failure::Open)?;
            Ok(Opened { device: Box::new(device), format_if_empty: false })
        }
        (None, Some(path)) => {
            let device = open_simulated(path, options, pool)?;
            if !device.is_direct() {
                tracing::warn!(
                    "{} is on a file system without direct I/O: it goes through the page cache",
                    path.display()
                );
            }
            Ok(Opened { device: Box::new(device), format_if_empty: true })
        }
        // The command line's own check rules it out.
        (None, None) => {
            Err(Failure::Geometry { sentence: "neither a device nor a file was named".to_owned() })
        }
    }
}

fn open_simulated(path: &Path, options: &Options, pool: BufferPool) -> Result<DriveFileDevice, Failure> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        let size = options.size.ok_or_else(|| Failure::NoSize { path: path.to_owned() })?;
        // A bare file name has an empty parent: the directory that the process is in.
        if let Some(parent) =
            path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
        {
            return Err(Failure::NoDirectory { path: parent.to_owned() });
        }
        let zone_size = options.zone_size.unwrap_or(ZONE_SIZE_BYTES);
        let geometry =
            SimulatedGeometry::fitted(size, zone_size).map_err(|sentence| Failure::Geometry { sentence })?;
        return DriveFileDevice::create_by(options.backend(), path, geometry, pool).map_err(Failure::Open);
    }
    let device = DriveFileDevice::open_by(options.backend(), path, pool).map_err(Failure::Open)?;
    let geometry = device.geometry();
    let other = |what, asked_bytes, found_bytes| {
        Err(Failure::OtherSize { path: path.to_owned(), what, asked_bytes, found_bytes })
    };
    if let Some(asked) = options.zone_size
        && asked != geometry.zone_size_bytes
    {
        return other("zones", asked, geometry.zone_size_bytes);
    }
    // A drive has whole zones: the size given when it was made need not have been a multiple.
    if let Some(asked) = options.size
        && asked / geometry.zone_size_bytes * geometry.zone_size_bytes != geometry.device_bytes
    {
        return other("drive", asked, geometry.device_bytes);
    }
    Ok(device)
}
