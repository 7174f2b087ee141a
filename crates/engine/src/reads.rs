//! The reads that are in flight or wait, and why each record is looked for.
//!
//! Invariant: there are never more in flight than the device takes, nor more that wait than the schedule's queues hold.

use imbrex_format::{CHUNK_BYTES, Key, UNIT_BYTES, payload_offset};
use imbrex_zoned::Buffer;

use crate::command::Reply;
use crate::index::Candidates;
use crate::listing::Listing;
use crate::location::Location;
use crate::pending::PendingPut;
use crate::request::{Block, BlockHead, EngineError, RangeRequest};
use crate::schedule::{Limits, Schedule, Work};

/// Who reads zones for the engine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZoneReader {
    Reclaim,
    Inspection,
    Scrub,
}

/// Why a record is looked for.
pub(crate) enum ReadPurpose {
    Get(RangeRequest, Reply<Block>),
    Head(Reply<BlockHead>),
    /// A put whose key may be there already.
    Compare(PendingPut),
    /// A deletion: the record that it is to kill.
    Probe(Reply<()>),
    /// A step of a listing; it has no key.
    List(Box<Listing>),
    /// A stretch of a zone; it has no key. The buffer is given where the reader has its own memory.
    Zone(ZoneReader, Option<Buffer>),
}

/// A search for one key's record.
pub(crate) struct Read {
    pub(crate) key: Key,
    pub(crate) purpose: ReadPurpose,
    pub(crate) work: Work,
    pub(crate) deadline_us: u64,
    /// What is being read.
    pub(crate) location: Location,
    pub(crate) candidates: Candidates,
    /// A candidate that could not be read or checked: very likely the key's own.
    pub(crate) damaged: Option<(Location, EngineError)>,
    /// How often the search has begun.
    pub(crate) searches: u8,
    /// The store's count of changed places when the search began.
    pub(crate) places_seen: u64,
    /// What it was queued at.
    pub(crate) cost_units: u32,
}

const NOWHERE: Location = Location { zone: 0, unit_offset: 0, unit_count: 0 };

impl Read {
    /// A search for the record of `key`.
    pub(crate) fn of_key(key: Key, purpose: ReadPurpose, work: Work, deadline_us: u64) -> Self {
        let candidates = Candidates::default();
        Self {
            key,
            purpose,
            work,
            deadline_us,
            location: NOWHERE,
            candidates,
            damaged: None,
            searches: 0,
            places_seen: 0,
            cost_units: 0,
        }
    }

    /// A read of one stretch of a zone.
    pub(crate) fn of_stretch(location: Location, purpose: ReadPurpose, work: Work) -> Self {
        Self { location, ..Self::of_key(Key([0; 32]), purpose, work, u64::MAX) }
    }
}

impl Read {
    /// Whether nobody awaits the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match &self.purpose {
            ReadPurpose::Get(_, reply) => reply.is_abandoned(),
            ReadPurpose::Head(reply) => reply.is_abandoned(),
            ReadPurpose::Compare(put) => put.origin.is_abandoned(),
            ReadPurpose::Probe(reply) => reply.is_abandoned(),
            ReadPurpose::List(listing) => listing.reply.is_abandoned(),
            ReadPurpose::Zone(..) => false,
        }
    }

    /// How much of the record the request needs, in units from its beginning.
    pub(crate) fn wanted_units(&self) -> u32 {
        let record_units = self.location.unit_count;
        match &self.purpose {
            ReadPurpose::Get(RangeRequest::From { last: Some(last), .. }, _) => {
                let record_bytes = record_units as usize * UNIT_BYTES;
                // The payload's length is not known yet: it begins no later than that of a record filled to the brim.
                let begin = payload_offset(record_bytes);
                let last = usize::try_from(*last).unwrap_or(usize::MAX).min(record_bytes);
                let end = begin + (last / CHUNK_BYTES + 1) * CHUNK_BYTES;
                u32::try_from(end.div_ceil(UNIT_BYTES)).map_or(record_units, |units| units.min(record_units))
            }
            ReadPurpose::Head(_) | ReadPurpose::Probe(_) => 1,
            ReadPurpose::Get(..) | ReadPurpose::Compare(_) | ReadPurpose::List(_) | ReadPurpose::Zone(..) => {
                record_units
            }
        }
    }
}

/// The reads in flight, and those that wait for a place among them.
pub(crate) struct Reads {
    pub(crate) slots: Vec<Option<Read>>,
    /// Slots in which nothing is.
    pub(crate) free: Vec<usize>,
    pub(crate) waiting: Schedule<Read>,
}

impl Reads {
    /// Room for `in_flight_max` reads in flight and `waiting_max` that wait.
    pub(crate) fn new(in_flight_max: usize, waiting_max: usize) -> Self {
        Self {
            slots: (0..in_flight_max).map(|_| None).collect(),
            free: (0..in_flight_max).collect(),
            waiting: Schedule::new(&Limits::new(in_flight_max, waiting_max)),
        }
    }

    /// Whether nothing that a client awaits is being read or waits.
    pub(crate) fn is_idle(&self) -> bool {
        let own = |read: &Read| matches!(read.purpose, ReadPurpose::Zone(..));
        let clients = [Work::Foreground, Work::Repair, Work::Background];
        self.slots.iter().flatten().all(own) && clients.iter().all(|work| self.waiting.waiting(*work) == 0)
    }

    /// Whether the device is reading nothing.
    pub(crate) fn is_settled(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// The memory of the slots and queues, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let slots =
            self.slots.capacity() * size_of::<Option<Read>>() + self.free.capacity() * size_of::<usize>();
        slots as u64 + self.waiting.memory_bytes()
    }
}
