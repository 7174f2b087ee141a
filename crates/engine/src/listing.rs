//! Listing blocks in the drive's own order: zone by zone, and within a zone as they were written.
//!
//! The index holds no keys, so a listing reads the tables of the zones: the open zone's from memory, a sealed zone's
//! from its footer in one read, and where there is no good footer, the headers of the records one after another. The
//! index then says which of them still live.

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

/// What a listing is reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Footer,
    /// The header of the record at the cursor, in a zone without a good footer.
    Header,
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
                let footer = role == ZoneRole::Sealed && listing.step == Step::Footer;
                return self.read_for_listing(device, listing, footer, entries);
            }
        }
        listing.reply.send(Ok(listing.page));
    }

    fn read_for_listing(&mut self, device: &mut dyn Device, mut listing: Box<Listing>, footer: bool, entries: u32) {
        let Cursor { zone, unit_offset } = listing.cursor;
        listing.reads += 1;
        listing.step = if footer { Step::Footer } else { Step::Header };
        let location = if footer {
            let unit_count = footer_units(entries as usize);
            Location { zone, unit_offset: self.zones.get(zone).capacity_units - unit_count, unit_count }
        } else {
            listing.cursor.unit_offset = unit_offset.max(1);
            Location { zone, unit_offset: unit_offset.max(1), unit_count: 1 }
        };
        let purpose = ReadPurpose::List(listing);
        let read = Read { key: Key([0; 32]), purpose, location, candidates: Candidates::default(), damaged: None };
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
                let location =
                    Location { zone: listing.cursor.zone, unit_offset: *unit_offset, unit_count: *unit_count };
                if *unit_offset >= listing.cursor.unit_offset && !self.list_block(listing, key, location, *payload_bytes)
                {
                    return;
                }
            }
        }
        listing.cursor.unit_offset = u32::MAX;
    }

    /// Lists one record if it lives; false where the page is full and it was not listed.
    fn list_block(&self, listing: &mut Listing, key: &Key, location: Location, payload_bytes: u32) -> bool {
        let lives = self.zones.is_acknowledged(location) && self.index.contains(self.index.hash(key), location);
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
    pub(crate) fn listed(&mut self, device: &mut dyn Device, read: Read, result: Result<Buffer, DeviceError>) {
        let ReadPurpose::List(mut listing) = read.purpose else { return };
        match listing.step {
            Step::Footer => match result.ok().and_then(|buffer| self.table_of(read.location.zone, &buffer)) {
                Some(table) => self.list_table(&mut listing, &table),
                None => listing.step = Step::Header,
            },
            Step::Header => self.list_header(&mut listing, result.ok().as_deref()),
        }
        self.continue_listing(device, listing);
    }

    fn table_of(&self, zone: u32, footer: &[u8]) -> Option<Vec<TableEntry>> {
        let last_unit = footer.len().checked_sub(UNIT_BYTES)?;
        let trailer = Trailer::decode(&footer[last_unit..], &self.label, zone).ok()?;
        Footer::decode_table(footer, &trailer, &self.label).ok()
    }

    /// Steps over one record by its header; over one unit where there is none.
    fn list_header(&self, listing: &mut Listing, unit: Option<&[u8]>) {
        let Cursor { zone, unit_offset } = listing.cursor;
        let scope = ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation);
        let header = unit.and_then(|unit| imbrex_format::decode_record_header(unit, &scope, unit_offset).ok());
        match header {
            Some(header) if header.kind == RecordKind::Block => {
                let location = Location { zone, unit_offset, unit_count: header.unit_count };
                self.list_block(listing, &header.key, location, header.payload_bytes);
            }
            Some(header) => listing.cursor.unit_offset += header.unit_count.max(1),
            None => listing.cursor.unit_offset += 1,
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
