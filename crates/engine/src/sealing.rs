//! Changing zones: where the open zone of a stream has no room left, the next group first seals it, with padding and a
//! footer, and opens another.
//!
//! The last free zones are kept: one for reclaim, so that it can always finish, and one for deletions, so that a full
//! drive can still be emptied.

use std::collections::VecDeque;

use imbrex_format::{
    Footer, RecordKind, TableEntry, ZoneContent, ZoneHeader, ZoneScope, footer_units, seal_record,
};
use imbrex_zoned::ZoneKind;

use crate::group::Write;
use crate::log::{OpenZone, Stream, ZERO_UNITS};
use crate::mutation::{Mutation, is};
use crate::pending::{PendingDelete, PendingPut, PutOrigin};
use crate::request::{EngineError, ZoneRole};
use crate::reserve::Purpose;
use crate::store::Store;
use crate::writing::record;

/// How many free zones are kept for reclaim alone.
pub(crate) const ZONES_FOR_RECLAIM: u32 = 1;
/// How many more are kept for deletions and for what a failed write has left to be written.
pub(crate) const ZONES_FOR_DELETIONS: u32 = 1;

impl Store {
    /// Sees to it that the stream's open zone has room for what is pending first. Refuses what the drive has no room for,
    /// and lets wait what it will have room for. Tells whether a group can be formed.
    pub(crate) fn make_room(&mut self, stream: Stream, writes: &mut VecDeque<Write>) -> bool {
        while let Some(put) = self.pending.first_put(stream).filter(|put| self.may_write(put)) {
            // Besides the record, one of tombstones for what it replaces.
            let (needed, entries) = (put.units() + 1, put.entries());
            let kept = kept_from(put);
            if self.has_room(stream, needed, entries)
                || self.open_if_free(stream, kept, needed, entries, writes)
            {
                return true;
            }
            if !put_may_be_refused(self.pending.first_put(stream)) || self.space_will_come() {
                self.waits_for_zone = true;
                break;
            }
            if let Some(put) = self.pending.take_put(stream) {
                self.refuse_put(put, EngineError::Full);
            }
        }
        self.make_room_for_deletes(stream, writes)
    }

    fn make_room_for_deletes(&mut self, stream: Stream, writes: &mut VecDeque<Write>) -> bool {
        if !self.pending.has_delete(stream) {
            return false;
        }
        // Reclaim's own stand in another stream than the cold one where a drive holds few zones open.
        let is_reclaims = stream == Stream::Cold || self.pending.has_owed_delete(stream);
        let kept = if is_reclaims { 0 } else { ZONES_FOR_RECLAIM };
        if self.has_room(stream, 1, 1) || self.open_if_free(stream, kept, 1, 1, writes) {
            return true;
        }
        self.waits_for_zone = true;
        if !self.space_will_come() {
            for delete in self.pending.extract_deletes(PendingDelete::may_be_dropped) {
                self.release(&delete.key);
                delete.reply.into_iter().for_each(|reply| reply.send(Err(EngineError::Full)));
            }
        }
        false
    }

    pub(crate) fn has_room(&self, stream: Stream, unit_count: u32, entries: usize) -> bool {
        self.open.get(stream).is_some_and(|open| {
            open.room_units(entries, self.zones.get(open.zone).capacity_units) >= unit_count
        })
    }

    /// Opens a zone if more than `kept` are free.
    fn open_if_free(
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

    /// Fills the zone up to its footer and writes the footer; gives back the table.
    fn seal(&mut self, old: OpenZone, writes: &mut VecDeque<Write>) -> Vec<TableEntry> {
        let zone = old.zone;
        let (unix_s, closed_sequence) = (self.unix_s, self.take_sequence());
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Sealed;
        entry.table_entries = u32::try_from(old.entries.len()).unwrap_or(u32::MAX);
        entry.closed_at_unix_s = unix_s;
        entry.closed_sequence = closed_sequence;
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

    pub(crate) fn barrier(&self, zone: u32, writes: &mut VecDeque<Write>) {
        if self.zones.get(zone).kind == ZoneKind::Conventional && !is(Mutation::SkipBarrier) {
            writes.push_back(Write::Barrier { zone });
        }
    }
}

/// How many free zones a put must leave.
fn kept_from(put: &PendingPut) -> u32 {
    match put.origin {
        PutOrigin::Moved => 0,
        // What a failed write has left behind must be written, or the drive can write nothing more.
        PutOrigin::Client { .. } if !put.may_be_dropped() => 0,
        PutOrigin::Client { .. } => ZONES_FOR_RECLAIM + ZONES_FOR_DELETIONS,
    }
}

fn put_may_be_refused(put: Option<&PendingPut>) -> bool {
    put.is_some_and(PendingPut::may_be_dropped)
}
