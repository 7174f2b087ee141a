//! Listing blocks in the drive's own order: zone by zone, and within a zone as they were written.
//!
//! The index holds no keys, so a listing reads the tables of the zones: the open zone's from memory, a sealed zone's
//! from its footer in one read, and where there is no good footer, a stretch of the zone in which the headers of its
//! records are looked for. The index then says which of them still live.

use imbrex_format::{Footer, Key, RecordKind, TableEntry, Trailer, UNIT_BYTES, ZoneScope, footer_units};
use imbrex_zoned::{Buffer, Device, DeviceError};

use crate::command::{ListRequest, Reply};
use crate::index::Candidates;
use crate::location::Location;
use crate::reading::{Read, ReadPurpose};
use crate::request::{BlockEntry, Cursor, EngineError, Page, ZoneRole};
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
    cursor: Cursor,
    one_zone: bool,
    limit: usize,
    page: Page,
    reads: u32,
    step: Step,
    pub(crate) reply: Reply<Page>,
}

impl Store {
    /// Begins a listing.
    pub(crate) fn list(&mut self, device: &mut dyn Device, request: ListRequest, reply: Reply<Page>) {
        if request.one_zone && self.zones.find(request.cursor.zone).is_none() {
            return reply.send(Err(EngineError::Invalid { reason: "the drive has no such zone".into() }));
        }
        let ListRequest { cursor, one_zone, limit } = request;
        let page = Page { entries: Vec::with_capacity(limit.min(1000)), next: None };
        let listing = Listing { cursor, one_zone, limit, page, reads: 0, step: Step::Footer, reply };
        self.continue_listing(device, Box::new(listing));
    }

    /// Goes on from zone to zone until the page is full, or a read is needed.
    fn continue_listing(&mut self, device: &mut dyn Device, mut listing: Box<Listing>) {
        while let Some(zone) = self.zones.find(listing.cursor.zone) {
            if listing.page.entries.len() >= listing.limit || listing.reads >= READS_MAX {
                listing.page.next = Some(listing.cursor);
                break;
            }
            let exhausted = listing.cursor.unit_offset >= zone.good_units;
            let (role, entries, live) = (zone.role, zone.table_entries, zone.live_units > 0);
            if exhausted || !live || !zone.is_readable_log() {
                if listing.leave_zone() {
                    break;
                }
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

    fn read_for_listing(&mut self, device: &mut dyn Device, mut listing: Box<Listing>, entries: u32) {
        let Cursor { zone, unit_offset } = listing.cursor;
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
        let purpose = ReadPurpose::List(listing);
        let read =
            Read { key: Key([0; 32]), purpose, location, candidates: Candidates::default(), damaged: None };
        self.enqueue_read(device, read);
    }

    fn list_open_zone(&self, listing: &mut Listing) {
        let Some(open) = self.open.as_ref().filter(|open| open.zone == listing.cursor.zone) else {
            listing.cursor.unit_offset = u32::MAX;
            return;
        };
        self.list_table(listing, &open.entries);
    }

    /// Lists from a table what lies at and after the cursor.
    fn list_table(&self, listing: &mut Listing, table: &[TableEntry]) {
        for entry in table {
            if let TableEntry::Block { key, unit_offset, unit_count, payload_bytes, .. } = entry {
                let location = Location {
                    zone: listing.cursor.zone,
                    unit_offset: *unit_offset,
                    unit_count: *unit_count,
                };
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

    /// Takes what a listing has read.
    pub(crate) fn listed(
        &mut self,
        device: &mut dyn Device,
        read: Read,
        result: Result<Buffer, DeviceError>,
    ) {
        let ReadPurpose::List(mut listing) = read.purpose else { return };
        match listing.step {
            Step::Footer => match result.ok().and_then(|buffer| self.table_of(read.location.zone, &buffer)) {
                Some(table) => self.list_table(&mut listing, &table),
                None => listing.step = Step::Stretch,
            },
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

    fn table_of(&self, zone: u32, footer: &[u8]) -> Option<Vec<TableEntry>> {
        let last_unit = footer.len().checked_sub(UNIT_BYTES)?;
        let trailer = Trailer::decode(&footer[last_unit..], &self.label, zone).ok()?;
        Footer::decode_table(footer, &trailer, &self.label).ok()
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

impl Listing {
    /// Goes on to the next zone; true where there is none to go to.
    fn leave_zone(&mut self) -> bool {
        self.step = Step::Footer;
        self.cursor = Cursor { zone: self.cursor.zone + 1, unit_offset: 0 };
        self.one_zone
    }
}
