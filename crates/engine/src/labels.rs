//! Labels: where they stand, which one counts, and what a drive without one is.

use imbrex_format::{Label, LabelError, UNIT_BYTES, ZoneHeader};
use imbrex_zoned::{Condition, Device, DeviceError, Geometry, Zone, ZoneKind};

use crate::blocking::Blocking;
use crate::request::State;
use crate::signature::{SIGNATURES_END_BYTES, find_signature};

/// In how many zones from the start a label is looked for.
const LABEL_SEARCH_ZONES: u32 = 8;

/// The fewest blocks that an index is made for.
pub(crate) const BLOCKS_MIN: u64 = 65_536;

/// What the labels' places hold.
pub(crate) enum FoundLabel {
    Label(Box<Label>),
    Refused(State),
}

/// Looks for the newest label that speaks for this drive.
pub(crate) fn find_label(io: &mut Blocking<'_>, zones: &[Zone]) -> Result<FoundLabel, DeviceError> {
    let mut newest: Option<Label> = None;
    let mut refusal: Option<String> = None;
    let mut is_of_other_version = false;
    for zone in zones.iter().take(LABEL_SEARCH_ZONES as usize) {
        match read_label(io, zone)? {
            Ok(label) if newest.as_ref().is_none_or(|best| label.generation > best.generation) => {
                newest = Some(label);
            }
            Ok(_) | Err(LabelError::NotALabel) => {}
            Err(error) => {
                is_of_other_version |= matches!(error, LabelError::Version { .. });
                refusal = Some(error.to_string());
            }
        }
    }
    if newest.is_none()
        && !is_of_other_version
        && let Some(label) = recover_label(io, zones)?
    {
        tracing::error!("both labels are lost: the drive is mounted by the copy in a zone's header");
        newest = Some(label);
    }
    match (newest, refusal) {
        (Some(label), _) => Ok(check_label(io.device(), label)),
        (None, Some(reason)) => Ok(FoundLabel::Refused(State::Incompatible { reason })),
        (None, None) => unlabelled(io, zones).map(FoundLabel::Refused),
    }
}

/// How many written zones are asked for a copy of the label.
const RECOVERY_ZONES: usize = 64;

/// The copy of the label that zone headers carry, from the first written zones: of several the newest counts. A drive on
/// which a label of another version stands is none of ours.
fn recover_label(io: &mut Blocking<'_>, zones: &[Zone]) -> Result<Option<Label>, DeviceError> {
    let written = zones.iter().filter(|zone| {
        !matches!(zone.condition, Condition::Empty | Condition::Offline | Condition::NotWritePointer)
    });
    let mut newest: Option<Label> = None;
    for zone in written.take(RECOVERY_ZONES) {
        let label = match io.read(zone.index, 0, 1) {
            Ok(bytes) => ZoneHeader::recover_label(bytes, zone.index),
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => None,
        };
        newest = label.into_iter().chain(newest).max_by_key(|label| label.generation);
    }
    Ok(newest)
}

/// The generation for the label of a drive that is being formatted: higher than that of any label that stands, for one
/// in a zone that can no longer be written outlives the formatting.
pub(crate) fn next_generation(io: &mut Blocking<'_>, zones: &[Zone]) -> Result<u64, DeviceError> {
    let mut highest = 0;
    for zone in zones.iter().take(LABEL_SEARCH_ZONES as usize) {
        if let Ok(label) = read_label(io, zone)? {
            highest = highest.max(label.generation);
        }
    }
    Ok(highest.saturating_add(1))
}

/// The label at the start of a zone. One in a zone that it does not name itself is a copy, and none.
fn read_label(io: &mut Blocking<'_>, zone: &Zone) -> Result<Result<Label, LabelError>, DeviceError> {
    if zone.condition == Condition::Offline {
        return Ok(Err(LabelError::NotALabel));
    }
    match io.read(zone.index, 0, 1) {
        Ok(bytes) => Ok(Label::decode(bytes).and_then(|label| {
            if label.label_zones.contains(&zone.index) { Ok(label) } else { Err(LabelError::NotALabel) }
        })),
        Err(DeviceError::MediumRead { .. }) => Ok(Err(LabelError::NotALabel)),
        Err(error) => Err(error),
    }
}

/// A label speaks for the drive on which it was written, and for no other.
fn check_label(device: &dyn Device, label: Label) -> FoundLabel {
    let (geometry, serial) = (device.geometry(), serial_of(device));
    let refused = |reason| FoundLabel::Refused(State::Incompatible { reason });
    if !label.is_of_device(&serial) {
        return refused(format!(
            "its label was written for the drive with serial {}, and this drive's is {serial}",
            label.device_serial
        ));
    }
    if label.zone_count != geometry.zone_count || label.zone_size_bytes != geometry.zone_size_bytes {
        return refused(format!(
            "its label was written for {} zones of {} bytes, and the drive has {} of {}",
            label.zone_count, label.zone_size_bytes, geometry.zone_count, geometry.zone_size_bytes
        ));
    }
    let blocks_possible = blocks_possible(geometry);
    if label.blocks_max > blocks_possible {
        return refused(format!(
            "its label asks for an index of {} blocks, and the drive has room for {blocks_possible}",
            label.blocks_max
        ));
    }
    FoundLabel::Label(Box::new(label))
}

/// How many blocks a drive can hold at most: a record has at least one unit.
pub(crate) fn blocks_possible(geometry: &Geometry) -> u64 {
    (geometry.device_bytes / UNIT_BYTES as u64).max(BLOCKS_MIN)
}

/// The name that a format order and a label give to the drive: its serial, or its id where it has none.
pub(crate) fn serial_of(device: &dyn Device) -> String {
    let identity = device.identity();
    identity.serial.clone().unwrap_or_else(|| identity.id())
}

/// A drive without a label is unformatted only if nothing at all is written on it.
fn unlabelled(io: &mut Blocking<'_>, zones: &[Zone]) -> Result<State, DeviceError> {
    let units = u32::try_from(SIGNATURES_END_BYTES / UNIT_BYTES).unwrap_or(1).min(io.window_units());
    if let Ok(bytes) = io.read(0, 0, units) {
        if let Some(name) = find_signature(bytes) {
            return Ok(State::Foreign { reason: format!("it holds {name}") });
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(State::Foreign { reason: "its first zone holds data without an Imbrex label".into() });
        }
    }
    let written = zones.iter().find(|zone| {
        zone.kind == ZoneKind::SequentialWriteRequired
            && !matches!(zone.condition, Condition::Empty | Condition::Offline | Condition::ReadOnly)
    });
    Ok(match written {
        Some(zone) => State::Foreign {
            reason: format!("zone {} is written, and no Imbrex label stands on the drive", zone.index),
        },
        None => State::Unformatted,
    })
}

/// The two zones that hold the label: conventional ones where there are two, else the first two that can be written.
pub(crate) fn label_zones(zones: &[Zone]) -> Result<[u32; 2], DeviceError> {
    let writable = |zone: &&Zone| !matches!(zone.condition, Condition::ReadOnly | Condition::Offline);
    let first_two = |kind: Option<ZoneKind>| {
        let mut found = zones
            .iter()
            .take(LABEL_SEARCH_ZONES as usize)
            .filter(writable)
            .filter(|zone| kind.is_none_or(|kind| zone.kind == kind))
            .map(|zone| zone.index);
        Some([found.next()?, found.next()?])
    };
    first_two(Some(ZoneKind::Conventional))
        .or_else(|| first_two(None))
        .ok_or(DeviceError::Unknown { what: "fewer than two writable zones at its start".into() })
}
