//! What one zone holds, as the zone itself says: read from its footer, or else from its commits.
//!
//! It plans reads and takes what they bring; who owns it carries them out. A zone without a good footer is read from
//! its first unit to its last good one, and every unit is looked at: a header that is damaged, or that a crash has torn,
//! hides nothing behind it. What a void record names is not listed, as the mount does not count it either
//! ([`crate::scan`]): a torn block claims units that others use.

use imbrex_format::{
    Commit, Footer, Label, RecordHeader, RecordKind, TableEntry, Trailer, UNIT_BYTES, VoidRange, ZoneScope,
    check_payload, decode_record_header, footer_units, payload,
};
use imbrex_zoned::DeviceError;

use crate::budget::empty_table;
use crate::location::Location;
use crate::zone_table::ZoneEntry;

/// How many units are read at once where records are looked for: 1 MiB.
const STRETCH_UNITS: u32 = 256;

/// What one zone holds, as far as it has been read.
pub(crate) struct Inventory {
    zone: u32,
    step: Step,
    /// In a zone without a good footer, what was found so far, by unit: a record and then the tombstones in it.
    entries: Vec<TableEntry>,
    /// How many good units no record explains.
    unexplained_units: u32,
    /// Where the last commit ends that was found.
    committed_end: u32,
    /// Whether a footer was to be there that could not be read.
    is_without_footer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Footer { unit_count: u32 },
    Stretch { unit: u32, unit_count: u32, explained: u32 },
    Done,
}

impl Inventory {
    /// An inventory of nothing, with memory for `entries_max` entries.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            zone: 0,
            step: Step::Done,
            entries: empty_table(entries_max),
            unexplained_units: 0,
            committed_end: 1,
            is_without_footer: false,
        }
    }

    /// Begins with a zone, which must have been written.
    pub(crate) fn begin(&mut self, zone: u32, entry: &ZoneEntry, has_footer: bool) {
        self.zone = zone;
        self.entries.clear();
        self.unexplained_units = 0;
        self.committed_end = 1;
        self.is_without_footer = false;
        self.step = if has_footer {
            Step::Footer { unit_count: footer_units(entry.table_entries as usize) }
        } else {
            stretch(1, 1, entry.good_units)
        };
    }

    /// Takes over what is known of a zone already: nothing has to be read.
    pub(crate) fn set(&mut self, zone: u32, entries: &[TableEntry]) {
        self.zone = zone;
        self.entries.clear();
        self.entries.extend_from_slice(entries);
        self.entries.sort_by_key(place_of);
        self.is_without_footer = false;
        self.step = Step::Done;
    }

    /// The read that is needed next; `None` once everything is known.
    pub(crate) fn next_read(&self, entry: &ZoneEntry) -> Option<Location> {
        let zone = self.zone;
        match self.step {
            Step::Footer { unit_count } => Some(Location {
                zone,
                unit_offset: entry.capacity_units.saturating_sub(unit_count),
                unit_count,
            }),
            Step::Stretch { unit, unit_count, .. } => Some(Location { zone, unit_offset: unit, unit_count }),
            Step::Done => None,
        }
    }

    /// Takes what the read has brought.
    pub(crate) fn took(&mut self, label: &Label, entry: &ZoneEntry, result: Result<&[u8], &DeviceError>) {
        match (self.step, result) {
            (Step::Footer { .. }, Ok(bytes)) => match table_of(label, self.zone, bytes) {
                Some(table) => {
                    self.entries.extend(table);
                    self.step = Step::Done;
                }
                None => self.go_without_footer(entry),
            },
            (Step::Footer { .. }, Err(_)) => self.go_without_footer(entry),
            (Step::Stretch { unit, unit_count, explained }, Ok(bytes)) => {
                let scope = ZoneScope::new(label, self.zone, entry.incarnation);
                self.walk(&scope, bytes, unit, unit_count, explained, self.end_of(entry));
            }
            (Step::Stretch { unit, unit_count, explained }, Err(_)) if unit_count > 1 => {
                self.step = Step::Stretch { unit, unit_count: 1, explained };
            }
            (Step::Stretch { unit, explained, .. }, Err(_)) => {
                self.unexplained_units += u32::from(unit >= explained);
                self.advance(unit + 1, explained, self.end_of(entry));
            }
            (Step::Done, _) => {}
        }
    }

    fn go_without_footer(&mut self, entry: &ZoneEntry) {
        self.is_without_footer = true;
        self.step = stretch(1, 1, self.end_of(entry));
    }

    /// Where the records end. A mount that came by a footer calls the zone good to its end: what is left of that footer is
    /// no record.
    fn end_of(&self, entry: &ZoneEntry) -> u32 {
        let footer = if self.is_without_footer { footer_units(entry.table_entries as usize) } else { 0 };
        entry.good_units.min(entry.capacity_units.saturating_sub(footer))
    }

    fn walk(
        &mut self,
        scope: &ZoneScope,
        bytes: &[u8],
        first: u32,
        unit_count: u32,
        mut explained: u32,
        end: u32,
    ) {
        for unit in first..first + unit_count {
            let here = &bytes[(unit - first) as usize * UNIT_BYTES..];
            let Ok(header) = decode_record_header(here, scope, unit) else {
                self.unexplained_units += u32::from(unit >= explained);
                continue;
            };
            if header.kind == RecordKind::Commit {
                let have = first + unit_count - unit;
                if header.unit_count > have && unit > first && unit + header.unit_count <= end {
                    // The next stretch begins with it, and so holds all of it.
                    return self.advance(unit, explained, end);
                }
                self.commit(here, &header);
            } else if header.kind == RecordKind::Void {
                self.void(here, &header);
            } else if header.kind == RecordKind::Block {
                let entry = TableEntry::Block {
                    key: header.key,
                    unit_offset: unit,
                    unit_count: header.unit_count,
                    payload_bytes: header.payload_bytes,
                    sequence: header.sequence,
                    birth: header.birth,
                };
                self.found(entry);
            }
            explained = explained.max(unit + header.unit_count);
        }
        self.advance(first + unit_count, explained, end);
    }

    /// Takes what a commit lists. Tombstones count only here: one that a crash has cut off kills nothing.
    fn commit(&mut self, bytes: &[u8], header: &RecordHeader) {
        let whole = 0..header.payload_bytes as usize;
        if check_payload(bytes, header, whole).is_err() {
            self.unexplained_units += header.unit_count;
            return;
        }
        let Ok(commit) = Commit::decode(payload(bytes, header)) else { return };
        commit.entries.into_iter().for_each(|entry| self.found(entry));
        self.committed_end = header.unit_offset + header.unit_count;
    }

    /// Forgets blocks of a group that a crash has torn. A void record that does not begin where the last commit ended says
    /// nothing of what a commit between them may hold that cannot be read.
    fn void(&mut self, bytes: &[u8], header: &RecordHeader) {
        if check_payload(bytes, header, 0..header.payload_bytes as usize).is_err() {
            return;
        }
        let Ok(range) = VoidRange::decode(payload(bytes, header)) else { return };
        if range.first_unit == self.committed_end {
            self.entries.retain(|entry| place_of(entry).0 < range.first_unit);
        }
    }

    /// Lists a record or a tombstone in its place, in the table's own memory. A record is listed once: by its commit, where
    /// that can be read.
    fn found(&mut self, entry: TableEntry) {
        let place = place_of(&entry);
        let begin = self.entries.partition_point(|other| place_of(other) < place);
        match (&entry, self.entries.get_mut(begin)) {
            (TableEntry::Block { .. }, Some(known)) if place_of(known) == place => *known = entry,
            _ => {
                let end = self.entries.partition_point(|other| place_of(other) <= place);
                self.entries.insert(end, entry);
            }
        }
    }

    fn advance(&mut self, unit: u32, explained: u32, end: u32) {
        if unit < end {
            self.step = stretch(unit, explained, end);
            return;
        }
        self.step = Step::Done;
    }

    /// Everything that the zone lists, once [`Self::next_read`] asks for nothing more.
    pub(crate) fn entries(&self) -> &[TableEntry] {
        &self.entries
    }

    /// Whether the zone's footer was looked for, and is damaged.
    pub(crate) fn has_damaged_footer(&self) -> bool {
        self.is_without_footer
    }

    /// Whether every good unit is explained: if not, the zone may hold tombstones that were not found.
    pub(crate) fn is_complete(&self) -> bool {
        self.unexplained_units == 0
    }

    /// Its memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.entries.capacity() * size_of::<TableEntry>()) as u64
    }
}

/// Where an entry stands in a table that is made from what was found.
fn place_of(entry: &TableEntry) -> (u32, bool) {
    match entry {
        TableEntry::Block { unit_offset, .. } => (*unit_offset, false),
        TableEntry::Tombstone { unit_offset, .. } => (*unit_offset, true),
    }
}

fn stretch(unit: u32, explained: u32, end: u32) -> Step {
    match end.saturating_sub(unit) {
        0 => Step::Done,
        left => Step::Stretch { unit, unit_count: left.min(STRETCH_UNITS), explained },
    }
}

/// The table at the end of a footer.
pub(crate) fn table_of(label: &Label, zone: u32, footer: &[u8]) -> Option<Vec<TableEntry>> {
    let last_unit = footer.len().checked_sub(UNIT_BYTES)?;
    let trailer = Trailer::decode(&footer[last_unit..], label, zone).ok()?;
    Footer::decode_table(footer, &trailer, label).ok()
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
