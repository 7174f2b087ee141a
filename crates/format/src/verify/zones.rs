//! Every zone that may hold a part of the log: what it is, and what its records and its footer say.

use imbrex_zoned::{Condition, Zone, ZoneKind};

use crate::error::FormatError;
use crate::label::Label;
use crate::record::{claimed_incarnation, decode_record_header};
use crate::scope::ZoneScope;
use crate::unit::UNIT_BYTES;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::footer::{self, LastUnit};
use crate::verify::ledger::Ledger;
use crate::verify::life::{End, Life};
use crate::verify::survey::Survey;
use crate::verify::walk::{Bounds, Walk, ZoneLog};
use crate::zone_header::{ZoneContent, ZoneHeader};

/// What the first unit of a zone holds.
pub(super) enum FirstUnit {
    Header(ZoneHeader),
    Blank,
    Damaged(String),
}

/// Reads the first unit of a zone. A header that checks out and cannot be is a lie.
pub(super) fn first_unit(survey: &mut Survey<'_>, label: &Label, zone: u32) -> Result<FirstUnit, Halt> {
    let Ok(bytes) = survey.reader.unit(zone, 0, 1, false)? else {
        return Ok(FirstUnit::Damaged("it cannot be read".into()));
    };
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(FirstUnit::Blank);
    }
    match ZoneHeader::decode(bytes, label, zone) {
        Ok(header) => Ok(FirstUnit::Header(header)),
        Err(error) => {
            let is_lie = matches!(error, FormatError::Invalid { .. } | FormatError::Version { .. });
            let at = At::unit(zone, 0);
            survey
                .findings
                .expect(!is_lie, FindingKind::ZoneHeaderContradicts, at, || format!("its header: {error}"))?;
            Ok(FirstUnit::Damaged(error.to_string()))
        }
    }
}

/// Verifies one zone of the log; `None` where it holds no life.
pub(super) fn verify_zone(survey: &mut Survey<'_>, label: &Label, zone: &Zone) -> Result<Option<Life>, Halt> {
    let at = At::zone(zone.index);
    if zone.condition == Condition::Offline {
        survey.incomplete = true;
        survey.findings.add(FindingKind::ZoneLost, at, "the drive says that it is offline")?;
        return Ok(None);
    }
    if zone.condition == Condition::Empty || zone.write_pointer_bytes == Some(0) {
        return Ok(None);
    }
    let first = first_unit(survey, label, zone.index)?;
    let last = footer::last_unit(survey, label, zone)?;
    let Some((incarnation, first_sequence)) = identify(survey, label, zone, &first, &last)? else {
        return Ok(None);
    };
    let trailer = sealed_by(survey, zone, incarnation, &last)?;
    let is_sequential = zone.kind == ZoneKind::SequentialWriteRequired;
    let end = trailer.as_ref().map_or(written_units(zone), |trailer| trailer.table_first_unit);
    let scope = ZoneScope::new(label, zone.index, incarnation);
    let bounds = Bounds { end, first_sequence, is_sequential };
    let mut log = Walk::new(survey, label, scope, bounds).run()?;
    // Behind the last commit that checks out another one may have stood, for which the footer vouched.
    log.is_incomplete |= matches!(last, LastUnit::Damaged(_)) && log.pending.is_damaged();
    if let Some(trailer) = &trailer {
        footer::check(survey, label, zone, trailer, first_sequence, &mut log)?;
    }
    settle(survey, zone, incarnation, trailer.is_some(), log).map(Some)
}

/// Which life a zone is in, by its header, its footer or its first record, and at which sequence it was opened.
fn identify(
    survey: &mut Survey<'_>,
    label: &Label,
    zone: &Zone,
    first: &FirstUnit,
    last: &LastUnit,
) -> Result<Option<(u64, u64)>, Halt> {
    let at = At::unit(zone.index, 0);
    let header_damaged = FindingKind::ZoneHeaderDamaged;
    let why = match first {
        FirstUnit::Header(header) => {
            if header.content == ZoneContent::Checkpoint {
                let what =
                    "a part of a checkpoint, from when the label named other slots: nothing of the log";
                survey.findings.note(format!("zone {}: {what}", zone.index));
                return Ok(None);
            }
            let is_right = header.incarnation == header.first_sequence;
            survey.findings.expect(is_right, FindingKind::ZoneHeaderContradicts, at, || {
                format!(
                    "its life is {}, and it was opened at sequence {}",
                    header.incarnation, header.first_sequence
                )
            })?;
            return Ok(Some((header.incarnation, header.first_sequence)));
        }
        FirstUnit::Blank => "it is blank",
        FirstUnit::Damaged(why) => why,
    };
    if let LastUnit::Trailer(trailer) = last {
        survey.findings.add(header_damaged, at, format!("its header is lost: {why}; its footer stands"))?;
        return Ok(Some((trailer.incarnation, trailer.first_sequence)));
    }
    if matches!(first, FirstUnit::Blank) && zone.kind == ZoneKind::Conventional {
        return Ok(None);
    }
    if let Some(incarnation) = life_of_first_record(survey, label, zone)? {
        survey.findings.add(header_damaged, at, format!("its header is lost: {why}; its records stand"))?;
        return Ok(Some((incarnation, incarnation)));
    }
    // A crash can tear a header, and no record can have followed it then; a conventional zone keeps what it held before.
    // A zone of which more was written had a header. One that was finished since tells no more how much was.
    let is_begun = zone.write_pointer_bytes.is_none_or(|pointer| pointer <= UNIT_BYTES as u64);
    if zone.kind == ZoneKind::Conventional || (is_begun && is_blank_behind_header(survey, zone)?) {
        survey.findings.note(format!("zone {}: a header and nothing else was begun: {why}", zone.index));
        if zone.kind == ZoneKind::SequentialWriteRequired {
            survey.begun.push(zone.index);
        }
        return Ok(None);
    }
    survey.incomplete = true;
    let what = format!("it is written, and neither header, footer nor first record checks out: {why}");
    survey.findings.add(FindingKind::ZoneLost, at, what)?;
    Ok(None)
}

/// Whether nothing stands behind a zone's first unit. The zone may have been finished since.
fn is_blank_behind_header(survey: &mut Survey<'_>, zone: &Zone) -> Result<bool, Halt> {
    let end = written_units(zone);
    for unit in 1..end {
        let bytes = survey.reader.unit(zone.index, unit, end, true)?;
        if !bytes.is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How far a zone can hold what was written to it.
fn written_units(zone: &Zone) -> u32 {
    match zone.write_pointer_bytes {
        Some(pointer) => u32::try_from(pointer / UNIT_BYTES as u64).unwrap_or(u32::MAX),
        None => footer::capacity_units(zone),
    }
}

fn life_of_first_record(survey: &mut Survey<'_>, label: &Label, zone: &Zone) -> Result<Option<u64>, Halt> {
    let Ok(bytes) = survey.reader.unit(zone.index, 1, 2, false)? else { return Ok(None) };
    Ok(claimed_incarnation(bytes).filter(|incarnation| {
        let scope = ZoneScope::new(label, zone.index, *incarnation);
        decode_record_header(bytes, &scope, 1).is_ok()
    }))
}

/// The trailer, where it is of this life and stands where it can.
fn sealed_by(
    survey: &mut Survey<'_>,
    zone: &Zone,
    incarnation: u64,
    last: &LastUnit,
) -> Result<Option<crate::Trailer>, Halt> {
    let capacity = footer::capacity_units(zone);
    let at = At::unit(zone.index, capacity.saturating_sub(1));
    let trailer = match last {
        LastUnit::Trailer(trailer) => trailer,
        LastUnit::None => return Ok(None),
        LastUnit::Damaged(why) => {
            survey.findings.add(FindingKind::FooterDamaged, at, format!("its trailer: {why}"))?;
            return Ok(None);
        }
    };
    if trailer.incarnation != incarnation {
        let is_leftover = zone.kind == ZoneKind::Conventional;
        survey.findings.expect(is_leftover, FindingKind::FooterContradicts, at, || {
            format!("its footer is of life {}, and its header of life {incarnation}", trailer.incarnation)
        })?;
        return Ok(None);
    }
    let is_in_place = footer::is_in_place(trailer, capacity);
    survey.findings.expect(is_in_place, FindingKind::FooterContradicts, at, || {
        format!(
            "its {} entries from unit {} on do not end with the zone",
            trailer.entry_count, trailer.table_first_unit
        )
    })?;
    Ok(is_in_place.then(|| (**trailer).clone()))
}

/// Takes what the zone holds into the ledger.
fn settle(
    survey: &mut Survey<'_>,
    zone: &Zone,
    incarnation: u64,
    is_sealed: bool,
    log: ZoneLog,
) -> Result<Life, Halt> {
    survey.incomplete |= log.is_incomplete;
    let before = survey.ledger.tombstones.len();
    let entries = log.entries;
    entries.iter().try_for_each(|entry| Ledger::add(&mut survey.ledger, zone.index, entry))?;
    survey.ledger.budget.give_back((entries.capacity() * size_of::<crate::TableEntry>()) as u64);
    let tombstones = survey.ledger.tombstones.len() - before;
    let counts = &mut survey.counts;
    counts.zones_with_records += 1;
    counts.zones_sealed += u64::from(is_sealed);
    counts.unclosed_records += log.pending.members.len() as u64;
    Ok(Life {
        incarnation,
        good_units: if is_sealed { footer::capacity_units(zone) } else { log.good_units },
        end: if is_sealed { End::Clean } else { log.end },
        is_sealed,
        entries: u32::try_from(entries.len()).unwrap_or(u32::MAX),
        tombstones: u32::try_from(tombstones).unwrap_or(u32::MAX),
    })
}
