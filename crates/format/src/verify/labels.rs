//! The drive's label: found, held against its other copy and against the drive.

use imbrex_zoned::Condition;

use crate::error::LabelError;
use crate::label::Label;
use crate::unit::UNIT_BYTES;
use crate::verify::VerifyError;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::survey::Survey;
use crate::zone_header::ZoneHeader;

/// Among how many zones labels stand.
const ZONES_WITH_LABELS_MAX: u32 = 8;

/// The drive's label, and whether it came from a zone's header.
pub(super) fn find(survey: &mut Survey<'_>) -> Result<(Label, bool), Halt> {
    let zone_count = survey.zones.len().try_into().unwrap_or(u32::MAX);
    let mut found = Vec::new();
    let mut other_version = None;
    for zone in 0..ZONES_WITH_LABELS_MAX.min(zone_count) {
        match read(survey, zone)? {
            Some(Ok(label)) if label.label_zones.contains(&zone) => found.push((zone, label)),
            Some(Err(error @ LabelError::Version { .. })) => other_version = Some(error),
            _ => {}
        }
    }
    let newest = found.iter().map(|(_, label)| label).max_by_key(|label| label.generation).cloned();
    let stands = |label: &Label, place: u32| {
        found.iter().any(|(zone, other)| *zone == place && other.drive_id == label.drive_id)
    };
    let (label, is_recovered) = match (newest, other_version) {
        (Some(label), _) if label.label_zones.iter().all(|place| stands(&label, *place)) => (label, false),
        // The other one may have been newer.
        (Some(label), _) => match recover(survey, Some(&label))? {
            Some(newer) => (newer, true),
            None => (label, false),
        },
        (None, Some(error)) => return Err(Halt::Refused(VerifyError::OtherVersion(error))),
        (None, None) => (recover(survey, None)?.ok_or(Halt::Refused(VerifyError::NotFormatted))?, true),
    };
    compare_copies(survey, &label)?;
    compare_with_drive(survey, &label)?;
    Ok((label, is_recovered))
}

fn read(survey: &mut Survey<'_>, zone: u32) -> Result<Option<Result<Label, LabelError>>, Halt> {
    if survey.zones[zone as usize].condition == Condition::Offline {
        return Ok(None);
    }
    Ok(survey.reader.unit(zone, 0, 1, false)?.ok().map(Label::decode))
}

/// The newest copy of the label that a zone's header proves: of the drive's that is newer than `known`, or of any.
fn recover(survey: &mut Survey<'_>, known: Option<&Label>) -> Result<Option<Label>, Halt> {
    let mut newest: Option<Label> = None;
    for zone in 0..survey.zones.len() {
        let state = survey.zones[zone];
        if matches!(state.condition, Condition::Offline | Condition::Empty) {
            continue;
        }
        let Ok(bytes) = survey.reader.unit(state.index, 0, 1, false)? else { continue };
        if let Some(label) = ZoneHeader::recover_label(bytes, state.index)
            && known
                .is_none_or(|known| label.drive_id == known.drive_id && label.generation > known.generation)
            && newest.as_ref().is_none_or(|known| label.generation > known.generation)
        {
            newest = Some(label);
        }
    }
    Ok(newest)
}

/// Both label zones hold this label, save that a crash may have come between the two writes of a newer one.
fn compare_copies(survey: &mut Survey<'_>, label: &Label) -> Result<(), Halt> {
    for zone in label.label_zones {
        let at = At::unit(zone, 0);
        if zone as usize >= survey.zones.len() {
            continue;
        }
        match read(survey, zone)? {
            Some(Ok(copy)) if copy.generation == label.generation => {
                survey.findings.expect(copy == *label, FindingKind::LabelContradicts, at, || {
                    format!("its label is not the other one, and both are of generation {}", label.generation)
                })?;
            }
            Some(Ok(copy)) => {
                survey.findings.expect(
                    copy.drive_id == label.drive_id,
                    FindingKind::LabelContradicts,
                    at,
                    || {
                        format!(
                            "its label is of drive {}, and the other one of drive {}",
                            copy.drive_id, label.drive_id
                        )
                    },
                )?;
                let (old, new) = (copy.generation, label.generation);
                survey
                    .findings
                    .note(format!("zone {zone}: its label is of generation {old}, the other of {new}"));
            }
            Some(Err(error)) => {
                survey.findings.add(FindingKind::LabelDamaged, at, error.to_string())?;
            }
            None => {
                survey.findings.add(FindingKind::LabelDamaged, at, "the drive's label cannot be read")?;
            }
        }
    }
    Ok(())
}

fn compare_with_drive(survey: &mut Survey<'_>, label: &Label) -> Result<(), Halt> {
    let contradicts = FindingKind::LabelContradicts;
    let (geometry, identity) = (survey.reader.drive().geometry(), survey.reader.drive().identity());
    let (zone_count, zone_size_bytes) = (geometry.zone_count, geometry.zone_size_bytes);
    let serial = identity.serial.clone().unwrap_or_else(|| identity.id());
    let is_right = (label.zone_count, label.zone_size_bytes) == (zone_count, zone_size_bytes);
    survey.findings.expect(is_right, contradicts, At::default(), || {
        format!(
            "the label is of a drive of {} zones of {} units, and this one has {zone_count} of {}",
            label.zone_count,
            label.zone_size_bytes / UNIT_BYTES as u64,
            zone_size_bytes / UNIT_BYTES as u64
        )
    })?;
    survey.findings.expect(label.is_of_device(&serial), contradicts, At::default(), || {
        format!("the label was written for device {:?}, and this one is {serial:?}", label.device_serial)
    })?;
    // Nothing else can be read by such a label.
    if is_right { Ok(()) } else { Err(Halt::FirstLie) }
}
