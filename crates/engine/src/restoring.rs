//! Reading a checkpoint back, at mount.
//!
//! A checkpoint is believed whole or not at all. Where the newest does not count, the one before is read.
//!
//! One that cannot be read now may be read another time, and count then. So it is told apart from one that is torn: what
//! is done by a mount that did not see it must be right for a mount that does.

use imbrex_format::{
    CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatches, CheckpointTable, Label, RecordHeader,
    RecordKind, TableEntry, UNIT_BYTES, ZoneCell, ZoneContent, ZoneHeader, ZoneScope, check_payload,
    decode_record_header, payload,
};
use imbrex_zoned::{Condition, DeviceError};

use crate::blocking::{Blocking, WINDOW_UNITS_MAX};
use crate::index::Index;
use crate::log::ENTRIES_MAX;
use crate::zone_table::ZoneTable;

/// A checkpoint that was read; the index has been loaded from it.
pub(crate) struct Base {
    pub(crate) slot: u32,
    /// Whether no newer one has counted, for all that the drive gives.
    pub(crate) is_newest: bool,
    pub(crate) end: CheckpointEnd,
    /// One for each zone.
    pub(crate) zones: Vec<ZoneCell>,
    /// What its open zones list.
    pub(crate) tables: Vec<(u32, Vec<TableEntry>)>,
}

/// What the slots hold.
pub(crate) struct Found {
    pub(crate) base: Option<Base>,
    /// The number of the next checkpoint: one more than that of the newest that counts.
    pub(crate) next_number: u64,
    /// The highest number of a checkpoint that may have counted; 0 where there is none.
    pub(crate) newest_number: u64,
    /// Whether the drive did not give something that may be a checkpoint which counts, and may give it another time.
    pub(crate) is_one_hidden: bool,
}

/// Reads the newest checkpoint that counts into `index`, which is empty; it is left empty where there is none.
///
/// # Errors
///
/// [`DeviceError::Gone`]; whatever else cannot be read makes no checkpoint.
pub(crate) fn find_checkpoint(
    io: &mut Blocking<'_>,
    label: &Label,
    table: &ZoneTable,
    index: &mut Index,
) -> Result<Found, DeviceError> {
    let mut slots = Vec::new();
    let mut is_one_hidden = false;
    if label.checkpoint_slot_zones > 0 {
        for slot in 0..2 {
            let mut reader = Reader::new(io, label, table, index, slot);
            let number = reader.begin()?;
            is_one_hidden |= reader.has_failed;
            slots.extend(number.map(|number| (number, slot)));
        }
    }
    slots.sort_unstable();
    let next_number = slots.last().map_or(1, |(number, _)| number + 1);
    let newest_number = |is_one_hidden| if is_one_hidden { u64::MAX } else { next_number - 1 };
    // One that is not the last but one is no one's: zones were freed since that it calls used. A mount that cannot read the
    // newer one would not know that. So where the newer one does not count, this mount goes on as if it had not seen either.
    let found = slots.len();
    slots.retain(|(number, _)| number + 2 >= next_number);
    let is_one_passed_over = slots.len() < found;
    for (nth, (_, slot)) in slots.into_iter().rev().enumerate() {
        let mut reader = Reader::new(io, label, table, index, slot);
        let end = reader.whole()?;
        is_one_hidden |= reader.has_failed;
        if let Some(base) = end.and_then(|end| reader.base(end)) {
            let base = Base { is_newest: nth == 0 && !is_one_hidden, ..base };
            let newest_number = newest_number(is_one_hidden);
            let next_number = base.end.number + 1;
            return Ok(Found { base: Some(base), next_number, newest_number, is_one_hidden });
        }
        tracing::warn!(slot, "a checkpoint of the index does not count: it is torn or damaged");
        index.clear();
    }
    let is_one_hidden = is_one_hidden || is_one_passed_over;
    Ok(Found { base: None, next_number, newest_number: newest_number(is_one_hidden), is_one_hidden })
}

struct Reader<'a, 'b> {
    io: &'a mut Blocking<'b>,
    label: &'a Label,
    table: &'a ZoneTable,
    index: &'a mut Index,
    slot: u32,
    nth: u32,
    unit: u32,
    scope: Option<ZoneScope>,
    /// How far the zone is written.
    end_unit: u32,
    sequence: u64,
    record_count: u64,
    patch_count: u64,
    number: u64,
    next_cell: u64,
    zones: Vec<Option<ZoneCell>>,
    tables: Vec<(u32, Vec<TableEntry>)>,
    /// Whether the drive did not give what was asked of it.
    has_failed: bool,
}

/// Nothing that counts: the reason does not matter to who reads on.
struct NotACheckpoint;

impl<'a, 'b> Reader<'a, 'b> {
    fn new(
        io: &'a mut Blocking<'b>,
        label: &'a Label,
        table: &'a ZoneTable,
        index: &'a mut Index,
        slot: u32,
    ) -> Self {
        Self {
            io,
            label,
            table,
            index,
            slot,
            nth: 0,
            unit: 0,
            scope: None,
            end_unit: 0,
            sequence: 0,
            record_count: 0,
            patch_count: 0,
            number: 0,
            next_cell: 0,
            zones: vec![None; label.zone_count as usize],
            tables: Vec::new(),
            has_failed: false,
        }
    }

    fn zone(&self) -> u32 {
        self.label.checkpoint_first_zone + self.slot * self.label.checkpoint_slot_zones + self.nth
    }

    /// The number of the checkpoint that begins in the slot, if one does.
    fn begin(&mut self) -> Result<Option<u64>, DeviceError> {
        if !self.enter_zone()? {
            return Ok(None);
        }
        Ok(match self.next_record()? {
            Some(header) if header.kind == RecordKind::CheckpointBegin => {
                self.take(&header)?.ok().map(|_| self.number)
            }
            _ => None,
        })
    }

    /// Reads all of it; gives its end, if it has one.
    fn whole(&mut self) -> Result<Option<CheckpointEnd>, DeviceError> {
        if !self.enter_zone()? {
            return Ok(None);
        }
        loop {
            let Some(header) = self.next_record()? else {
                self.nth += 1;
                if self.nth == self.label.checkpoint_slot_zones || !self.enter_zone()? {
                    return Ok(None);
                }
                continue;
            };
            match self.take(&header)? {
                Ok(None) => self.unit += header.unit_count,
                Ok(Some(end)) => return Ok(Some(end)),
                Err(NotACheckpoint) => return Ok(None),
            }
        }
    }

    /// Reads the header of the present zone of the slot; false where there is none.
    fn enter_zone(&mut self) -> Result<bool, DeviceError> {
        let zone = self.zone();
        let entry = self.table.get(zone);
        self.unit = 1;
        self.end_unit = match entry.condition {
            Condition::NotWritePointer | Condition::Full | Condition::ReadOnly => entry.capacity_units,
            Condition::Offline => 0,
            _ => entry.written_units,
        };
        if self.end_unit == 0 {
            self.has_failed |= entry.condition == Condition::Offline;
            return Ok(false);
        }
        let header = match self.io.read(zone, 0, 1) {
            Ok(bytes) => ZoneHeader::decode(bytes, self.label, zone).ok(),
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => {
                self.has_failed = true;
                None
            }
        };
        let header = header.filter(|header| header.content == ZoneContent::Checkpoint);
        self.scope = header.map(|header| ZoneScope::new(self.label, zone, header.incarnation));
        Ok(self.scope.is_some())
    }

    /// The record at the present unit, if one stands there whose number follows.
    fn next_record(&mut self) -> Result<Option<RecordHeader>, DeviceError> {
        let (zone, unit, end) = (self.zone(), self.unit, self.end_unit);
        let Some(scope) = self.scope.filter(|_| unit < end) else { return Ok(None) };
        let header = match self.io.look(zone, unit, 1, WINDOW_UNITS_MAX, end) {
            Ok(bytes) => decode_record_header(bytes, &scope, unit).ok(),
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => {
                self.has_failed = true;
                None
            }
        };
        Ok(header.filter(|header| header.sequence == self.sequence + 1 && header.unit_count <= end - unit))
    }

    fn take(
        &mut self,
        header: &RecordHeader,
    ) -> Result<Result<Option<CheckpointEnd>, NotACheckpoint>, DeviceError> {
        let (zone, unit, count) = (self.zone(), self.unit, header.unit_count);
        self.sequence = header.sequence;
        if header.kind == RecordKind::Padding {
            return Ok(Ok(None));
        }
        if count > self.io.window_units() {
            return Ok(Err(NotACheckpoint));
        }
        let bytes = match self.io.look(zone, unit, count, WINDOW_UNITS_MAX, self.end_unit) {
            Ok(bytes) => &bytes[..count as usize * UNIT_BYTES],
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => {
                self.has_failed = true;
                return Ok(Err(NotACheckpoint));
            }
        };
        if check_payload(bytes, header, 0..header.payload_bytes as usize).is_err() {
            return Ok(Err(NotACheckpoint));
        }
        let content = payload(bytes, header);
        let mut parts = Parts {
            index: self.index,
            zones: &mut self.zones,
            tables: &mut self.tables,
            next_cell: &mut self.next_cell,
            patch_count: &mut self.patch_count,
            zone_count: self.label.zone_count,
            number: &mut self.number,
        };
        let taken = parts.take(header.kind, content);
        self.record_count += u64::from(header.kind != RecordKind::CheckpointEnd);
        Ok(taken)
    }

    /// The checkpoint, where nothing of it is missing.
    fn base(self, end: CheckpointEnd) -> Option<Base> {
        let Self { index, zones, record_count, patch_count, next_cell, number, slot, tables, label, .. } =
            self;
        index.recount();
        let mut are_places = true;
        index.sweep(0..index.cell_count(), |location| are_places &= location.zone < label.zone_count);
        let cell_count = index.cell_count() + zones.len() as u64;
        let is_whole = are_places
            && end.number == number
            && end.record_count == record_count
            && end.patch_count == patch_count
            && next_cell == cell_count
            && index.len() == end.blocks;
        let zones: Option<Vec<ZoneCell>> = zones.into_iter().collect();
        zones.filter(|_| is_whole).map(|zones| Base { slot, is_newest: false, end, zones, tables })
    }
}

/// Where the parts of a checkpoint go.
struct Parts<'a> {
    index: &'a mut Index,
    zones: &'a mut [Option<ZoneCell>],
    tables: &'a mut Vec<(u32, Vec<TableEntry>)>,
    next_cell: &'a mut u64,
    patch_count: &'a mut u64,
    zone_count: u32,
    number: &'a mut u64,
}

impl Parts<'_> {
    fn take(&mut self, kind: RecordKind, content: &[u8]) -> Result<Option<CheckpointEnd>, NotACheckpoint> {
        let number = match kind {
            RecordKind::CheckpointBegin => {
                let begin = CheckpointBegin::decode(content).map_err(|_| NotACheckpoint)?;
                if begin.bucket_count != self.index.cell_count() || begin.zone_count != self.zone_count {
                    return Err(NotACheckpoint);
                }
                *self.number = begin.number;
                begin.number
            }
            RecordKind::CheckpointCells => {
                let cells = CheckpointCells::decode(content).map_err(|_| NotACheckpoint)?;
                if cells.first_cell != *self.next_cell {
                    return Err(NotACheckpoint);
                }
                for (cell, bytes) in (cells.first_cell..).zip(cells.cells) {
                    self.cell(cell, bytes)?;
                }
                *self.next_cell += cells.cells.len() as u64;
                cells.number
            }
            RecordKind::CheckpointPatches => {
                let patches = CheckpointPatches::decode(content).map_err(|_| NotACheckpoint)?;
                for patch in patches.iter() {
                    self.cell(patch.cell, &patch.bytes)?;
                }
                *self.patch_count += patches.count() as u64;
                patches.number
            }
            RecordKind::CheckpointTable => {
                let table = CheckpointTable::decode(content).map_err(|_| NotACheckpoint)?;
                match self.tables.last_mut().filter(|(zone, _)| *zone == table.zone) {
                    Some((_, entries)) => entries.extend(table.entries),
                    None => self.tables.push((table.zone, table.entries)),
                }
                table.number
            }
            RecordKind::CheckpointEnd => {
                let end = CheckpointEnd::decode(content).map_err(|_| NotACheckpoint)?;
                return Ok(Some(end));
            }
            _ => return Err(NotACheckpoint),
        };
        if number == *self.number { Ok(None) } else { Err(NotACheckpoint) }
    }

    fn cell(&mut self, cell: u64, bytes: &[u8; imbrex_format::CELL_BYTES]) -> Result<(), NotACheckpoint> {
        let buckets = self.index.cell_count();
        if cell < buckets {
            self.index.set_cell(cell, bytes);
            return Ok(());
        }
        let zone = usize::try_from(cell - buckets).map_err(|_| NotACheckpoint)?;
        let place = self.zones.get_mut(zone).ok_or(NotACheckpoint)?;
        let cell = ZoneCell::decode(bytes).map_err(|_| NotACheckpoint)?;
        if !can_be(&cell) {
            return Err(NotACheckpoint);
        }
        *place = Some(cell);
        Ok(())
    }
}

/// Whether what a cell says of a zone can be: what it says is used to plan reads.
fn can_be(cell: &ZoneCell) -> bool {
    cell.live_units <= cell.good_units
        && cell.good_units <= cell.capacity_units
        && cell.written_units <= cell.capacity_units
        && cell.table_entries as usize <= ENTRIES_MAX
        && cell.tombstones as usize <= ENTRIES_MAX
}
