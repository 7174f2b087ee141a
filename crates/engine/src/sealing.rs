//! Changing zones: where the open zone has no room left, the next group first seals it, with padding and a footer, and
//! opens another.
//!
//! The last free zone is kept for deletions, so that a full drive can still be emptied.

use std::collections::VecDeque;

use imbrex_format::{
    Footer, RecordKind, TableEntry, ZoneHeader, ZoneScope, footer_units, record_units, seal_record,
};
use imbrex_zoned::ZoneKind;

use crate::group::Write;
use crate::log::{OpenZone, ZERO_UNITS};
use crate::request::{EngineError, ZoneRole};
use crate::reserve::Purpose;
use crate::store::Store;
use crate::writing::record;

/// How many free zones only a deletion may take.
const ZONES_FOR_DELETIONS: u32 = 1;

impl Store {
    /// Sees to it that the open zone has room for what is pending first, and refuses what the drive has no room for.
    pub(crate) fn make_room(&mut self, writes: &mut VecDeque<Write>) {
        while let Some(put) = self.pending_puts.front() {
            let needed = record_units(put.payload_bytes as usize) + 1;
            let can_open = writes.is_empty() && self.zones.free_count() > ZONES_FOR_DELETIONS;
            if self.has_room(needed, 2) {
                return;
            }
            if can_open && self.open_zone(needed, writes) {
                continue;
            }
            if let Some(put) = self.pending_puts.pop_front() {
                self.release(&put.key);
                put.reply.send(Err(EngineError::Full));
            }
        }
        if self.pending_deletes.is_empty()
            || self.has_room(1, 1)
            || (writes.is_empty() && self.open_zone(1, writes))
        {
            return;
        }
        while let Some(delete) = self.pending_deletes.pop_front() {
            self.release(&delete.key);
            delete.reply.send(Err(EngineError::Full));
        }
    }

    pub(crate) fn has_room(&self, unit_count: u32, entries: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.room_units(entries, self.zones.get(open.zone).capacity_units) >= unit_count
        })
    }

    /// Seals the open zone and opens a free one with room for `unit_count` units of records; tells whether there was one.
    fn open_zone(&mut self, unit_count: u32, writes: &mut VecDeque<Write>) -> bool {
        let Some(zone) = self.zones.find_free(OpenZone::capacity_units_for(unit_count)) else { return false };
        let mut entries = Vec::new();
        if let Some(old) = self.open.take() {
            entries = self.seal(old, writes);
        }
        let first_sequence = self.take_sequence();
        let Some(mut buffer) = self.reserve.take(Purpose::ZoneHeader, 1) else { return false };
        self.zones.take(zone, first_sequence);
        let header = ZoneHeader {
            zone,
            stream: 0,
            incarnation: first_sequence,
            first_sequence,
            opened_at_unix_s: self.unix_s,
        };
        header.encode(&self.label, &mut buffer);
        writes.push_back(Write::Reserved { zone, unit: 0, purpose: Purpose::ZoneHeader, buffer });
        self.open = Some(OpenZone::fresh(zone, entries));
        true
    }

    /// Fills the zone up to its footer and writes the footer; gives back the table, emptied, for the next zone.
    fn seal(&mut self, old: OpenZone, writes: &mut VecDeque<Write>) -> Vec<TableEntry> {
        let zone = old.zone;
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Sealed;
        entry.table_entries = u32::try_from(old.entries.len()).unwrap_or(u32::MAX);
        let (capacity, first_sequence) = (entry.capacity_units, entry.first_sequence);
        let scope = ZoneScope::new(&self.label, zone, entry.incarnation);
        let footer_first = capacity - footer_units(old.entries.len());
        let padding = footer_first - old.next_unit;
        if padding > 0 {
            let sequence = self.take_sequence();
            if let Some(mut buffer) = self.reserve.take(Purpose::Padding, 1) {
                let header = record(RecordKind::Padding, old.next_unit, padding, 0, sequence);
                seal_record(&mut buffer, &header, &scope);
                writes.push_back(Write::Reserved {
                    zone,
                    unit: old.next_unit,
                    purpose: Purpose::Padding,
                    buffer,
                });
            }
        }
        let mut unit = old.next_unit + 1;
        while unit < footer_first {
            let unit_count = ZERO_UNITS.min(footer_first - unit);
            writes.push_back(Write::Zeros { zone, unit, unit_count });
            unit += unit_count;
        }
        self.barrier(zone, writes);
        if let Some(mut buffer) = self.reserve.take(Purpose::Footer, (capacity - footer_first) as usize) {
            let footer = Footer {
                first_sequence,
                last_sequence: self.next_sequence - 1,
                last_group: self.next_group - 1,
                entries: &old.entries,
            };
            footer.encode(&scope, capacity, &mut buffer);
            writes.push_back(Write::Reserved { zone, unit: footer_first, purpose: Purpose::Footer, buffer });
        }
        self.stats.zones_sealed += 1;
        let mut entries = old.entries;
        entries.clear();
        entries
    }

    pub(crate) fn barrier(&self, zone: u32, writes: &mut VecDeque<Write>) {
        if self.zones.get(zone).kind == ZoneKind::Conventional {
            writes.push_back(Write::Barrier);
        }
    }
}
