//! Changing zones: where the open zone of a stream has no room left, the next group first seals it, with padding and a
//! footer, and opens another. Which of the last zones may be opened for what: [`crate::room`].

use std::collections::VecDeque;

use imbrex_format::{
    Footer, RecordKind, TableEntry, ZoneContent, ZoneHeader, ZoneScope, footer_units, seal_record,
};
use imbrex_zoned::ZoneKind;

use crate::group::{Group, Write};
use crate::log::{OpenZone, Stream, ZERO_UNITS};
use crate::mutation::{Mutation, is};
use crate::request::ZoneRole;
use crate::reserve::Purpose;
use crate::store::Store;
use crate::writing::record;

impl Store {
    /// Opens a zone if more than `kept` are free.
    pub(crate) fn open_if_free(
        &mut self,
        stream: Stream,
        kept: u32,
        needed: u32,
        entries: usize,
        writes: &mut VecDeque<Write>,
    ) -> bool {
        writes.is_empty() && self.zones.free_count() > kept && self.open_zone(stream, needed, entries, writes)
    }

    /// Seals the stream's open zone and opens a free one with room for `unit_count` units of records; tells whether there
    /// was one.
    fn open_zone(
        &mut self,
        stream: Stream,
        unit_count: u32,
        entries: usize,
        writes: &mut VecDeque<Write>,
    ) -> bool {
        let needed = OpenZone::capacity_units_for(unit_count, entries);
        let Some(zone) = self.zones.find_free(needed) else { return false };
        if let Some(old) = self.open.take(stream) {
            let table = self.seal(old, writes);
            self.open.give_back(table);
        }
        self.waits_for_zone = false;
        let table = self.open.table();
        let first_sequence = self.take_sequence();
        let Some(mut buffer) = self.reserve.take(Purpose::ZoneHeader, 1) else { return false };
        self.zones.take(zone, stream, first_sequence);
        // Without a time it would be due for the scrub at once, and be read while it is written.
        self.zones.get_mut(zone).closed_at_unix_s = self.unix_s;
        self.referee.opened(zone, first_sequence);
        let header = ZoneHeader {
            zone,
            content: ZoneContent::Records,
            stream: stream as u16,
            incarnation: first_sequence,
            first_sequence,
            opened_at_unix_s: self.unix_s,
        };
        header.encode(&self.label, &mut buffer);
        writes.push_back(Write::Reserved { zone, unit: 0, purpose: Purpose::ZoneHeader, buffer });
        self.open.put(stream, OpenZone::fresh(zone, table));
        true
    }

    /// A group of no records, which seals a stream's open zone and opens no other.
    pub(crate) fn form_closing_group(&mut self, stream: Stream) -> Option<Group> {
        let mut writes = VecDeque::new();
        let old = self.open.take(stream)?;
        let (zone, entry) = (old.zone, self.zones.get(old.zone));
        let (incarnation, end_unit) = (entry.incarnation, entry.good_units);
        let table = self.seal(old, &mut writes);
        self.open.give_back(table);
        let first_sequence = self.next_sequence;
        let group = Group::new(stream, zone, incarnation, end_unit, first_sequence, writes);
        Some(Group { sealed_zone: Some(zone), ..group })
    }

    /// Fills the zone up to its footer and writes the footer; gives back the table.
    fn seal(&mut self, old: OpenZone, writes: &mut VecDeque<Write>) -> Vec<TableEntry> {
        let zone = old.zone;
        let (unix_s, closed_sequence) = (self.unix_s, self.take_sequence());
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Sealed;
        entry.table_entries = u32::try_from(old.entries.len()).unwrap_or(u32::MAX);
        entry.closed_at_unix_s = unix_s;
        entry.closed_sequence = closed_sequence;
        // What was read of it while it was open is not all of it.
        entry.scrubbed_at_unix_s = 0;
        self.referee.closed(zone, entry.incarnation);
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
        old.entries
    }

    /// Has a flush come before a commit or a footer where the zone is a conventional one; whether it has. What a drive
    /// keeps of a sequential zone over a power cut is a beginning of what was written; of a conventional zone it may keep any
    /// part.
    pub(crate) fn barrier(&self, zone: u32, writes: &mut VecDeque<Write>) -> bool {
        let is_needed = self.zones.get(zone).kind == ZoneKind::Conventional && !is(Mutation::SkipBarrier);
        if is_needed {
            writes.push_back(Write::Barrier { zone });
        }
        is_needed
    }
}
