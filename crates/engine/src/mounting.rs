//! The steps of a mount: what must hold before anything is read, the label, what stands on the drive, and the labels again.

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::{Condition, Device, DeviceError, ZoneOperation};

use crate::blocking::Blocking;
use crate::label_renewing::{find_remains, renew_labels};
use crate::labels::{FoundLabels, find_labels};
use crate::location::PLACE_BITS;
use crate::log::streams_max;
use crate::mount::{Mount, Mounted};
use crate::request::State;
use crate::zone_table::ZoneTable;

/// What a drive turned out to be.
pub(crate) enum MountOutcome {
    Mounted(Box<Mounted>),
    /// It is not mounted, for the reason that the state gives.
    Refused(State),
}

/// Reads the drive.
///
/// # Errors
///
/// The drive's own; what stands on the drive is an outcome and no error.
pub(crate) fn mount(device: &mut dyn Device) -> Result<MountOutcome, DeviceError> {
    if let Err(reason) = check_geometry(device) {
        return Ok(MountOutcome::Refused(State::Incompatible { reason }));
    }
    settle_cache(device)?;
    let zones = device.report_zones()?;
    let streams_max = streams_max(device.geometry());
    let mut io = Blocking::new(device)?;
    let labels = match find_labels(&mut io, &zones)? {
        FoundLabels::Found(labels) => *labels,
        FoundLabels::Refused(state) => return Ok(MountOutcome::Refused(state)),
    };
    let mut mount = match Mount::new(&mut io, labels, &zones) {
        Ok(mount) => mount,
        Err(state) => return Ok(MountOutcome::Refused(state)),
    };
    let logs = mount.zones(&zones)?;
    let mut mounted = mount.finish(logs, streams_max)?;
    mounted.labels_renewed = renew_labels(&mut io, &mut mounted.zones, &mut mounted.labels)?;
    mounted.remains = find_remains(&mut io, &mut mounted.zones, &mounted.labels)?;
    Ok(MountOutcome::Mounted(Box::new(mounted)))
}

/// How often a flush is tried before a mount. A drive tells a failure once, and what it lost by it is then gone.
const FLUSHES_MAX: u32 = 4;

/// Makes durable what the drive has in its cache. An engine before this one may have ended without a power cut, and left
/// groups there that nobody was told of: what a mount finds it gives out, so it must stay.
fn settle_cache(device: &mut dyn Device) -> Result<(), DeviceError> {
    let mut io = Blocking::new(device)?;
    let mut last = Ok(());
    for _ in 0..FLUSHES_MAX {
        last = io.flush();
        match &last {
            Ok(()) | Err(DeviceError::Gone) => return last,
            Err(error) => tracing::error!(%error, "a flush before the mount failed"),
        }
    }
    last
}

fn check_geometry(device: &dyn Device) -> Result<(), String> {
    let geometry = device.geometry();
    let zone_units = geometry.zone_size_bytes / UNIT_BYTES as u64;
    let unit_bytes = UNIT_BYTES as u64;
    let units = [geometry.write_unit_bytes, geometry.logical_block_bytes];
    if !units.iter().all(|unit| unit_bytes.is_multiple_of(u64::from(*unit))) {
        return Err(format!(
            "it is written in units of {} bytes, and this version writes units of {UNIT_BYTES}",
            geometry.write_unit_bytes
        ));
    }
    if zone_units > u64::from(u32::MAX) || u64::from(geometry.zone_count) * zone_units > 1 << PLACE_BITS {
        return Err("it is larger than the 256 TiB that this version's index can address".into());
    }
    Ok(())
}

/// Finishes a zone that takes no more records, so that it is not active. A drive that refuses loses nothing by it.
pub(crate) fn finish_zone(
    io: &mut Blocking<'_>,
    zones: &mut ZoneTable,
    zone: u32,
) -> Result<(), DeviceError> {
    let entry = zones.get_mut(zone);
    let active =
        matches!(entry.condition, Condition::ImplicitOpen | Condition::ExplicitOpen | Condition::Closed);
    if !active {
        return Ok(());
    }
    match io.zone(zone, ZoneOperation::Finish) {
        Ok(()) => {
            entry.condition = Condition::Full;
            Ok(())
        }
        Err(DeviceError::Gone) => Err(DeviceError::Gone),
        Err(error) => {
            tracing::warn!(zone, %error, "a zone that takes no more records was not finished");
            Ok(())
        }
    }
}
