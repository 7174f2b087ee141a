//! Finding a record and checking it: every request that names a key begins here.
//!
//! The index gives candidates. Each is read at once in the length that the request needs, and the key in its header
//! decides: nearly always the first candidate is the block, and one read of the device is all.
//!
//! What fails its checks is never given out: the answer is an error, and the record is listed as damaged.
//!
//! A record can be moved while it is looked for. So where a search ends with nothing, or with damage, and places have
//! changed since it began, it begins again: a block is absent only if it was absent at one instant.

use std::ops::Range;

use imbrex_format::{Key, RecordHeader, UNIT_BYTES, ZoneScope, payload_offset};
use imbrex_zoned::{Buffer, Device, DeviceError, Token};

use crate::command::Reply;
use crate::location::Location;
use crate::log::Stream;
use crate::mutation::{Mutation, is};
use crate::pending::{Kill, PendingDelete, PendingPut};
use crate::reads::{Read, ReadPurpose, ZoneReader};
use crate::request::{Block, BlockHead, DamageKind, EngineError, PutOutcome, RangeRequest};
use crate::schedule::SEEK_UNITS;
use crate::store::{Store, TOKEN_READ};

/// How often a search begins again because places have changed.
const SEARCHES_MAX: u8 = 16;

impl Store {
    /// Begins the search for a key's record.
    pub(crate) fn read(&mut self, device: &mut dyn Device, mut read: Read) {
        let mut candidates = self.index.candidates(self.index.hash(&read.key));
        candidates.retain(|location| self.zones.is_acknowledged(location));
        read.candidates = candidates;
        read.damaged = None;
        read.searches += 1;
        read.places_seen = self.places_changed;
        self.next_candidate(device, read);
    }

    fn next_candidate(&mut self, device: &mut dyn Device, mut read: Read) {
        match read.candidates.pop() {
            Some(location) => {
                read.location = location;
                self.enqueue_read(device, read);
            }
            None if read.places_seen != self.places_changed && read.searches < SEARCHES_MAX => {
                self.read(device, read);
            }
            None => self.not_found(read),
        }
    }

    /// Reads `read.location`, now or when it is its turn.
    pub(crate) fn enqueue_read(&mut self, device: &mut dyn Device, mut read: Read) {
        read.cost_units = read.wanted_units().saturating_add(SEEK_UNITS);
        let (work, cost, deadline_us) = (read.work, read.cost_units, read.deadline_us);
        if let Err(read) = self.reads.waiting.push(work, cost, deadline_us, read) {
            self.stats.refused_overloaded += 1;
            return self
                .refuse_read(read, EngineError::Overloaded { what: "its queue for the disk is full" });
        }
        self.pump_reads(device);
    }

    /// Submits the reads that wait, as far as there is room for them.
    pub(crate) fn pump_reads(&mut self, device: &mut dyn Device) {
        while let Some(read) = self.reads.waiting.take_expired(self.now_us) {
            self.stats.refused_overloaded += 1;
            let what = "the disk did not come to it in time";
            self.refuse_read(read, EngineError::Overloaded { what });
        }
        while !self.reads.free.is_empty() {
            let Some((work, read)) = self.reads.waiting.pop(self.now_us) else { return };
            if read.is_abandoned() {
                self.stats.cancelled += 1;
                self.reads.waiting.finished(work, read.cost_units);
                // Nobody hears the answer; the key is free again.
                self.refuse_read(read, EngineError::NotFound);
                continue;
            }
            self.submit_read(device, read);
        }
    }

    fn submit_read(&mut self, device: &mut dyn Device, mut read: Read) {
        let length_bytes = read.wanted_units() as usize * UNIT_BYTES;
        let own = match &mut read.purpose {
            ReadPurpose::Zone(_, buffer) => buffer.take(),
            _ => None,
        };
        let Some(buffer) = own.or_else(|| device.pool().try_allocate(length_bytes)) else {
            self.reads.waiting.finished(read.work, read.cost_units);
            self.stats.refused_overloaded += 1;
            let what = "no memory is free for a read";
            return self.refuse_read(read, EngineError::Overloaded { what });
        };
        let Some(slot) = self.reads.free.pop() else {
            self.reads.waiting.finished(read.work, read.cost_units);
            let what = "as many reads are in flight as the engine takes";
            return self.refuse_read(read, EngineError::Overloaded { what });
        };
        let zone = read.location.zone;
        let offset_bytes = device.geometry().zone_start_bytes(zone)
            + u64::from(read.location.unit_offset) * UNIT_BYTES as u64;
        match device.submit_read(Token(TOKEN_READ | slot as u64), offset_bytes, buffer, length_bytes) {
            Ok(()) => {
                self.count_read(&read, length_bytes as u64);
                self.zones.get_mut(zone).readers += 1;
                self.reads.slots[slot] = Some(read);
            }
            Err((error, buffer)) => {
                self.reads.free.push(slot);
                self.reads.waiting.finished(read.work, read.cost_units);
                if let ReadPurpose::Zone(_, own) = &mut read.purpose {
                    *own = Some(buffer);
                }
                self.refuse_read(read, EngineError::Medium { detail: error.to_string() });
            }
        }
    }

    fn count_read(&mut self, read: &Read, length_bytes: u64) {
        self.slowness.own_reads += u64::from(matches!(read.purpose, ReadPurpose::Zone(..)));
        match read.purpose {
            ReadPurpose::Zone(ZoneReader::Reclaim | ZoneReader::Inspection, _) => {
                self.stats.reclaim_read_bytes += length_bytes;
            }
            ReadPurpose::Zone(ZoneReader::Scrub, _) => self.stats.scrubbed_bytes += length_bytes,
            _ => {
                self.stats.device_reads += 1;
                self.stats.device_read_bytes += length_bytes;
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
        self.reads.waiting.finished(read.work, read.cost_units);
        let readers = &mut self.zones.get_mut(read.location.zone).readers;
        *readers = readers.saturating_sub(1);
        match (result, buffer) {
            (result, buffer) if matches!(read.purpose, ReadPurpose::Zone(..)) => {
                let ReadPurpose::Zone(reader, _) = read.purpose else { return };
                if result == Err(DeviceError::Gone) {
                    self.stop_writing(&DeviceError::Gone);
                }
                self.zone_read_done(device, reader, read.location, result, buffer);
            }
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
        self.stats.read_errors += u64::from(error.blames_drive());
        if *error == DeviceError::Gone {
            self.stop_writing(error);
            let state = self.fault.clone().unwrap_or(crate::request::State::Mounting);
            return self.refuse_read(read, EngineError::Unavailable { state });
        }
        if let DeviceError::ZoneCondition { zone, condition } = error {
            self.zone_changed(*zone, *condition);
        }
        if matches!(read.purpose, ReadPurpose::List(_)) {
            return self.listed(device, read, Err(error.clone()));
        }
        if !matches!(error, DeviceError::MediumRead { .. } | DeviceError::ZoneCondition { .. }) {
            // An error that is not the medium's says nothing about the record: it is not given up for it.
            return self.refuse_read(read, EngineError::Medium { detail: error.to_string() });
        }
        if !self.still_stands(&read) {
            return self.next_candidate(device, read);
        }
        self.record_damaged(read.key, read.location, DamageKind::Medium);
        read.damaged = Some((read.location, EngineError::Medium { detail: error.to_string() }));
        self.next_candidate(device, read);
    }

    /// What a checksum failure means: the record is listed, and the search goes on, for the damaged candidate may
    /// have been another key's.
    fn read_corrupt(&mut self, device: &mut dyn Device, mut read: Read, what: &dyn std::fmt::Display) {
        if !self.still_stands(&read) {
            return self.next_candidate(device, read);
        }
        self.stats.checksum_failures += 1;
        self.record_damaged(read.key, read.location, DamageKind::Checksum);
        let Location { zone, unit_offset, .. } = read.location;
        let detail = format!("zone {zone}, unit {unit_offset}: {what}");
        tracing::warn!(key = %read.key, detail, "a block is damaged");
        read.damaged = Some((read.location, EngineError::Corrupt { detail }));
        self.next_candidate(device, read);
    }

    /// Whether what was read is still where a record of the key may be: it may have been moved, and its zone reset, since
    /// the search began.
    fn still_stands(&self, read: &Read) -> bool {
        self.index.contains(self.index.hash(&read.key), read.location)
            && self.zones.is_acknowledged(read.location)
    }

    /// Lists a record as damaged; what else stands in its zone is to be moved away. Whether it is listed now and was not
    /// before.
    pub(crate) fn record_damaged(&mut self, key: Key, location: Location, kind: DamageKind) -> bool {
        let is_new = self.damage.note(key, location, kind, self.now_us);
        if is_new && self.zones.get(location.zone).is_lost_life {
            // The mount has counted it among those of which the keys are not known.
            self.lost_records = self.lost_records.saturating_sub(1);
        }
        self.zone_is_suspect(location.zone);
        is_new
    }

    fn read_ok(&mut self, device: &mut dyn Device, read: Read, buffer: Buffer) {
        let incarnation = self.zones.get(read.location.zone).incarnation;
        let scope = ZoneScope::new(&self.label, read.location.zone, incarnation);
        let header = match imbrex_format::decode_record_header(&buffer, &scope, read.location.unit_offset) {
            Ok(header) => header,
            Err(error) => return self.read_corrupt(device, read, &error),
        };
        if header.key != read.key && !is(Mutation::TagIsKey) {
            if !self.index.contains(self.index.hash(&header.key), read.location) {
                // The index has another block here. What stands here now is older than it: a write was lost.
                return self.read_corrupt(device, read, &"another block's record stands there");
            }
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
        if let Err(error) = imbrex_format::check_payload(&buffer, header, needed.clone())
            && !is(Mutation::SkipPayloadChecksum)
        {
            return self.read_corrupt(device, read, &error);
        }
        let Read { key, purpose, location, deadline_us, .. } = read;
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
                self.push_delete(key, location, header.birth, deadline_us, reply);
            }
            ReadPurpose::List(_) | ReadPurpose::Zone(..) => {}
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
        if same {
            self.stats.puts_already_stored += 1;
        }
        let answer = if same { Ok(PutOutcome::AlreadyStored) } else { Err(EngineError::Conflict) };
        self.release(&put.key);
        self.end_put(put.origin, answer);
    }

    /// A deletion whose record has been found goes to the next group.
    fn push_delete(&mut self, key: Key, location: Location, birth: u64, deadline_us: u64, reply: Reply<()>) {
        let kill = Kill { location, incarnation: self.zones.get(location.zone).incarnation, birth };
        let stream = self.open.serving(Stream::Hot);
        let reply = if is(Mutation::AcknowledgeDeletionEarly) { reply.answered_early() } else { reply };
        let delete = PendingDelete { key, kill, reply: Some(reply), is_owed: false, deadline_us };
        self.pending.push_delete(stream, delete);
    }

    /// No candidate is the key's own, or the one that likely was is damaged.
    fn not_found(&mut self, read: Read) {
        let Read { key, purpose, damaged, deadline_us, .. } = read;
        match (purpose, damaged) {
            // A block that cannot be given back is replaced by the copy that has just come.
            (ReadPurpose::Compare(mut put), damaged) => {
                put.kills.extend(damaged.map(|(location, _)| Kill {
                    location,
                    incarnation: self.zones.get(location.zone).incarnation,
                    birth: 0,
                }));
                self.pending.push_put(put);
            }
            (ReadPurpose::Probe(reply), Some((location, _))) => {
                self.push_delete(key, location, 0, deadline_us, reply);
            }
            (purpose, damaged) => {
                let error = damaged.map_or_else(|| self.absent(), |(_, error)| error);
                self.refuse_purpose(&key, purpose, error);
            }
        }
    }

    /// What is said of a key of which no record is found: that it is absent only where that is sure.
    fn absent(&mut self) -> EngineError {
        match self.zones.unknown_count() {
            0 => {
                self.stats.gets_absent += 1;
                EngineError::NotFound
            }
            zones => EngineError::Unknown { zones },
        }
    }

    fn refuse_read(&mut self, read: Read, error: EngineError) {
        match read.purpose {
            ReadPurpose::Zone(reader, buffer) => {
                self.zone_read_refused(reader, buffer);
            }
            purpose => self.refuse_purpose(&read.key, purpose, error),
        }
    }

    fn refuse_purpose(&mut self, key: &Key, purpose: ReadPurpose, error: EngineError) {
        match purpose {
            ReadPurpose::Get(_, reply) => reply.send(Err(error)),
            ReadPurpose::Head(reply) => reply.send(Err(error)),
            ReadPurpose::Compare(put) => self.refuse_put(put, error),
            ReadPurpose::Probe(reply) => {
                self.release(key);
                reply.send(Err(error));
            }
            ReadPurpose::List(listing) => Self::end_listing(*listing, error),
            ReadPurpose::Zone(..) => {}
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
