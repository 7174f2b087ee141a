//! Room: which open zone a record may go to where few zones are left, and what is answered where none has room.
//!
//! Invariants:
//!
//! * The last free zones are kept: one for reclaim, so that it can always finish, and one for deletions, so that a full
//!   drive can still be emptied. Where the second is in use already, clients' blocks leave nearly a whole open zone to
//!   deletions.
//! * Deletions take reclaim's zone only where one comes back though reclaim moves nothing, or where reclaim has nothing
//!   to move and only deletions can give it something.
//! * A client is told that the drive is full only where nothing that could be won is left, and then at once. Where
//!   room will come it waits up to its deadline.

use std::collections::VecDeque;

use crate::group::Write;
use crate::log::Stream;
use crate::pending::{PendingDelete, PendingPut, PutOrigin};
use crate::request::{EngineError, ZoneRole};
use crate::store::Store;
use crate::zone_table::ZoneEntry;

/// How many free zones are kept for reclaim alone.
pub(crate) const ZONES_FOR_RECLAIM: u32 = 1;
/// How many more are kept for deletions and for what a failed write has left to be written.
pub(crate) const ZONES_FOR_DELETIONS: u32 = 1;

/// Clients' blocks take at most this part of the zone that deletions have opened on a full drive. Of a zone of 256 MiB
/// that leaves room for 28,000 deletions one after another, more than a disk makes durable while a zone rests.
const CLIENTS_PART: u32 = 8;

/// Clients' deletions leave this part of an open zone to reclaim, where no zone is free: room for the tombstones of a zone
/// that is full of them, many times over.
const RECLAIM_PART: u32 = 8;

/// What one group of deletions takes at most: 4 units of tombstones, and a commit that lists 253 of them.
const DELETIONS_UNITS: u32 = 10;

/// What moving a zone's records takes beside them, at the most that matters: a unit for so many records, and so many
/// units. Commits are that, and the tombstones of the copies that are left.
const OVERHEAD_RECORDS: u32 = 2;
const OVERHEAD_UNITS: u32 = 8;

/// From which part of a zone on it is worth closing where nothing lives in it.
const CLOSED_PART: u32 = 2;

impl Store {
    /// Sees to it that the stream's open zone has room for what is pending first. Refuses what the drive has no room for,
    /// and lets wait what it will have room for. Tells whether a group can be formed.
    pub(crate) fn make_room(&mut self, stream: Stream, writes: &mut VecDeque<Write>) -> bool {
        while let Some(put) = self.pending.first_put(stream).filter(|put| self.may_write(put)) {
            // Besides the record, one of tombstones for what it replaces.
            let (needed, entries) = (put.units() + 1, put.entries());
            let kept = if put.may_be_dropped() { ZONES_FOR_RECLAIM + ZONES_FOR_DELETIONS } else { 0 };
            if self.fits(put, needed, entries) || self.open_if_free(stream, kept, needed, entries, writes) {
                return true;
            }
            if self.space_will_come() {
                self.waits_for_zone = true;
                break;
            }
            if !self.end_without_room(stream) {
                return false;
            }
        }
        self.make_room_for_deletes(stream, writes)
    }

    /// Whether a put fits into its stream's open zone. A client's block leaves a zone to reclaim, and room to deletions.
    pub(crate) fn fits(&self, put: &PendingPut, unit_count: u32, entries: usize) -> bool {
        if !self.has_room(put.stream, unit_count, entries) {
            return false;
        }
        match self.zones.free_count() {
            _ if !put.may_be_dropped() => true,
            0 => false,
            ZONES_FOR_RECLAIM => {
                let hot = self.open.serving(Stream::Hot);
                let taken_units = if put.stream == hot { unit_count } else { 0 };
                self.open.get(hot).is_some_and(|open| {
                    let capacity_units = self.zones.get(open.zone).capacity_units;
                    let kept_units = capacity_units - capacity_units / CLIENTS_PART;
                    self.has_room(hot, kept_units + taken_units, entries)
                })
            }
            _ => true,
        }
    }

    pub(crate) fn has_room(&self, stream: Stream, unit_count: u32, entries: usize) -> bool {
        self.open.get(stream).is_some_and(|open| {
            open.room_units(entries, self.zones.get(open.zone).capacity_units) >= unit_count
        })
    }

    /// Whether what lives in a zone has somewhere to go. Emptying one that cannot be reset gives nothing back, so it is done
    /// only where a zone stays free for reclaim.
    pub(crate) fn can_empty(&self, entry: &ZoneEntry) -> bool {
        self.can_empty_without(entry, None)
    }

    /// As [`Self::can_empty`], without the room of one stream's open zone.
    fn can_empty_without(&self, entry: &ZoneEntry, closed: Option<Stream>) -> bool {
        let kept = if entry.can_be_reset() { 0 } else { ZONES_FOR_RECLAIM };
        if (entry.live_units == 0 && entry.tombstones == 0) || self.zones.free_count() > kept {
            return true;
        }
        let needed_units = units_to_move(entry);
        let has_room = |stream: Stream| Some(stream) != closed && self.has_room(stream, needed_units, 1);
        has_room(self.open.serving(Stream::Cold))
            || (entry.can_be_reset() && Stream::ALL.into_iter().any(has_room))
    }

    /// Whether what reclaim has read has no room, and no zone is free for it.
    pub(crate) fn moves_lack_room(&self) -> bool {
        let lacks = |stream: Stream| {
            (self.lacks_room_for_move(stream) && self.lender_to_moves(stream).is_none())
                || (self.pending.has_own_delete(stream)
                    && !self.has_room(stream, 1, 1)
                    && self.lender(stream).is_none())
        };
        self.zones.free_count() == 0 && Stream::ALL.into_iter().any(lacks)
    }

    /// Whether a record that reclaim moves stands first in the stream, and has no room in its open zone.
    fn lacks_room_for_move(&self, stream: Stream) -> bool {
        let moved = self.pending.first_put(stream).filter(|put| matches!(put.origin, PutOrigin::Moved));
        moved.is_some_and(|put| !self.has_room(stream, put.units() + 1, put.entries()))
    }

    /// The other stream whose open zone has room for what reclaim moves next.
    fn lender_to_moves(&self, stream: Stream) -> Option<Stream> {
        let put = self.pending.first_put(stream)?;
        let has_room = |other: &Stream| self.has_room(*other, put.units() + 1, put.entries());
        Stream::ALL.into_iter().filter(|other| *other != stream).find(has_room)
    }

    /// Whether a zone comes back though reclaim moves nothing.
    fn zone_comes_back(&self) -> bool {
        !self.checkpointing.is_given_up() && (!self.trash.is_empty() || self.zones.reset_count() > 0)
    }

    /// Makes room for deletions, which may use what is kept for them; and for tombstones that are carried on.
    fn make_room_for_deletes(&mut self, stream: Stream, writes: &mut VecDeque<Write>) -> bool {
        if !self.pending.has_delete(stream) {
            return false;
        }
        if self.has_room_for_deletes(stream)
            || self.open_if_free(stream, ZONES_FOR_RECLAIM, 1, 1, writes)
            || (self.may_take_last_zone(stream) && self.open_if_free(stream, 0, 1, 1, writes))
        {
            return true;
        }
        self.waits_for_zone = true;
        if self.space_will_come() {
            return false;
        }
        if self.has_room(stream, 1, 1) {
            return true;
        }
        self.end_deletes_without_room();
        false
    }

    /// Whether the open zone has room for the deletions that wait. Where no zone is free, clients leave room to reclaim.
    fn has_room_for_deletes(&self, stream: Stream) -> bool {
        self.has_room(stream, 1, 1)
            && (self.zones.free_count() > 0
                || self.pending.has_own_delete(stream)
                || self.leaves_room_to_reclaim(stream))
    }

    /// Whether some open zone has room for what reclaim still has to move, and for the tombstones of the zones that are
    /// open, once a group of deletions has gone to the stream's.
    fn leaves_room_to_reclaim(&self, stream: Stream) -> bool {
        let victim_units = self.reclaim.zone().map_or(0, |zone| units_to_move(self.zones.get(zone)));
        Stream::ALL.into_iter().any(|other| {
            let Some(open) = self.open.get(other) else { return false };
            let capacity_units = self.zones.get(open.zone).capacity_units;
            let taken_units = if other == stream { DELETIONS_UNITS } else { 0 };
            self.has_room(other, capacity_units / RECLAIM_PART + victim_units + taken_units, 1)
        })
    }

    /// Whether deletions may open the zone that is kept for reclaim.
    fn may_take_last_zone(&mut self, stream: Stream) -> bool {
        // Where streams are put together, the zone serves reclaim as well.
        stream == self.open.serving(Stream::Cold)
            || self.pending.has_own_delete(stream)
            || self.zone_comes_back()
            || !self.space_will_come()
    }

    /// Lets go to another stream's open zone what has no room in its own, where none may be opened for it: deletions, which
    /// take little, and what reclaim moves, where no zone is free at all. It is what is left on a full drive.
    pub(crate) fn lend_room(&mut self) {
        let free_count = self.zones.free_count();
        for stream in Stream::ALL {
            if free_count <= ZONES_FOR_RECLAIM
                && self.pending.has_delete(stream)
                && !self.has_room_for_deletes(stream)
                && let Some(lender) = self.lender(stream).or_else(|| self.last_lender(stream))
            {
                self.pending.let_deletes_wait_in(stream, lender);
            }
            if free_count == 0
                && self.lacks_room_for_move(stream)
                && let Some(lender) = self.lender_to_moves(stream)
            {
                self.pending.let_moves_wait_in(stream, lender);
            }
        }
    }

    /// The other stream whose open zone has room for a deletion.
    fn lender(&self, stream: Stream) -> Option<Stream> {
        // The room that clients leave is for reclaim's own, and for what must be made good.
        let is_own = self.pending.has_own_delete(stream);
        let has_room =
            |other| if is_own { self.has_room(other, 1, 1) } else { self.has_room_for_deletes(other) };
        Stream::ALL.into_iter().find(|other| *other != stream && has_room(*other))
    }

    /// The one whose open zone has room for a deletion, where nothing else comes and only deletions can bring it.
    fn last_lender(&mut self, stream: Stream) -> Option<Stream> {
        if self.has_room(stream, 1, 1) || self.zones.free_count() > 0 || self.space_will_come() {
            return None;
        }
        Stream::ALL.into_iter().find(|other| self.has_room(*other, 1, 1))
    }

    /// Ends the put that is pending first, for which there is no room and will be none. Tells whether the drive goes on.
    fn end_without_room(&mut self, stream: Stream) -> bool {
        let Some(put) = self.pending.take_put(stream) else { return false };
        if put.is_owed() {
            // It may stand where a failed write has left it, and nothing can say any more that it is void.
            self.pending.return_put(put);
            self.stop_without_room("no zone has room for what a failed write has left to be written");
            return false;
        }
        self.refuse_put(put, EngineError::Full);
        true
    }

    fn end_deletes_without_room(&mut self) {
        for delete in self.pending.extract_deletes(PendingDelete::may_be_dropped) {
            self.release(&delete.key);
            delete.reply.into_iter().for_each(|reply| reply.send(Err(EngineError::Full)));
        }
        if self.pending.has_owed_delete() {
            self.stop_without_room("no zone has room for what a failed write has left to be written");
        }
    }

    /// The stream whose open zone is to be closed, so that reclaim can take it. Where zones are left: one in which
    /// something cannot be read. Where few are free: one in which nothing lives and nothing more fits, or while nothing
    /// rests; or one in which enough is dead, where somebody waits and nothing else gives room.
    pub(crate) fn stream_to_close(&mut self) -> Option<Stream> {
        if !self.room_is_short() {
            return Stream::ALL.into_iter().find(|stream| self.is_suspect(*stream));
        }
        let waits = self.waits_for_zone && !self.room_comes_by_itself();
        let is_to_close = |stream: &Stream| {
            let is_free_to_close =
                !self.has_room(*stream, 1, 1) || (!self.zone_comes_back() && self.leaves_room(*stream));
            (waits || (self.is_dead(*stream) && is_free_to_close)) && self.is_worth_closing(*stream)
        };
        Stream::ALL.into_iter().find(is_to_close)
    }

    /// Whether something in the stream's open zone cannot be read.
    fn is_suspect(&self, stream: Stream) -> bool {
        self.open.get(stream).is_some_and(|open| {
            let entry = self.zones.get(open.zone);
            entry.evacuate && entry.good_units > 1 && !self.writes_are_at_risk(open.zone)
        })
    }

    /// Whether nothing lives in the stream's open zone, and little can be written to it.
    fn is_dead(&self, stream: Stream) -> bool {
        self.open.get(stream).is_some_and(|open| {
            let entry = self.zones.get(open.zone);
            entry.live_units == 0 && entry.good_units >= entry.capacity_units / CLOSED_PART
        })
    }

    /// Whether so much is dead in the stream's open zone that reclaim would empty it if it were closed.
    pub(crate) fn is_worth_closing(&self, stream: Stream) -> bool {
        self.open.get(stream).is_some_and(|open| {
            let entry = self.zones.get(open.zone);
            let table_entries = u32::try_from(open.entries.len()).unwrap_or(u32::MAX);
            let closed = ZoneEntry { role: ZoneRole::Sealed, table_entries, ..entry.clone() };
            entry.good_units > entry.live_units
                && !self.writes_are_at_risk(open.zone)
                && self.can_empty_without(&closed, Some(stream))
                && self.candidate(open.zone, &closed).gain_units() > 0
        })
    }

    /// Whether deletions have room somewhere once the stream's open zone is closed.
    fn leaves_room(&self, stream: Stream) -> bool {
        self.zones.free_count() > ZONES_FOR_RECLAIM || self.lender(stream).is_some()
    }
}

/// How much room it takes to move what lives in a zone.
fn units_to_move(entry: &ZoneEntry) -> u32 {
    // A record has one unit at least. How many a zone without a footer lists is not known.
    let records_max =
        if entry.table_entries > 0 { entry.table_entries.min(entry.live_units) } else { entry.live_units };
    let cost_units = entry.live_units.saturating_add(entry.tombstones.div_ceil(64));
    cost_units.saturating_add(records_max / OVERHEAD_RECORDS + OVERHEAD_UNITS)
}
