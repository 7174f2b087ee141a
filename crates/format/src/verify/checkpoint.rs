//! Reading the checkpoints of both slots, and choosing the newest that counts.

use imbrex_zoned::ZoneKind;

use crate::checkpoint::{
    CELL_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatches, CheckpointTable,
};
use crate::error::FormatError;
use crate::index_cell::index_bucket_count;
use crate::label::{CHECKPOINT_SLOTS, Label};
use crate::record::{RecordHeader, RecordKind};
use crate::verify::cell_map::CellMap;
use crate::verify::compare;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::gone;
use crate::verify::report::CheckpointFacts;
use crate::verify::slot::{self, SlotRecords};
use crate::verify::survey::Survey;

/// A checkpoint that counts.
pub(super) struct Loaded {
    pub(super) slot: u32,
    /// The other slot has an end too.
    pub(super) is_other_whole: bool,
    pub(super) begin: CheckpointBegin,
    pub(super) end: CheckpointEnd,
    pub(super) cells: Vec<[u8; CELL_BYTES]>,
    /// What open zones list.
    pub(super) tables: Vec<CheckpointTable>,
    /// Where its end stands.
    pub(super) end_at: At,
}

/// Verifies both slots, and holds the newest checkpoint that counts against the log.
pub(super) fn run(survey: &mut Survey<'_>, label: &Label) -> Result<(), Halt> {
    if label.checkpoint_slot_zones == 0 {
        return gone::check_without_checkpoint(survey, label);
    }
    let mut slots = Vec::new();
    let mut begun = [None; CHECKPOINT_SLOTS as usize];
    for slot in 0..CHECKPOINT_SLOTS {
        let records = slot::list(survey, label, slot)?;
        begun[slot as usize] = begun_number(survey, &records)?;
        // What was begun there and cannot be told may have freed zones that the other one calls used.
        survey.incomplete |= records.damaged_at.is_some() && begun[slot as usize].is_none();
        if let Some(number) = number_of(survey, slot, &records)? {
            slots.push((number, slot, records));
        }
    }
    slots.sort_by_key(|(number, ..)| *number);
    if let [(number, ..), (other, ..)] = slots[..] {
        let at = At::zone(label.checkpoint_slot(1).start);
        survey.findings.expect(number != other, FindingKind::CheckpointContradicts, at, || {
            format!("both slots hold a checkpoint of number {number}")
        })?;
    }
    // One at a time is held, the newest last. Where it does not count, the one before is read again.
    let mut newest = None;
    let mut before = None;
    for (_, slot, records) in &slots {
        if let Some(loaded) = newest.take() {
            before = Some(release(survey, &loaded));
        }
        newest = load(survey, label, *slot, records)?;
    }
    if newest.is_none()
        && let Some(slot) = before
    {
        let (_, slot, records) = &slots[if slots[0].1 == slot { 0 } else { 1 }];
        newest = load(survey, label, *slot, records)?;
    }
    let Some(mut loaded) = newest else { return gone::check_without_checkpoint(survey, label) };
    loaded.is_other_whole = slots.len() == CHECKPOINT_SLOTS as usize;
    survey.checkpoint = Some(CheckpointFacts {
        slot: loaded.slot,
        number: loaded.begin.number,
        taken_at_unix_s: loaded.end.taken_at_unix_s,
        blocks: loaded.end.blocks,
        blocks_since: 0,
        tombstones_since: 0,
        is_compared: false,
    });
    let other = begun[usize::from(loaded.slot == 0)].filter(|other| *other > loaded.begin.number);
    if let Some(other) = other.filter(|other| *other != loaded.begin.number + 1) {
        let number = loaded.begin.number;
        survey
            .findings
            .note(format!("checkpoint {number} is stale, for checkpoint {other} was begun: it is none"));
        return Ok(());
    }
    compare::run(survey, label, &loaded)
}

/// The number of the checkpoint that was begun in a slot, where its first record tells it.
fn begun_number(survey: &mut Survey<'_>, found: &SlotRecords) -> Result<Option<u64>, Halt> {
    let Some((zone, header)) = found.records.first() else { return Ok(None) };
    if header.kind != RecordKind::CheckpointBegin {
        return Ok(None);
    }
    let decoded = survey.reader.record(*zone, header)?.map(CheckpointBegin::decode);
    Ok(decoded.ok().and_then(Result::ok).map(|begin| begin.number))
}

fn release(survey: &mut Survey<'_>, loaded: &Loaded) -> u32 {
    survey.ledger.budget.give_back((loaded.cells.capacity() * CELL_BYTES) as u64);
    loaded.slot
}

/// The number of the checkpoint whose end stands in a slot; what is no whole one is told.
fn number_of(survey: &mut Survey<'_>, slot: u32, found: &SlotRecords) -> Result<Option<u64>, Halt> {
    if let Some((zone, unit)) = found.damaged_at {
        let what = format!("the checkpoint in slot {slot} does not check out from here on");
        survey.findings.add(FindingKind::CheckpointDamaged, At::unit(zone, unit), what)?;
        return Ok(None);
    }
    match found.records.last() {
        Some((zone, header)) if found.has_end => {
            Ok(payload(survey, *zone, header, CheckpointEnd::decode)?.map(|end| end.number))
        }
        Some(_) => {
            survey.findings.note(format!("slot {slot} holds a checkpoint that was not completed"));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// What a record holds, decoded; `None` where it does not check out, which is told.
fn payload<T>(
    survey: &mut Survey<'_>,
    zone: u32,
    header: &RecordHeader,
    decode: impl FnOnce(&[u8]) -> Result<T, FormatError>,
) -> Result<Option<T>, Halt> {
    let at = At::unit(zone, header.unit_offset);
    let (kind, why) = match survey.reader.record(zone, header)?.map(decode) {
        Ok(Ok(decoded)) => return Ok(Some(decoded)),
        Ok(Err(error)) => (FindingKind::CheckpointContradicts, error.to_string()),
        Err(why) => (FindingKind::CheckpointDamaged, why),
    };
    survey.findings.add(kind, at, format!("a checkpoint's record {}: {why}", header.sequence))?;
    Ok(None)
}

/// Reads a checkpoint whole; `None` where it does not count, which is told.
fn load(
    survey: &mut Survey<'_>,
    label: &Label,
    slot: u32,
    found: &SlotRecords,
) -> Result<Option<Loaded>, Halt> {
    let contradicts = FindingKind::CheckpointContradicts;
    let [(zone, first), between @ .., (end_zone, last)] = &found.records[..] else { return Ok(None) };
    let at = At::unit(*zone, first.unit_offset);
    let is_right = first.kind == RecordKind::CheckpointBegin;
    survey
        .findings
        .expect(is_right, contradicts, at, || "a checkpoint does not begin with its begin".into())?;
    if !is_right {
        return Ok(None);
    }
    let begin = payload(survey, *zone, first, CheckpointBegin::decode)?;
    let end = payload(survey, *end_zone, last, CheckpointEnd::decode)?;
    let (Some(begin), Some(end)) = (begin, end) else { return Ok(None) };
    let wanted = (index_bucket_count(label.blocks_max), label.zone_count);
    let is_right = (begin.bucket_count, begin.zone_count) == wanted;
    survey.findings.expect(is_right, contradicts, at, || {
        format!("{} buckets and {} zones, on a drive of {wanted:?}", begin.bucket_count, begin.zone_count)
    })?;
    let end_at = At::unit(*end_zone, last.unit_offset);
    let is_one = begin.number == end.number;
    expect_one(survey, *end_zone, is_one, end_at, || {
        format!("the end of checkpoint {} follows the begin of checkpoint {}", end.number, begin.number)
    })?;
    if !is_right || !is_one {
        return Ok(None);
    }
    let mut map = CellMap::new(survey, &begin)?;
    for (zone, header) in between {
        if !read_cells(survey, *zone, header, begin.number, &mut map)? {
            map.release(survey);
            return Ok(None);
        }
    }
    let records = found.records.len() as u64 - 1;
    let is_right = end.record_count == records && end.patch_count == map.patch_count && map.is_whole();
    survey.findings.expect(is_right, contradicts, end_at, || {
        format!(
            "the end of a checkpoint counts {} records and {} patches, and {records} and {} stand before it; {} cells are missing",
            end.record_count,
            end.patch_count,
            map.patch_count,
            map.missing()
        )
    })?;
    if !is_right {
        map.release(survey);
        return Ok(None);
    }
    let (cells, tables) = map.into_parts(survey);
    Ok(Some(Loaded { slot, is_other_whole: false, begin, end, cells, tables, end_at }))
}

/// Takes a record of cells or patches into the map; tells whether it could be.
fn read_cells(
    survey: &mut Survey<'_>,
    zone: u32,
    header: &RecordHeader,
    number: u64,
    map: &mut CellMap,
) -> Result<bool, Halt> {
    let at = At::unit(zone, header.unit_offset);
    let mut is_one = true;
    let taken = match header.kind {
        RecordKind::CheckpointCells => payload(survey, zone, header, |bytes| {
            let cells = CheckpointCells::decode(bytes)?;
            is_one = cells.number == number;
            Ok(is_one && map.put(&cells))
        })?,
        RecordKind::CheckpointPatches => payload(survey, zone, header, |bytes| {
            let patches = CheckpointPatches::decode(bytes)?;
            is_one = patches.number == number;
            Ok(is_one && map.patch(&patches))
        })?,
        RecordKind::CheckpointTable => match payload(survey, zone, header, CheckpointTable::decode)? {
            Some(table) if table.number == number => {
                map.list(survey, table)?;
                Some(true)
            }
            table => {
                is_one = table.is_none();
                table.map(|_| false)
            }
        },
        _ => Some(false),
    };
    expect_one(survey, zone, is_one, at, || {
        format!("a record of kind {:?} of another checkpoint than {number}", header.kind)
    })?;
    let is_right = taken != Some(false) || !is_one;
    survey.findings.expect(is_right, FindingKind::CheckpointContradicts, at, || {
        format!("a record of kind {:?}, or of cells that checkpoint {number} lacks", header.kind)
    })?;
    Ok(taken == Some(true))
}

/// Records of a slot are of one checkpoint. Of what was written to a conventional zone a crash may keep any part, between
/// what an attempt before has left there: that is none that was completed, and no lie.
fn expect_one(
    survey: &mut Survey<'_>,
    zone: u32,
    is_one: bool,
    at: At,
    what: impl FnOnce() -> String,
) -> Result<(), Halt> {
    if !is_one && survey.zones[zone as usize].kind == ZoneKind::Conventional {
        survey.findings.note(format!("zone {zone}: {}: a crash has torn it, it is none", what()));
        return Ok(());
    }
    survey.findings.expect(is_one, FindingKind::CheckpointContradicts, at, what)
}
