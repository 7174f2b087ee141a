//! The records of one checkpoint slot, found without reading what they hold.

use std::ops::Range;

use imbrex_zoned::{Condition, ZoneKind};

use crate::label::Label;
use crate::record::{RecordHeader, RecordKind, claimed_incarnation, decode_record_header};
use crate::scope::ZoneScope;
use crate::unit::UNIT_BYTES;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::footer::capacity_units;
use crate::verify::survey::Survey;
use crate::verify::zones::{FirstUnit, first_unit};
use crate::zone_header::ZoneContent;

/// The records of a slot, and whether they go on to an end.
#[derive(Debug, Default)]
pub(super) struct SlotRecords {
    /// Each with its zone; padding left out.
    pub(super) records: Vec<(u32, RecordHeader)>,
    pub(super) has_end: bool,
    /// Where something does not check out before an end was found.
    pub(super) damaged_at: Option<(u32, u32)>,
}

/// How the records of one zone of a slot end.
enum ZoneEnd {
    /// The next zone goes on.
    Next,
    /// Nothing more belongs to the checkpoint.
    Stop,
}

pub(super) fn list(survey: &mut Survey<'_>, label: &Label, slot: u32) -> Result<SlotRecords, Halt> {
    let mut found = SlotRecords::default();
    for zone in label.checkpoint_slot(slot) {
        if let ZoneEnd::Stop = list_zone(survey, label, zone, &mut found)? {
            break;
        }
    }
    Ok(found)
}

fn list_zone(
    survey: &mut Survey<'_>,
    label: &Label,
    zone: u32,
    found: &mut SlotRecords,
) -> Result<ZoneEnd, Halt> {
    let state = survey.zones[zone as usize];
    if state.condition == Condition::Offline {
        found.damaged_at = Some((zone, 0));
        return Ok(ZoneEnd::Stop);
    }
    if state.condition == Condition::Empty || state.write_pointer_bytes == Some(0) {
        return Ok(ZoneEnd::Stop);
    }
    let incarnation = match first_unit(survey, label, zone)? {
        FirstUnit::Header(header) => {
            let is_right = header.content == ZoneContent::Checkpoint;
            survey.findings.expect(
                is_right,
                FindingKind::ZoneHeaderContradicts,
                At::unit(zone, 0),
                || "it holds records of the log, and belongs to a checkpoint slot".into(),
            )?;
            if !is_right {
                return Ok(ZoneEnd::Stop);
            }
            header.incarnation
        }
        FirstUnit::Blank => {
            // A crash can tear the header, and nothing can have followed it then.
            let is_more = state.write_pointer_bytes.is_some_and(|pointer| pointer > UNIT_BYTES as u64);
            if state.kind != ZoneKind::Conventional && (is_more || holds_record(survey, label, zone)?) {
                found.damaged_at = Some((zone, 0));
            }
            return Ok(ZoneEnd::Stop);
        }
        FirstUnit::Damaged(_) => {
            let is_torn = state.write_pointer_bytes == Some(UNIT_BYTES as u64);
            found.damaged_at = (!is_torn && state.kind != ZoneKind::Conventional).then_some((zone, 0));
            return Ok(ZoneEnd::Stop);
        }
    };
    let end = match state.write_pointer_bytes {
        Some(pointer) => u32::try_from(pointer / UNIT_BYTES as u64).unwrap_or(u32::MAX),
        None => capacity_units(&state),
    };
    list_records(survey, &ZoneScope::new(label, zone, incarnation), end, found)
}

fn list_records(
    survey: &mut Survey<'_>,
    scope: &ZoneScope,
    end: u32,
    found: &mut SlotRecords,
) -> Result<ZoneEnd, Halt> {
    let zone = scope.zone;
    let is_conventional = survey.zones[zone as usize].kind == ZoneKind::Conventional;
    let mut unit = 1;
    while unit < end {
        let Ok(bytes) = survey.reader.unit(zone, unit, end, false)? else {
            found.damaged_at = Some((zone, unit));
            return Ok(ZoneEnd::Stop);
        };
        let is_blank = bytes.iter().all(|byte| *byte == 0);
        let header = match decode_record_header(bytes, scope, unit) {
            Ok(header) if header.unit_count <= end - unit => header,
            // A crash has torn it.
            Ok(_) => return Ok(ZoneEnd::Stop),
            Err(_) if is_conventional => return Ok(ZoneEnd::Next),
            Err(_) if is_blank => {
                let last = found.records.last().map_or(0, |(_, header)| header.sequence);
                if goes_on(survey, scope, unit..end, last)? {
                    found.damaged_at = Some((zone, unit));
                    return Ok(ZoneEnd::Stop);
                }
                return Ok(ZoneEnd::Next);
            }
            Err(_) => {
                found.damaged_at = Some((zone, unit));
                return Ok(ZoneEnd::Stop);
            }
        };
        let last = found.records.last().map_or(0, |(_, header)| header.sequence);
        let is_right = header.kind.may_stand_in(ZoneContent::Checkpoint)
            && (header.kind == RecordKind::Padding || header.sequence > last);
        survey.findings.expect(is_right, FindingKind::RecordImpossible, At::unit(zone, unit), || {
            format!("a checkpoint's record {last} is followed by {:?} {}", header.kind, header.sequence)
        })?;
        unit += header.unit_count;
        if header.kind == RecordKind::Padding {
            return Ok(ZoneEnd::Next);
        }
        let is_end = header.kind == RecordKind::CheckpointEnd;
        survey.ledger.budget.push(&mut found.records, (zone, header))?;
        if is_end {
            found.has_end = true;
            return Ok(ZoneEnd::Stop);
        }
    }
    Ok(ZoneEnd::Next)
}

/// Whether a record of a checkpoint stands in a zone's unit 1.
fn holds_record(survey: &mut Survey<'_>, label: &Label, zone: u32) -> Result<bool, Halt> {
    let Ok(bytes) = survey.reader.unit(zone, 1, 2, false)? else { return Ok(false) };
    Ok(claimed_incarnation(bytes).is_some_and(|incarnation| {
        let header = decode_record_header(bytes, &ZoneScope::new(label, zone, incarnation), 1);
        header.is_ok_and(|header| header.kind.may_stand_in(ZoneContent::Checkpoint))
    }))
}

/// Whether a later record of the same life stands in one of these units.
fn goes_on(
    survey: &mut Survey<'_>,
    scope: &ZoneScope,
    units: Range<u32>,
    last_sequence: u64,
) -> Result<bool, Halt> {
    for unit in units.clone() {
        let Ok(bytes) = survey.reader.unit(scope.zone, unit, units.end, true)? else { continue };
        if decode_record_header(bytes, scope, unit).is_ok_and(|header| header.sequence > last_sequence) {
            return Ok(true);
        }
    }
    Ok(false)
}
