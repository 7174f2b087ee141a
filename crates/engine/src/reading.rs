//! Finding a record and checking it: every request that names a key begins here.
//!
//! The index gives candidates. Each is read at once in the length that the request needs, and the key in its header
//! decides: nearly always the first candidate is the block, and one read of the device is all.
//!
//! What fails its checks is never given out: the answer is an error, and the record is listed as damaged.

use std::collections::VecDeque;
use std::ops::Range;

use imbrex_format::{CHUNK_BYTES, Key, RecordHeader, UNIT_BYTES, ZoneScope, payload_offset};
use imbrex_zoned::{Buffer, Device, DeviceError, Token};

use crate::command::Reply;
use crate::group::{PendingDelete, PendingPut};
use crate::index::Candidates;
use crate::listing::Listing;
use crate::location::Location;
use crate::request::{Block, BlockHead, DamageKind, EngineError, PutOutcome, RangeRequest};
use crate::store::{Store, TOKEN_READ};

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
}

/// A search for one key's record.
pub(crate) struct Read {
    pub(crate) key: Key,
    pub(crate) purpose: ReadPurpose,
    /// What is being read.
    pub(crate) location: Location,
    pub(crate) candidates: Candidates,
    /// A candidate that could not be read or checked: very likely the key's own.
    pub(crate) damaged: Option<(Location, EngineError)>,
}

/// The reads in flight, and those that wait for a place among them.
pub(crate) struct Reads {
    slots: Vec<Option<Read>>,
    free: Vec<usize>,
    waiting: VecDeque<Read>,
}

impl Reads {
    /// Room for `in_flight_max` reads in flight and `waiting_max` that wait.
    pub(crate) fn new(in_flight_max: usize, waiting_max: usize) -> Self {
        Self {
            slots: (0..in_flight_max).map(|_| None).collect(),
            free: (0..in_flight_max).collect(),
            waiting: VecDeque::with_capacity(waiting_max),
        }
    }

    /// Whether nothing is being read and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.free.len() == self.slots.len() && self.waiting.is_empty()
    }
}

impl Store {
    /// Begins the search for a key's record.
    pub(crate) fn read(&mut self, device: &mut dyn Device, key: Key, purpose: ReadPurpose) {
        let mut candidates = self.index.candidates(self.index.hash(&key));
        candidates.retain(|location| self.zones.is_acknowledged(location));
        let location = Location { zone: 0, unit_offset: 0, unit_count: 0 };
        self.next_candidate(device, Read { key, purpose, location, candidates, damaged: None });
    }

    fn next_candidate(&mut self, device: &mut dyn Device, mut read: Read) {
        match read.candidates.pop() {
            Some(location) => {
                read.location = location;
                self.enqueue_read(device, read);
            }
            None => self.not_found(read),
        }
    }

    /// Reads `read.location`, now or when there is room.
    pub(crate) fn enqueue_read(&mut self, device: &mut dyn Device, read: Read) {
        self.reads.waiting.push_back(read);
        self.pump_reads(device);
    }

    /// Submits the reads that wait, as far as there is room for them.
    pub(crate) fn pump_reads(&mut self, device: &mut dyn Device) {
        while !self.reads.free.is_empty() {
            let Some(read) = self.reads.waiting.pop_front() else { return };
            if read.is_abandoned() {
                self.stats.cancelled += 1;
                // Nobody hears the answer; the key is free again.
                self.refuse_read(read, EngineError::NotFound);
                continue;
            }
            self.submit_read(device, read);
        }
    }

    fn submit_read(&mut self, device: &mut dyn Device, read: Read) {
        let Some(slot) = self.reads.free.pop() else { return self.reads.waiting.push_front(read) };
        let length_bytes = read.wanted_units() as usize * UNIT_BYTES;
        let Some(buffer) = device.pool().try_allocate(length_bytes) else {
            self.reads.free.push(slot);
            self.stats.refused_overloaded += 1;
            return self.refuse_read(read, EngineError::Overloaded { what: "no memory is free for a read" });
        };
        let offset_bytes = device.geometry().zone_start_bytes(read.location.zone)
            + u64::from(read.location.unit_offset) * UNIT_BYTES as u64;
        match device.submit_read(Token(TOKEN_READ | slot as u64), offset_bytes, buffer, length_bytes) {
            Ok(()) => {
                self.stats.device_reads += 1;
                self.stats.device_read_bytes += length_bytes as u64;
                self.reads.slots[slot] = Some(read);
            }
            Err((error, _)) => {
                self.reads.free.push(slot);
                self.refuse_read(read, EngineError::Medium { detail: error.to_string() });
            }
        }
    }

    /// Takes the end of a read.
    pub(crate) fn read_done(
        &mut self,
        device: &mut dyn Device,
        token: u64,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        let slot = usize::try_from(token & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        let Some(read) = self.reads.slots.get_mut(slot).and_then(Option::take) else { return };
        self.reads.free.push(slot);
        match (result, buffer) {
            (Ok(()), Some(buffer)) if matches!(read.purpose, ReadPurpose::List(_)) => {
                self.listed(device, read, Ok(buffer));
            }
            (Ok(()), Some(buffer)) => self.read_ok(device, read, buffer),
            (Ok(()), None) => {
                let detail = "the device kept the buffer of a read".to_string();
                self.refuse_read(read, EngineError::Medium { detail });
            }
            (Err(error), _) => self.read_failed(device, read, &error),
        }
        self.pump_reads(device);
    }

    fn read_failed(&mut self, device: &mut dyn Device, mut read: Read, error: &DeviceError) {
        self.stats.read_errors += 1;
        if *error == DeviceError::Gone {
            self.write_failed(error);
            let state = self.fault.clone().unwrap_or(crate::request::State::Mounting);
            return self.refuse_read(read, EngineError::Unavailable { state });
        }
        if matches!(read.purpose, ReadPurpose::List(_)) {
            return self.listed(device, read, Err(error.clone()));
        }
        if !matches!(error, DeviceError::MediumRead { .. }) {
            // An error that is not the medium's says nothing about the record: it is not given up for it.
            return self.refuse_read(read, EngineError::Medium { detail: error.to_string() });
        }
        self.damage.note(read.key, read.location, DamageKind::Medium, self.now_us);
        read.damaged = Some((read.location, EngineError::Medium { detail: error.to_string() }));
        self.next_candidate(device, read);
    }

    /// What a checksum failure means: the record is listed, and the search goes on, for the damaged candidate may
    /// have been another key's.
    fn read_corrupt(&mut self, device: &mut dyn Device, mut read: Read, what: &dyn std::fmt::Display) {
        self.stats.checksum_failures += 1;
        self.damage.note(read.key, read.location, DamageKind::Checksum, self.now_us);
        let Location { zone, unit_offset, .. } = read.location;
        let detail = format!("zone {zone}, unit {unit_offset}: {what}");
        tracing::warn!(key = %read.key, detail, "a block is damaged");
        read.damaged = Some((read.location, EngineError::Corrupt { detail }));
        self.next_candidate(device, read);
    }

    fn read_ok(&mut self, device: &mut dyn Device, read: Read, buffer: Buffer) {
        let incarnation = self.zones.get(read.location.zone).incarnation;
        let scope = ZoneScope::new(&self.label, read.location.zone, incarnation);
        let header = match imbrex_format::decode_record_header(&buffer, &scope, read.location.unit_offset) {
            Ok(header) => header,
            Err(error) => return self.read_corrupt(device, read, &error),
        };
        if header.key != read.key {
            self.stats.index_false_matches += 1;
            return self.next_candidate(device, read);
        }
        self.found(device, read, &header, buffer);
    }

    /// The record is the key's: what each request makes of it.
    fn found(&mut self, device: &mut dyn Device, read: Read, header: &RecordHeader, buffer: Buffer) {
        let needed = match &read.purpose {
            ReadPurpose::Get(range, _) => resolve_range(*range, header.payload_bytes),
            ReadPurpose::Compare(_) => Some(0..header.payload_bytes as usize),
            _ => Some(0..0),
        };
        let Some(needed) = needed else {
            let payload_bytes = header.payload_bytes;
            return self.refuse_read(read, EngineError::RangeNotSatisfiable { payload_bytes });
        };
        if let Err(error) = imbrex_format::check_payload(&buffer, header, needed.clone()) {
            return self.read_corrupt(device, read, &error);
        }
        let Read { key, purpose, location, .. } = read;
        if matches!(purpose, ReadPurpose::Get(RangeRequest::Whole, _) | ReadPurpose::Compare(_)) {
            // It was read well, all of it: what was seen of it before has passed.
            self.damage.forget(location);
        }
        match purpose {
            ReadPurpose::Get(_, reply) => reply.send(Ok(self.block(header, needed, buffer))),
            ReadPurpose::Head(reply) => {
                reply.send(Ok(BlockHead { payload_bytes: header.payload_bytes, birth: header.birth }));
            }
            ReadPurpose::Compare(put) => self.compared(put, header, &buffer),
            ReadPurpose::Probe(reply) => {
                self.pending_deletes.push_back(PendingDelete { key, location, birth: header.birth, reply });
            }
            ReadPurpose::List(_) => {}
        }
    }

    fn block(&mut self, header: &RecordHeader, range: Range<usize>, buffer: Buffer) -> Block {
        let offset = payload_offset(header.payload_bytes as usize);
        self.stats.gets += 1;
        self.stats.payload_read_bytes += range.len() as u64;
        Block {
            buffer,
            payload: offset + range.start..offset + range.end,
            range: range.start as u64..range.end as u64,
            payload_bytes: header.payload_bytes,
            birth: header.birth,
        }
    }

    /// A put whose key is there: the same bytes are stored already, others are a conflict.
    fn compared(&mut self, put: PendingPut, header: &RecordHeader, stored: &Buffer) {
        let same = header.payload_bytes == put.payload_bytes && {
            let offset = payload_offset(put.payload_bytes as usize);
            let payload = offset..offset + put.payload_bytes as usize;
            stored[payload.clone()] == put.buffer[payload]
        };
        self.release(&put.key);
        if same {
            self.stats.puts_already_stored += 1;
            put.reply.send(Ok(PutOutcome::AlreadyStored));
        } else {
            put.reply.send(Err(EngineError::Conflict));
        }
    }

    /// No candidate is the key's own, or the one that likely was is damaged.
    fn not_found(&mut self, read: Read) {
        let Read { key, purpose, damaged, .. } = read;
        match (purpose, damaged) {
            // A block that cannot be given back is replaced by the copy that has just come.
            (ReadPurpose::Compare(mut put), damaged) => {
                put.replaced = damaged.map(|(location, _)| location);
                self.pending_puts.push_back(put);
            }
            (ReadPurpose::Probe(reply), Some((location, _))) => {
                self.pending_deletes.push_back(PendingDelete { key, location, birth: 0, reply });
            }
            (purpose, damaged) => {
                if damaged.is_none() {
                    self.stats.gets_absent += 1;
                }
                let error = damaged.map_or(EngineError::NotFound, |(_, error)| error);
                let location = Location { zone: 0, unit_offset: 0, unit_count: 0 };
                self.refuse_read(
                    Read { key, purpose, location, candidates: Candidates::default(), damaged: None },
                    error,
                );
            }
        }
    }

    fn refuse_read(&mut self, read: Read, error: EngineError) {
        match read.purpose {
            ReadPurpose::Get(_, reply) => reply.send(Err(error)),
            ReadPurpose::Head(reply) => reply.send(Err(error)),
            ReadPurpose::Compare(put) => {
                self.release(&put.key);
                put.reply.send(Err(error));
            }
            ReadPurpose::Probe(reply) => {
                self.release(&read.key);
                reply.send(Err(error));
            }
            ReadPurpose::List(listing) => listing.reply.send(Err(error)),
        }
    }
}

impl Read {
    fn is_abandoned(&self) -> bool {
        match &self.purpose {
            ReadPurpose::Get(_, reply) => reply.is_abandoned(),
            ReadPurpose::Head(reply) => reply.is_abandoned(),
            ReadPurpose::Compare(put) => put.reply.is_abandoned(),
            ReadPurpose::Probe(reply) => reply.is_abandoned(),
            ReadPurpose::List(listing) => listing.reply.is_abandoned(),
        }
    }

    /// How much of the record the request needs, in units from its beginning.
    fn wanted_units(&self) -> u32 {
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
            ReadPurpose::Get(..) | ReadPurpose::Compare(_) | ReadPurpose::List(_) => record_units,
        }
    }
}

/// The bytes of the payload that a range means; `None` where it begins beyond the end.
fn resolve_range(range: RangeRequest, payload_bytes: u32) -> Option<Range<usize>> {
    let length = u64::from(payload_bytes);
    let (begin, end) = match range {
        RangeRequest::Whole => (0, length),
        RangeRequest::From { first, .. } if first >= length => return None,
        RangeRequest::From { first, last } => {
            (first, last.map_or(length, |last| length.min(last.saturating_add(1))).max(first))
        }
        RangeRequest::Suffix { length_bytes: 0 } => return None,
        RangeRequest::Suffix { length_bytes } => (length.saturating_sub(length_bytes), length),
    };
    Some(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
}
