//! Formatting: from any drive to an empty Imbrex drive.
//!
//! An order names the drive's serial and what may be lost. Everything else is refused: formatting is the one order by
//! which data is destroyed at once.

use imbrex_format::{
    CHUNK_BYTES, DriveId, Label, PAYLOAD_BYTES_MAX, UNIT_BYTES, commit_units, footer_units, record_units,
};
use imbrex_zoned::{Condition, Device, DeviceError, Zone, ZoneKind, ZoneOperation};

use crate::blocking::Blocking;
use crate::labels::{BLOCKS_MIN, blocks_possible, label_zones, next_generation, serial_of};
use crate::request::{EngineError, FormatOrder, Replace, State};
use crate::signature::SIGNATURES_END_BYTES;
use crate::slots::checkpoint_slots;

// The format's unit and its checksum chunk, as a label states them.
#[expect(clippy::cast_possible_truncation, reason = "4,096")]
const LABEL_UNIT_BYTES: u32 = UNIT_BYTES as u32;
#[expect(clippy::cast_possible_truncation, reason = "65,536")]
const LABEL_CHUNK_BYTES: u32 = CHUNK_BYTES as u32;

/// The mean size of a block for which the index is made where the order says nothing.
const BLOCK_BYTES_EXPECTED: u64 = 1 << 20;

/// Whether `order` may be carried out on a drive in this state.
///
/// # Errors
///
/// [`EngineError::FormatRefused`] says what would be accepted.
pub(crate) fn check_order(
    order: &FormatOrder,
    device: &dyn Device,
    state: &State,
    present: Option<DriveId>,
) -> Result<(), EngineError> {
    let refuse = |reason: String| Err(EngineError::FormatRefused { reason });
    let serial = serial_of(device);
    if order.serial != serial {
        return refuse(format!(
            "the order is for the drive with serial {}, and this is {serial}",
            order.serial
        ));
    }
    let (blocks_max, possible) = (order.blocks_max.unwrap_or(BLOCKS_MIN), blocks_possible(device.geometry()));
    if blocks_max == 0 || blocks_max > possible {
        return refuse(format!(
            "an index of {blocks_max} blocks was asked for, and 1 to {possible} are possible"
        ));
    }
    match (state, present, &order.replace) {
        (State::Unformatted, _, Replace::Nothing) => Ok(()),
        (State::Unformatted, _, _) => refuse("the drive is empty: there is nothing to replace".into()),
        (_, Some(present), Replace::Drive(named)) if present == *named => Ok(()),
        (_, Some(present), _) => refuse(format!(
            "it is Imbrex drive {present}; to destroy what it holds, name that drive id as the one to replace"
        )),
        (State::Foreign { .. } | State::Incompatible { .. }, None, Replace::Foreign) => Ok(()),
        (State::Foreign { reason } | State::Incompatible { reason }, None, _) => {
            refuse(format!("{reason}; to destroy what it holds, name `foreign` as what is to be replaced"))
        }
        _ => refuse(format!("a drive that is {} cannot be formatted", state.name())),
    }
}

/// Of how many zones one may fail to be cleared: of a drive on which more do, more is wrong than its zones.
const ZONES_PER_FAILURE: usize = 16;

/// Formats the drive. What stood on it is gone from the first reset on.
///
/// # Errors
///
/// The drive's own, or one that says why it cannot be used; the drive is then foreign or empty, and can be formatted
/// again.
pub(crate) fn format(
    device: &mut dyn Device,
    order: &FormatOrder,
    now_unix_s: u64,
) -> Result<(), DeviceError> {
    let mut zones = device.report_zones()?;
    let mut io = Blocking::new(device)?;
    let generation = next_generation(&mut io, &zones)?;
    let mut label = new_label(io.device(), &zones, order, now_unix_s)?;
    if clear_all(&mut io, &mut zones)? > 0 {
        // Labels and checkpoints go to other zones.
        label = new_label(io.device(), &zones, order, now_unix_s)?;
    }
    label.generation = generation;
    io.flush()?;
    for zone in label.label_zones {
        io.write_unit(zone, 0, |unit| label.encode(unit))?;
    }
    io.flush()?;
    for zone in zones.iter().filter(|zone| label.label_zones.contains(&zone.index)) {
        finish_label_zone(&mut io, zone)?;
    }
    Ok(())
}

/// Finishes a zone in which a label was written, so that it does not count against the drive's limit of active zones. A
/// drive that refuses loses nothing by it.
///
/// # Errors
///
/// [`DeviceError::Gone`].
pub(crate) fn finish_label_zone(io: &mut Blocking<'_>, zone: &Zone) -> Result<(), DeviceError> {
    if zone.kind == ZoneKind::SequentialWriteRequired
        && io.zone(zone.index, ZoneOperation::Finish) == Err(DeviceError::Gone)
    {
        return Err(DeviceError::Gone);
    }
    Ok(())
}

/// Makes every zone one that holds nothing; gives how many could not be made so. Such a zone costs itself: it counts as
/// read-only from here on, and a mount finds in it nothing of this drive.
fn clear_all(io: &mut Blocking<'_>, zones: &mut [Zone]) -> Result<usize, DeviceError> {
    let failures_max = (zones.len() / ZONES_PER_FAILURE).max(1);
    let mut failures = 0;
    for zone in zones {
        match clear(io, zone) {
            Ok(()) => {}
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(error) if failures == failures_max => return Err(error),
            Err(error) => {
                tracing::error!(zone = zone.index, %error, "a zone cannot be cleared, and is not used");
                zone.condition = Condition::ReadOnly;
                failures += 1;
            }
        }
    }
    Ok(failures)
}

/// Makes a zone one that holds nothing: a reset, or zeros where its header would be.
fn clear(io: &mut Blocking<'_>, zone: &Zone) -> Result<(), DeviceError> {
    match (zone.kind, zone.condition) {
        (_, Condition::ReadOnly | Condition::Offline)
        | (ZoneKind::SequentialWriteRequired, Condition::Empty) => Ok(()),
        (ZoneKind::SequentialWriteRequired, _) => io.zone(zone.index, ZoneOperation::Reset),
        (ZoneKind::Conventional, _) => {
            // Where a foreign signature could stand, all of it; elsewhere, where a zone's header stands.
            let units = if zone.index == 0 { SIGNATURES_END_BYTES / UNIT_BYTES } else { 1 };
            let capacity = zone.capacity_bytes / UNIT_BYTES as u64;
            let units = u32::try_from(capacity.min(units as u64)).unwrap_or(1);
            (0..units).try_for_each(|unit| io.write_unit(zone.index, unit, |_| ()))
        }
    }
}

fn new_label(
    device: &dyn Device,
    zones: &[Zone],
    order: &FormatOrder,
    now_unix_s: u64,
) -> Result<Label, DeviceError> {
    let geometry = device.geometry();
    let blocks_expected = geometry.device_bytes / BLOCK_BYTES_EXPECTED;
    let blocks_max = order.blocks_max.unwrap_or(blocks_expected.max(BLOCKS_MIN));
    let label_zones = label_zones(zones)?;
    let (checkpoint_first_zone, checkpoint_slot_zones) =
        checkpoint_slots(zones, label_zones, blocks_max).unwrap_or((0, 0));
    Ok(Label {
        drive_id: DriveId(random()?),
        secret: random()?,
        generation: 1,
        formatted_at_unix_s: now_unix_s,
        unit_bytes: LABEL_UNIT_BYTES,
        zone_count: geometry.zone_count,
        zone_size_bytes: geometry.zone_size_bytes,
        checksum_chunk_bytes: LABEL_CHUNK_BYTES,
        payload_bytes_max: payload_bytes_max(zones),
        blocks_max,
        label_zones,
        device_serial: serial_of(device),
        checkpoint_first_zone,
        checkpoint_slot_zones,
    })
}

#[cfg(test)]
thread_local! {
    /// In tests of this crate a drive's id and secret follow from this, so that a run can be repeated.
    static RANDOM_SEED: std::cell::Cell<u64> = const { std::cell::Cell::new(1) };
}

/// What the ids and secrets of the drives follow from that this thread formats next.
#[cfg(test)]
pub(crate) fn set_random_seed(seed: u64) {
    RANDOM_SEED.set(seed.wrapping_mul(2).wrapping_add(1));
}

#[cfg(test)]
#[expect(clippy::unnecessary_wraps, reason = "as the other one")]
fn random() -> Result<[u8; 16], DeviceError> {
    let seed = RANDOM_SEED.get().wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
    RANDOM_SEED.set(seed);
    Ok((u128::from(seed).wrapping_mul(0x5851_F42D_4C95_7F2D_1405_7B7E_F767_814F)).to_le_bytes())
}

#[cfg(not(test))]
fn random() -> Result<[u8; 16], DeviceError> {
    let mut bytes = [0; 16];
    let errno = |error: getrandom::Error| error.raw_os_error().unwrap_or(5);
    getrandom::fill(&mut bytes)
        .map_err(|error| DeviceError::System { operation: "taking random bytes", errno: errno(error) })?;
    Ok(bytes)
}

/// The largest block that some zone of this drive can hold, and 16 MiB at most. The last zone may be smaller.
fn payload_bytes_max(zones: &[Zone]) -> u32 {
    let largest = zones
        .iter()
        .filter(|zone| !matches!(zone.condition, Condition::ReadOnly | Condition::Offline))
        .map(|zone| zone.capacity_bytes / UNIT_BYTES as u64)
        .max()
        .unwrap_or(0);
    // Beside the record stand the zone's header, a void record, tombstones, a commit and a footer.
    let others = u64::from(3 + commit_units(3) + footer_units(3));
    let units = largest.saturating_sub(others);
    let mut bytes = PAYLOAD_BYTES_MAX as u64;
    while bytes > 0 && u64::from(record_units(usize::try_from(bytes).unwrap_or(0))) > units {
        bytes = bytes.saturating_sub(UNIT_BYTES as u64);
    }
    u32::try_from(bytes).unwrap_or(0)
}
