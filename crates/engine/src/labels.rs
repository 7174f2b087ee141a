//! Labels: where they stand, which one counts, and what a drive without one is.

use imbrex_format::{Label, LabelError, UNIT_BYTES};
use imbrex_zoned::{Condition, Device, DeviceError, Geometry, Zone, ZoneKind};

use crate::blocking::Blocking;
use crate::label_copies::newest_copy;
use crate::mutation::{Mutation, is};
use crate::request::State;
use crate::signature::{SIGNATURES_END_BYTES, find_signature};

/// In how many zones from the start a label is looked for.
const LABEL_SEARCH_ZONES: u32 = 8;

/// The fewest blocks that an index is made for.
pub(crate) const BLOCKS_MIN: u64 = 65_536;

/// What the labels' places hold.
pub(crate) enum FoundLabels {
    Found(Box<Labels>),
    Refused(State),
}

/// The label that counts, and what stands in the two places that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) label: Label,
    /// The generation of the drive's label in each place; `None` where none of this drive can be read.
    pub(crate) generations: [Option<u64>; 2],
    /// The highest generation that was given to any label of which this mount knows, whether one stands or not.
    pub(crate) generation_last: u64,
}

impl Labels {
    /// Whether the label that counts stands in both places: then no older one can ever be taken for it.
    pub(crate) fn are_whole(&self) -> bool {
        self.generations == [Some(self.label.generation); 2]
    }

    /// Whether no place holds an older label than the other.
    #[cfg(test)]
    pub(crate) fn generations_are_same(&self) -> bool {
        self.generations[0] == self.generations[1]
    }

    /// Whether this place holds the newest label that stands, and the other one none as new.
    pub(crate) fn is_only_one(&self, zone: u32) -> bool {
        let [first, second] = self.generations;
        let [first_zone, second_zone] = self.label.label_zones;
        (zone == first_zone && first > second) || (zone == second_zone && second > first)
    }

    /// Notes what stands in one of the places.
    pub(crate) fn set_generation(&mut self, zone: u32, generation: Option<u64>) {
        for (place, stands) in self.label.label_zones.into_iter().zip(&mut self.generations) {
            if place == zone {
                *stands = generation;
            }
        }
    }

    /// The two places, in the order in which they are to be written: what cannot be read, then the older one. So the newest
    /// label stands until another does.
    pub(crate) fn worst_first(&self) -> [usize; 2] {
        if self.generations[1] < self.generations[0] { [1, 0] } else { [0, 1] }
    }
}

/// Looks for the newest label that speaks for this drive.
///
/// Of two labels that are there the newer one counts. Where only one is, the other may have been newer, and name other zones
/// for checkpoints: then the copies in the zones' headers are asked, for every zone that was opened since has one.
///
/// # Errors
///
/// The drive's own; what the medium does not give holds no label.
pub(crate) fn find_labels(io: &mut Blocking<'_>, zones: &[Zone]) -> Result<FoundLabels, DeviceError> {
    let mut found: Vec<(u32, Label)> = Vec::new();
    let mut refusal: Option<String> = None;
    let mut is_of_other_version = false;
    for zone in zones.iter().take(LABEL_SEARCH_ZONES as usize) {
        match read_label(io, zone)? {
            Ok(label) => found.push((zone.index, label)),
            Err(LabelError::NotALabel) => {}
            Err(error) => {
                is_of_other_version |= matches!(error, LabelError::Version { .. });
                refusal = Some(error.to_string());
            }
        }
    }
    let newest = found.iter().map(|(_, label)| label).max_by_key(|label| label.generation).cloned();
    if newest.is_none() && is_of_other_version {
        return Ok(FoundLabels::Refused(State::Incompatible { reason: refusal.unwrap_or_default() }));
    }
    let standing = |label: &Label| {
        label.label_zones.map(|place| {
            let here = found.iter().find(|(zone, other)| *zone == place && other.drive_id == label.drive_id);
            here.map(|(_, label)| label.generation)
        })
    };
    let is_one_missing = newest.as_ref().is_none_or(|label| standing(label).contains(&None));
    let believes_any = is(Mutation::FreeSlotsOfStaleLabel) && newest.is_some();
    let copy = if is_one_missing && !believes_any { newest_copy(io, zones, newest.as_ref())? } else { None };
    let label = match (newest, copy) {
        (Some(label), None) => label,
        (_, Some(copy)) => {
            tracing::error!("the newest label is lost: the drive is mounted by its copy in a zone's header");
            copy
        }
        (None, None) => {
            return match refusal {
                Some(reason) => Ok(FoundLabels::Refused(State::Incompatible { reason })),
                None => unlabelled(io, zones).map(FoundLabels::Refused),
            };
        }
    };
    if let Err(reason) = check_label(io.device(), &label) {
        return Ok(FoundLabels::Refused(State::Incompatible { reason }));
    }
    let generations = standing(&label);
    Ok(FoundLabels::Found(Box::new(Labels { generation_last: label.generation, label, generations })))
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
        Err(DeviceError::MediumRead { .. } | DeviceError::ZoneCondition { .. }) => {
            Ok(Err(LabelError::NotALabel))
        }
        Err(error) => Err(error),
    }
}

/// A label speaks for the drive on which it was written, and for no other: the reason against it, where there is one.
fn check_label(device: &dyn Device, label: &Label) -> Result<(), String> {
    let (geometry, serial) = (device.geometry(), serial_of(device));
    if !label.is_of_device(&serial) {
        return Err(format!(
            "its label was written for the drive with serial {}, and this drive's is {serial}",
            label.device_serial
        ));
    }
    if label.zone_count != geometry.zone_count || label.zone_size_bytes != geometry.zone_size_bytes {
        return Err(format!(
            "its label was written for {} zones of {} bytes, and the drive has {} of {}",
            label.zone_count, label.zone_size_bytes, geometry.zone_count, geometry.zone_size_bytes
        ));
    }
    let blocks_possible = blocks_possible(geometry);
    if label.blocks_max > blocks_possible {
        return Err(format!(
            "its label asks for an index of {} blocks, and the drive has room for {blocks_possible}",
            label.blocks_max
        ));
    }
    Ok(())
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
