//! The beginning of every request: what is refused at once, and what waits for another request's key.
//!
//! Invariants:
//!
//! * A key has one put, deletion or move under way. What else is asked of it waits, up to its own deadline; there are
//!   never more such than requests that the engine takes.
//! * What has waited keeps the deadline that it came with.

use imbrex_format::{Key, UNIT_BYTES, record_units};
use imbrex_zoned::Device;

use crate::command::Command;
use crate::log::Stream;
use crate::pending::{PendingPut, PutOrigin};
use crate::reads::{Read, ReadPurpose};
use crate::request::{Class, EngineError};
use crate::schedule::Work;
use crate::store::Store;

/// A put or a deletion that waits for its key.
pub(crate) struct Deferred {
    command: Command,
    deadline_us: u64,
}

impl Store {
    /// Begins a request that has just come.
    pub(crate) fn accept(&mut self, device: &mut dyn Device, command: Command) {
        let deadline_us = self.now_us.saturating_add(self.deadline_us);
        self.begin(device, command, deadline_us);
    }

    fn begin(&mut self, device: &mut dyn Device, command: Command, deadline_us: u64) {
        match command {
            Command::Put(request, reply) => {
                if let Some(refusal) = self.put_refusal(request.payload_bytes, request.buffer.len()) {
                    return reply.send(Err(refusal));
                }
                if self.busy.contains(&request.key) {
                    return self.defer(Command::Put(request, reply), deadline_us);
                }
                let (key, payload_bytes, class) = (request.key, request.payload_bytes, request.class);
                self.busy.insert(key);
                let put = PendingPut {
                    key,
                    buffer: request.buffer,
                    payload_bytes,
                    birth: None,
                    kills: Vec::new(),
                    stream: self.open.serving(Stream::of(request.lifetime)),
                    origin: PutOrigin::Client { reply, class, deadline_us },
                };
                self.search(device, key, ReadPurpose::Compare(put), class, deadline_us);
            }
            Command::Delete(key, class, reply) => {
                if let Some(refusal) = self.write_refusal() {
                    return reply.send(Err(refusal));
                }
                if self.busy.contains(&key) {
                    return self.defer(Command::Delete(key, class, reply), deadline_us);
                }
                self.busy.insert(key);
                self.search(device, key, ReadPurpose::Probe(reply), class, deadline_us);
            }
            Command::Get(key, range, class, reply) => {
                self.search(device, key, ReadPurpose::Get(range, reply), class, deadline_us);
            }
            Command::Head(key, class, reply) => {
                self.search(device, key, ReadPurpose::Head(reply), class, deadline_us);
            }
            Command::List(request, reply) => self.list(device, request, deadline_us, reply),
            Command::Zones(reply) => reply.send(Ok(self.zones.statuses())),
            Command::Damage(reply) => reply.send(Ok(self.damage.list())),
            Command::Scrub(begin, reply) => {
                if begin {
                    self.begin_scrub_pass();
                }
                reply.send(Ok(self.scrub_status()));
            }
            Command::Quiet(for_us, reply) => reply.send(self.be_quiet(for_us)),
            Command::Format(_, _) | Command::Stop(_) => {
                command.refuse(EngineError::Invalid {
                    reason: "an order to the drive is no request to its log".into(),
                });
            }
        }
    }

    fn search(
        &mut self,
        device: &mut dyn Device,
        key: Key,
        purpose: ReadPurpose,
        class: Class,
        deadline_us: u64,
    ) {
        self.read(device, Read::of_key(key, purpose, Work::from(class), deadline_us));
    }

    /// Why nothing can be written, if so.
    fn write_refusal(&self) -> Option<EngineError> {
        self.fault.clone().map(|state| EngineError::Unavailable { state })
    }

    fn put_refusal(&self, payload_bytes: u32, buffer_bytes: usize) -> Option<EngineError> {
        if let Some(refusal) = self.write_refusal() {
            return Some(refusal);
        }
        let payload_bytes_max = self.label.payload_bytes_max;
        if payload_bytes > payload_bytes_max {
            return Some(EngineError::TooLarge { payload_bytes_max });
        }
        let wanted_bytes = record_units(payload_bytes as usize) as usize * UNIT_BYTES;
        (buffer_bytes != wanted_bytes).then(|| EngineError::Invalid {
            reason: format!(
                "a buffer of {wanted_bytes} bytes belongs to this payload, not one of {buffer_bytes}"
            ),
        })
    }

    fn defer(&mut self, command: Command, deadline_us: u64) {
        self.deferred.push_back(Deferred { command, deadline_us });
    }

    /// Ends the put, deletion or move under way for a key.
    pub(crate) fn release(&mut self, key: &Key) {
        self.key_released |= self.busy.remove(key);
        self.reclaim_left_zones();
    }

    /// Begins again what waited for a key that is free now, and refuses what has waited too long.
    pub(crate) fn pump_deferred(&mut self, device: &mut dyn Device) {
        let is_key_free = std::mem::take(&mut self.key_released);
        let is_late = self.deferred_due_us().is_some_and(|due_us| due_us <= self.now_us);
        if !is_key_free && !is_late {
            return;
        }
        for _ in 0..self.deferred.len() {
            let Some(Deferred { command, deadline_us }) = self.deferred.pop_front() else { return };
            if deadline_us <= self.now_us {
                self.stats.refused_overloaded += 1;
                let what = "another request for the same key was not done in time";
                command.refuse(EngineError::Overloaded { what });
            } else {
                self.begin(device, command, deadline_us);
            }
        }
    }

    /// When the first of what waits for a key has waited too long.
    pub(crate) fn deferred_due_us(&self) -> Option<u64> {
        // They stand in the order in which they came, and all have the same time.
        self.deferred.front().map(|deferred| deferred.deadline_us)
    }
}
