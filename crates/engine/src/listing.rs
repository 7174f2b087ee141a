//! Listing blocks in the drive's own order: zone by zone as they were closed, and within a zone as they were written.
//!
//! A block that is there from the first page to the last is listed; one that reclaim moves meanwhile, or whose zone was
//! open when it was listed and is closed before the end, may be listed twice.
//!
//! The index holds no keys, so a listing reads the tables of the zones: the open zone's from memory, a sealed zone's
//! from its footer in one read, and where there is no good footer, a stretch of the zone in which the headers of its
//! records are looked for. The index then says which of them still live.

use imbrex_format::{Key, RecordKind, TableEntry, UNIT_BYTES, ZoneScope, footer_units};
use imbrex_zoned::{Buffer, Device, DeviceError};

use crate::command::{ListRequest, Reply};
use crate::inventory::table_of;
use crate::location::Location;
use crate::reads::{Read, ReadPurpose};
use crate::request::{BlockEntry, Cursor, EngineError, Page, ZoneRole};
use crate::schedule::Work;
use crate::store::Store;

/// How many reads one page may cost; after them it ends early, with a cursor.
const READS_MAX: u32 = 64;

/// How many units are read at once where headers are looked for: 1 MiB.
const STRETCH_UNITS: u32 = 256;

/// What a listing is reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Footer,
    /// A stretch from the cursor on, in a zone without a good footer.
    Stretch,
    /// One unit, since the stretch could not be read whole.
    Unit,
}

/// A listing under way.
pub(crate) struct Listing {
    /// Where the page begins.
    begin: Cursor,
    cursor: Cursor,
    /// The zone at the cursor.
    zone: u32,
    /// Whether only that zone is listed.
    one_zone: bool,
    limit: usize,
    page: Page,
    reads: u32,
    work: Work,
    deadline_us: u64,
    step: Step,
    pub(crate) reply: Reply<Page>,
}

/// Where a listing goes on.
enum Next {
    Closed(u32),
    Open(u32),
    End,
}

impl Store {
    /// Begins a listing.
    pub(crate) fn list(
        &mut self,
        device: &mut dyn Device,
        request: ListRequest,
        deadline_us: u64,
        reply: Reply<Page>,
    ) {
        let ListRequest { cursor, zone, limit, class } = request;
        if zone.is_some_and(|zone| self.zones.find(zone).is_none()) {
            return reply.send(Err(EngineError::Invalid { reason: "the drive has no such zone".into() }));
        }
        let page = Page { entries: Vec::with_capacity(limit), next: None };
        let (one_zone, zone) = (zone.is_some(), zone.unwrap_or(0));
        let step = Step::Footer;
        let work = Work::from(class);
        let mut listing = Listing {
            begin: cursor,
            cursor,
            zone,
            one_zone,
            limit,
            page,
            reads: 0,
            work,
            deadline_us,
            step,
            reply,
        };
        if !one_zone {
            self.find_zone(&mut listing);
        }
        self.continue_listing(device, Box::new(listing));
    }

    /// Goes on from zone to zone until the page is full, or a read is needed.
    fn continue_listing(&mut self, device: &mut dyn Device, mut listing: Box<Listing>) {
        while let Some(zone) = self.zones.find(listing.zone) {
            if listing.reads > 0 && listing.deadline_us <= self.now_us {
                let what = "the disk did not come to it in time";
                return Self::end_listing(*listing, EngineError::Overloaded { what });
            }
            if listing.page.entries.len() >= listing.limit || listing.reads >= READS_MAX {
                listing.page.next = Some(listing.cursor);
                break;
            }
            let exhausted = listing.cursor.unit_offset >= zone.good_units;
            // Of a zone whose life is lost no key can be read.
            let live = zone.live_units > 0 && !zone.is_lost_life;
            let (role, entries) = (zone.role, zone.table_entries);
            if exhausted || !live || !zone.is_readable_log() {
                if listing.one_zone {
                    break;
                }
                self.leave_zone(&mut listing);
            } else if role == ZoneRole::Open {
                self.list_open_zone(&mut listing);
            } else {
                if role != ZoneRole::Sealed && listing.step == Step::Footer {
                    listing.step = Step::Stretch;
                }
                return self.read_for_listing(device, listing, entries);
            }
        }
        listing.reply.send(Ok(listing.page));
    }

    /// Goes to the zone that the cursor means. Zones are listed in the order in which they were closed, and open ones
    /// last: what reclaim moves meanwhile goes to a zone that is closed later, and so is never missed.
    fn find_zone(&self, listing: &mut Listing) {
        let closed = |from: u64| {
            let zones = self.zones.iter().filter(|(_, entry)| {
                entry.is_readable_log() && entry.role != ZoneRole::Open && entry.closed_sequence >= from
            });
            zones.min_by_key(|(zone, entry)| (entry.closed_sequence, *zone)).map(|(zone, _)| zone)
        };
        let sequence = listing.cursor.sequence;
        let next = match listing.cursor.open {
            None => closed(sequence).map_or_else(|| self.open_from(0), Next::Closed),
            // If zones were closed since the open ones were begun with, one of those may be among them.
            Some(open) => {
                closed(sequence.saturating_add(1)).map_or_else(|| self.open_from(open), Next::Closed)
            }
        };
        match next {
            Next::Closed(zone) => {
                let closed_sequence = self.zones.get(zone).closed_sequence;
                if listing.cursor.open.is_some() || closed_sequence != sequence {
                    listing.cursor = Cursor { sequence: closed_sequence, unit_offset: 0, open: None };
                }
                listing.zone = zone;
            }
            Next::Open(zone) => {
                let place =
                    self.open.iter().find(|(_, open)| open.zone == zone).map(|(stream, _)| stream as u8);
                if listing.cursor.open != place {
                    let last = self.zones.iter().map(|(_, entry)| entry.closed_sequence);
                    let last = last.filter(|closed| *closed < u64::MAX).max().unwrap_or(0);
                    listing.cursor = Cursor { sequence: last, unit_offset: 0, open: place };
                }
                listing.zone = zone;
            }
            Next::End => listing.zone = u32::MAX,
        }
    }

    /// The open zone of the first stream from the given one on.
    fn open_from(&self, first: u8) -> Next {
        let found = self.open.iter().find(|(stream, _)| *stream as u8 >= first);
        found.map_or(Next::End, |(_, open)| Next::Open(open.zone))
    }

    fn leave_zone(&self, listing: &mut Listing) {
        listing.step = Step::Footer;
        let Cursor { sequence, open, .. } = listing.cursor;
        listing.cursor = match open {
            Some(open) => Cursor { sequence, unit_offset: 0, open: Some(open + 1) },
            None => Cursor { sequence: sequence.saturating_add(1), unit_offset: 0, open: None },
        };
        self.find_zone(listing);
    }

    fn read_for_listing(&mut self, device: &mut dyn Device, mut listing: Box<Listing>, entries: u32) {
        let (zone, unit_offset) = (listing.zone, listing.cursor.unit_offset);
        listing.reads += 1;
        let location = match listing.step {
            Step::Footer => {
                let unit_count = footer_units(entries as usize);
                Location { zone, unit_offset: self.zones.get(zone).capacity_units - unit_count, unit_count }
            }
            Step::Stretch => {
                let unit_count = STRETCH_UNITS.min(self.zones.get(zone).good_units - unit_offset);
                Location { zone, unit_offset, unit_count }
            }
            Step::Unit => Location { zone, unit_offset, unit_count: 1 },
        };
        let (work, deadline_us) = (listing.work, listing.deadline_us);
        let read = Read::of_stretch(location, ReadPurpose::List(listing), work);
        self.enqueue_read(device, Read { deadline_us, ..read });
    }

    fn list_open_zone(&self, listing: &mut Listing) {
        let Some(open) = self.open.of_zone(listing.zone) else {
            listing.cursor.unit_offset = u32::MAX;
            return;
        };
        self.list_table(listing, &open.entries);
    }

    /// Lists from a table what lies at and after the cursor.
    fn list_table(&self, listing: &mut Listing, table: &[TableEntry]) {
        for entry in table {
            if let TableEntry::Block { key, unit_offset, unit_count, payload_bytes, .. } = entry {
                let location =
                    Location { zone: listing.zone, unit_offset: *unit_offset, unit_count: *unit_count };
                if *unit_offset >= listing.cursor.unit_offset
                    && !self.list_block(listing, key, location, *payload_bytes)
                {
                    return;
                }
            }
        }
        listing.cursor.unit_offset = u32::MAX;
    }

    /// Lists one record if it lives; false where the page is full and it was not listed.
    fn list_block(&self, listing: &mut Listing, key: &Key, location: Location, payload_bytes: u32) -> bool {
        let lives =
            self.zones.is_acknowledged(location) && self.index.contains(self.index.hash(key), location);
        if lives && listing.page.entries.len() >= listing.limit {
            listing.cursor.unit_offset = location.unit_offset;
            return false;
        }
        if lives {
            let Location { zone, unit_offset, .. } = location;
            listing.page.entries.push(BlockEntry { key: *key, payload_bytes, zone, unit_offset });
        }
        listing.cursor.unit_offset = location.unit_offset + location.unit_count;
        true
    }

    /// Ends a page that cannot go on: with what has been found, or with `error` where it has not come any further.
    pub(crate) fn end_listing(listing: Listing, error: EngineError) {
        let Listing { begin, cursor, mut page, reply, .. } = listing;
        page.next = Some(cursor);
        reply.send(if cursor == begin { Err(error) } else { Ok(page) });
    }

    /// Takes what a listing has read.
    pub(crate) fn listed(
        &mut self,
        device: &mut dyn Device,
        read: Read,
        result: Result<Buffer, DeviceError>,
    ) {
        let ReadPurpose::List(mut listing) = read.purpose else { return };
        if result.is_err() && listing.cursor == listing.begin {
            // Else what a drive takes long to fail would stand in the way of every page. The cursor moves after three such.
            listing.deadline_us = self.now_us.saturating_add(self.deadline_us);
        }
        match listing.step {
            Step::Footer => {
                match result.ok().and_then(|buffer| table_of(&self.label, read.location.zone, &buffer)) {
                    Some(table) => self.list_table(&mut listing, &table),
                    None => listing.step = Step::Stretch,
                }
            }
            Step::Stretch | Step::Unit => match result {
                Ok(buffer) => self.list_stretch(&mut listing, read.location, &buffer),
                Err(_) if listing.step == Step::Stretch => listing.step = Step::Unit,
                Err(_) => {
                    listing.cursor.unit_offset += 1;
                    listing.step = Step::Stretch;
                }
            },
        }
        self.continue_listing(device, listing);
    }

    /// Lists what lives in a stretch of a zone. Only a record that the index knows is stepped over by the length that it
    /// claims: one that a crash tore claims units that are not its own.
    fn list_stretch(&self, listing: &mut Listing, stretch: Location, bytes: &[u8]) {
        let Location { zone, unit_offset: first, unit_count } = stretch;
        let scope = ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation);
        while listing.cursor.unit_offset < first + unit_count {
            let unit = listing.cursor.unit_offset;
            let header = bytes
                .get((unit - first) as usize * UNIT_BYTES..)
                .and_then(|bytes| imbrex_format::decode_record_header(bytes, &scope, unit).ok())
                .filter(|header| header.kind == RecordKind::Block);
            let Some(header) = header else {
                listing.cursor.unit_offset += 1;
                continue;
            };
            let location = Location { zone, unit_offset: unit, unit_count: header.unit_count };
            if !self.index.contains(self.index.hash(&header.key), location) {
                listing.cursor.unit_offset += 1;
            } else if !self.list_block(listing, &header.key, location, header.payload_bytes) {
                return;
            }
        }
    }
}
