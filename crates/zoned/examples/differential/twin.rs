//! A simulated drive of the same shape as a real one, both without data.

use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device, Zone, ZoneKind};

/// Makes the twin of `device` in memory.
///
/// A simulated drive has its conventional zones first, and one capacity for all others: a drive of another shape has
/// no twin.
pub(crate) fn of(device: &mut dyn Device, pool: BufferPool) -> Result<SimulatedDevice, String> {
    let zones = device.report_zones().map_err(|error| error.to_string())?;
    let geometry = device.geometry().clone();
    let sequential = |zone: &&Zone| zone.kind == ZoneKind::SequentialWriteRequired;
    let conventional_zones = zones.iter().take_while(|zone| !sequential(zone)).count();
    let capacity = zones.iter().find(sequential).map_or(0, |zone| zone.capacity_bytes);
    let shape = SimulatedGeometry {
        zone_count: geometry.zone_count,
        zone_size_bytes: geometry.zone_size_bytes,
        zone_capacity_bytes: capacity,
        conventional_zones: u32::try_from(conventional_zones).map_err(|error| error.to_string())?,
        logical_block_bytes: geometry.logical_block_bytes,
        write_unit_bytes: geometry.write_unit_bytes,
        zone_open_max: geometry.zone_open_max,
        zone_active_max: geometry.zone_active_max,
        rotational: geometry.rotational,
        ..SimulatedGeometry::default()
    };
    let mut twin = SimulatedDevice::in_memory(shape, pool).map_err(|error| error.to_string())?;
    if *twin.geometry() != geometry {
        return Err(format!("no simulated drive has this shape: the nearest is {:?}", twin.geometry()));
    }
    let of_twin = twin.report_zones().map_err(|error| error.to_string())?;
    let same = |(real, twin): (&Zone, &Zone)| {
        real.kind == twin.kind && real.capacity_bytes == twin.capacity_bytes && real.index == twin.index
    };
    match zones.iter().zip(&of_twin).find(|&pair| !same(pair)) {
        Some((real, twin)) => Err(format!("the drive has {real:?} where its twin has {twin:?}")),
        None => Ok(twin),
    }
}
