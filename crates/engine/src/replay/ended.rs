//! What the index still names in lives that are not there any more.
//!
//! A zone that the checkpoint calls used, and that is empty now, was reset since. The engine resets a zone only once all
//! that lived in it was moved or deleted, and keeps every tombstone that names the zone until two checkpoints know of it. So
//! the log since the checkpoint names all that lived there. What it does not name was lost: somebody else has reset the
//! zone.
//!
//! A zone that was open may have held such tombstones itself, and they have gone with it. Where the log was written since, or
//! where a newer checkpoint may have counted, nothing tells then whether what stood in it was deleted or lost; nor does
//! anything where a part of the log is lost. Where neither was, the engine has not reset it ([`crate::trash`]).
//!
//! Invariants:
//!
//! * What was lost of a zone that was closed stays in the index: it is answered as damaged, and never as absent, until it is
//!   replaced or deleted. The zone is not written meanwhile; a mount frees it once nothing in it is named any more. A
//!   later mount that has lost a part of the log forgets it, and warns.
//! * Nothing else in a life that has ended stays there.

use std::collections::BTreeMap;

use imbrex_format::{ZoneCell, ZoneCellRole};

use super::Replay;
use crate::request::ZoneRole;
use crate::restoring::Base;
use crate::zone_table::ZoneTable;

impl Replay<'_, '_> {
    /// Ends the lives of zones that are empty now, once all tombstones are known that were written since the checkpoint.
    pub(super) fn end_lives(&mut self, base: &Base) {
        let is_newest = base.is_newest && self.last_group < base.end.next_group;
        // What was lost of the log may have said what became of them.
        let is_log_whole = self.lost_records == 0 && !self.zones.iter().any(|(_, entry)| entry.is_unknown);
        for (zone, records) in self.left_in_ended_lives() {
            let cell = &base.zones[zone as usize];
            let was_open = cell.role == ZoneCellRole::Open;
            if !is_log_whole || (was_open && !is_newest) {
                tracing::warn!(
                    zone,
                    records,
                    "a zone is empty that held blocks, and what may say why has gone too: they may be lost"
                );
            } else {
                tracing::error!(
                    zone,
                    records,
                    "a zone is empty that held blocks, and nothing says that they were moved or deleted: they are lost"
                );
                self.lost_records += records;
                if !was_open {
                    self.keep_lost_life(zone, cell);
                    continue;
                }
            }
            self.zones.get_mut(zone).live_units = 0;
        }
        let Self { index, zones, .. } = self;
        index.retain(|location| !has_ended(zones, location.zone));
    }

    /// How many records the index names in each zone of which the life has ended.
    fn left_in_ended_lives(&self) -> BTreeMap<u32, u64> {
        let mut left = BTreeMap::new();
        self.index.sweep(0..self.index.cell_count(), |location| {
            if has_ended(&self.zones, location.zone) {
                *left.entry(location.zone).or_default() += 1;
            }
        });
        left
    }

    /// Takes a life that was lost for one that goes on: what is named in it cannot be read, and nothing in it can be moved.
    fn keep_lost_life(&mut self, zone: u32, cell: &ZoneCell) {
        let entry = self.zones.get_mut(zone);
        // Less than the cell says, where some of it was moved or deleted.
        let live_units = entry.live_units;
        entry.take_cell(cell, ZoneRole::Fenced);
        entry.live_units = live_units;
        entry.written_units = cell.written_units.max(cell.good_units);
        (entry.table_entries, entry.tombstones) = (0, 0);
        (entry.evacuate, entry.is_unknown) = (false, false);
        (entry.is_lost_life, entry.is_kept, entry.is_stuck) = (true, true, true);
    }
}

/// Whether a zone holds nothing now.
fn has_ended(zones: &ZoneTable, zone: u32) -> bool {
    matches!(zones.get(zone).role, ZoneRole::Reset | ZoneRole::Free)
}
