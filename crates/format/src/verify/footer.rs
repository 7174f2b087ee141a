//! The footer of a sealed zone, held against the zone's groups.

use crate::error::FormatError;
use crate::footer::{Footer, TRAILER_BYTES, Trailer};
use crate::label::Label;
use crate::table_entry::TableEntry;
use crate::unit::UNIT_BYTES;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::life::End;
use crate::verify::survey::Survey;
use crate::verify::walk::ZoneLog;
use imbrex_zoned::{Zone, ZoneKind};

/// What stands in the last unit of a zone.
pub(super) enum LastUnit {
    /// A trailer that checks out.
    Trailer(Box<Trailer>),
    /// Nothing, or what was never a trailer of this drive.
    None,
    /// Something that was a trailer, or may have been one.
    Damaged(String),
}

/// Looks for the trailer of a zone that is written to its end, or of which nobody knows how far it is written.
pub(super) fn last_unit(survey: &mut Survey<'_>, label: &Label, zone: &Zone) -> Result<LastUnit, Halt> {
    let capacity = capacity_units(zone);
    if zone.write_pointer_bytes.is_some_and(|pointer| pointer < zone.capacity_bytes) || capacity == 0 {
        return Ok(LastUnit::None);
    }
    let Ok(bytes) = survey.reader.unit(zone.index, capacity - 1, capacity, false)? else {
        return Ok(LastUnit::Damaged("its last unit cannot be read".into()));
    };
    // A crash that tore the footer left nothing where the trailer would stand.
    let is_blank = bytes.iter().rev().take(TRAILER_BYTES).all(|byte| *byte == 0);
    Ok(match Trailer::decode(bytes, label, zone.index) {
        Ok(trailer) => LastUnit::Trailer(Box::new(trailer)),
        // What a conventional zone held before the drive was formatted is not erased.
        Err(FormatError::WrongDrive) => LastUnit::None,
        Err(FormatError::Magic) if is_blank || zone.kind == ZoneKind::Conventional => LastUnit::None,
        Err(error) => LastUnit::Damaged(error.to_string()),
    })
}

pub(super) fn capacity_units(zone: &Zone) -> u32 {
    u32::try_from(zone.capacity_bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX)
}

/// Whether a trailer is where the table that it names can end.
pub(super) fn is_in_place(trailer: &Trailer, capacity: u32) -> bool {
    let units = crate::footer_units(trailer.entry_count as usize);
    trailer.table_first_unit.checked_add(units) == Some(capacity)
}

/// Holds the footer against what the zone's groups say. Where damage has hidden a part of them, the table tells it.
pub(super) fn check(
    survey: &mut Survey<'_>,
    label: &Label,
    zone: &Zone,
    trailer: &Trailer,
    first_sequence: u64,
    log: &mut ZoneLog,
) -> Result<(), Halt> {
    let capacity = capacity_units(zone);
    let at = At::unit(zone.index, capacity - 1);
    let contradicts = FindingKind::FooterContradicts;
    survey.findings.expect(trailer.first_sequence == first_sequence, contradicts, at, || {
        format!(
            "its footer says that it was opened at sequence {}, and its header {first_sequence}",
            trailer.first_sequence
        )
    })?;
    check_end(survey, trailer, log, at)?;
    let Some(entries) = read_table(survey, label, zone, trailer)? else { return Ok(()) };
    if entries == log.entries {
        return Ok(());
    }
    let is_subset = log.entries.iter().all(|entry| entries.contains(entry));
    let is_explained = log.is_incomplete || log.pending.is_damaged() || log.end == End::Damaged;
    survey.findings.expect(is_explained && is_subset, contradicts, at, || {
        let first = log.entries.iter().zip(&entries).find(|(one, other)| one != other);
        format!(
            "its footer lists {} blocks and tombstones, and its groups hold {}; the first that differ: {first:?}",
            entries.len(),
            log.entries.len()
        )
    })?;
    if is_explained && is_subset {
        let hidden = entries.len() - log.entries.len();
        let what = format!("its footer lists {hidden} blocks and tombstones whose commits do not check out");
        survey.findings.add(FindingKind::RecordDamaged, At::unit(zone.index, log.good_units), what)?;
        survey.ledger.budget.give_back((log.entries.capacity() * size_of::<TableEntry>()) as u64);
        survey.ledger.budget.take((entries.capacity() * size_of::<TableEntry>()) as u64)?;
        log.entries = entries;
        log.is_incomplete = false;
    }
    Ok(())
}

/// Nothing but padding stands between the last commit and the table.
fn check_end(survey: &mut Survey<'_>, trailer: &Trailer, log: &ZoneLog, at: At) -> Result<(), Halt> {
    let contradicts = FindingKind::FooterContradicts;
    let padded = log.pending.padded_until(log.good_units);
    let is_torn = log.pending.is_torn_before_padding(log.last_sequence, trailer.table_first_unit);
    let is_damaged = !is_torn && (log.pending.is_damaged() || log.end == End::Damaged);
    let is_right = padded == Some(trailer.table_first_unit) || is_torn || is_damaged;
    survey.findings.expect(is_right, contradicts, at, || {
        format!(
            "its table begins at unit {}, and what is committed and padded ends at unit {}",
            trailer.table_first_unit,
            padded.unwrap_or(log.good_units)
        )
    })?;
    if is_damaged {
        let unit = log.pending.gaps.first().map_or(log.good_units, |gap| gap.start);
        let zone = at.zone.unwrap_or_default();
        let what = "the zone is sealed, and what stands before its table does not check out";
        survey.findings.add(FindingKind::RecordDamaged, At::unit(zone, unit), what)?;
    }
    let last = log.pending.members.last().map_or(log.last_sequence, |member| member.header.sequence);
    let is_right = trailer.last_sequence >= last && trailer.last_group >= log.last_group;
    survey.findings.expect(is_right, contradicts, at, || {
        format!(
            "its footer says that its last sequence is {} and its last group {}, and they are {last} and {}",
            trailer.last_sequence, trailer.last_group, log.last_group
        )
    })
}

fn read_table(
    survey: &mut Survey<'_>,
    label: &Label,
    zone: &Zone,
    trailer: &Trailer,
) -> Result<Option<Vec<TableEntry>>, Halt> {
    let units = capacity_units(zone) - trailer.table_first_unit;
    let at = At::unit(zone.index, trailer.table_first_unit);
    let decoded = match survey.reader.run(zone.index, trailer.table_first_unit, units)? {
        Ok(bytes) => Footer::decode_table(bytes, trailer, label),
        Err(_) => {
            let what = "its table of contents cannot be read";
            survey.findings.add(FindingKind::FooterDamaged, at, what)?;
            return Ok(None);
        }
    };
    match decoded {
        Ok(entries) => Ok(Some(entries)),
        Err(error) => {
            let kind = match error {
                FormatError::Checksum => FindingKind::FooterDamaged,
                _ => FindingKind::FooterContradicts,
            };
            survey.findings.add(kind, at, format!("its table of contents: {error}"))?;
            Ok(None)
        }
    }
}
