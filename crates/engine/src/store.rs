//! A mounted drive: everything that its engine knows, and the beginning of every request.
//!
//! One thread owns a store. Its parts: [`crate::reading`] finds and checks records, [`crate::writing`] forms groups,
//! [`crate::sealing`] changes zones, [`crate::committing`] makes groups durable, [`crate::listing`] walks the zones.
//!
//! Invariants:
//!
//! * A record is visible once the flush that followed its commit has completed, and not before: visible are records
//!   below their zone's `good_units`.
//! * A key in `busy` has one put or delete under way; others for it wait in `deferred` until a group is done.
//! * Once a write or a flush has failed, nothing more is written.

use std::collections::{HashSet, VecDeque};

use imbrex_format::{Key, Label, UNIT_BYTES, record_units};
use imbrex_zoned::{Completion, Device, DeviceError, Token};

use crate::command::Command;
use crate::damage::DamageList;
use crate::group::{Group, PendingDelete, PendingPut};
use crate::index::Index;
use crate::log::OpenZone;
use crate::mount::Mounted;
use crate::reading::{ReadPurpose, Reads};
use crate::request::{EngineError, State, Stats};
use crate::reserve::Reserve;
use crate::zone_table::ZoneTable;

/// The kind of an operation in flight, in the high bits of its token; the low bits are its slot.
pub(crate) const TOKEN_READ: u64 = 0;
pub(crate) const TOKEN_WRITE: u64 = 1 << 32;
pub(crate) const TOKEN_FLUSH: u64 = 2 << 32;
pub(crate) const TOKEN_BARRIER: u64 = 3 << 32;

/// See the module.
pub(crate) struct Store {
    pub(crate) label: Label,
    pub(crate) index: Index,
    pub(crate) zones: ZoneTable,
    pub(crate) open: Option<OpenZone>,
    pub(crate) next_sequence: u64,
    pub(crate) next_group: u64,
    pub(crate) live_units: u64,
    pub(crate) dead_units: u64,
    pub(crate) reserve: Reserve,
    pub(crate) reads: Reads,
    pub(crate) pending_puts: VecDeque<PendingPut>,
    pub(crate) pending_deletes: VecDeque<PendingDelete>,
    pub(crate) writing: Option<Group>,
    pub(crate) flushing: Option<Group>,
    /// Writes and flushes that the device has not finished, those of abandoned groups included.
    pub(crate) log_in_flight: u32,
    pub(crate) busy: HashSet<Key>,
    pub(crate) deferred: VecDeque<Command>,
    /// Whether a key has left `busy` since the deferred requests were last begun again.
    pub(crate) key_released: bool,
    pub(crate) damage: DamageList,
    /// Committed records that mounting could not read; their keys are not known.
    pub(crate) lost_records: u64,
    pub(crate) stats: Stats,
    /// What ended writing, once something has.
    pub(crate) fault: Option<State>,
    /// The engine's clock, read once a turn.
    pub(crate) now_us: u64,
    pub(crate) unix_s: u64,
}

impl Store {
    /// Takes over a drive that has been mounted. `None` where the pool has no room for the log's reserve.
    pub(crate) fn new(mounted: Mounted, device: &dyn Device, requests_max: usize) -> Option<Self> {
        let capacity_units = mounted.zones.iter().map(|(_, zone)| zone.capacity_units).max().unwrap_or(0);
        let live_units = mounted.zones.iter().map(|(_, zone)| u64::from(zone.live_units)).sum();
        // Two operations in flight are the log's: a write and a flush.
        let reads_max = device.in_flight_max().saturating_sub(2).max(1);
        Some(Self {
            reserve: Reserve::new(device.pool(), capacity_units)?,
            reads: Reads::new(reads_max, requests_max),
            label: mounted.label,
            index: mounted.index,
            zones: mounted.zones,
            open: mounted.open,
            next_sequence: mounted.next_sequence,
            next_group: mounted.next_group,
            live_units,
            dead_units: mounted.dead_units,
            pending_puts: VecDeque::with_capacity(requests_max),
            pending_deletes: VecDeque::with_capacity(requests_max),
            writing: None,
            flushing: None,
            log_in_flight: 0,
            busy: HashSet::with_capacity(requests_max),
            deferred: VecDeque::with_capacity(requests_max),
            key_released: false,
            damage: DamageList::default(),
            lost_records: mounted.lost_records,
            stats: Stats::default(),
            fault: None,
            now_us: 0,
            unix_s: 0,
        })
    }

    /// Begins a request.
    pub(crate) fn accept(&mut self, device: &mut dyn Device, command: Command) {
        match command {
            Command::Put(request, reply) => {
                if let Some(refusal) = self.put_refusal(request.payload_bytes, request.buffer.len()) {
                    return reply.send(Err(refusal));
                }
                if self.busy.contains(&request.key) {
                    return self.deferred.push_back(Command::Put(request, reply));
                }
                let (key, payload_bytes) = (request.key, request.payload_bytes);
                self.busy.insert(key);
                let put = PendingPut { key, buffer: request.buffer, payload_bytes, replaced: None, reply };
                self.read(device, key, ReadPurpose::Compare(put));
            }
            Command::Delete(key, reply) => {
                if let Some(refusal) = self.write_refusal() {
                    return reply.send(Err(refusal));
                }
                if self.busy.contains(&key) {
                    return self.deferred.push_back(Command::Delete(key, reply));
                }
                self.busy.insert(key);
                self.read(device, key, ReadPurpose::Probe(reply));
            }
            Command::Get(key, range, reply) => self.read(device, key, ReadPurpose::Get(range, reply)),
            Command::Head(key, reply) => self.read(device, key, ReadPurpose::Head(reply)),
            Command::List(request, reply) => self.list(device, request, reply),
            Command::Zones(reply) => reply.send(Ok(self.zones.statuses())),
            Command::Damage(reply) => reply.send(Ok(self.damage.list())),
            Command::Format(_, _) | Command::Stop(_) => {
                command.refuse(EngineError::Invalid {
                    reason: "an order to the drive is no request to its log".into(),
                });
            }
        }
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

    /// Does what can be begun: reads that wait, the next write, the next flush, the next group.
    pub(crate) fn pump(&mut self, device: &mut dyn Device) {
        if std::mem::take(&mut self.key_released) {
            self.retry_deferred(device);
        }
        self.pump_reads(device);
        self.pump_writes(device);
    }

    /// Takes the end of an operation.
    pub(crate) fn complete(&mut self, device: &mut dyn Device, completion: Completion) {
        let Completion { token: Token(token), result, buffer } = completion;
        let kind = token & !(TOKEN_WRITE - 1);
        if kind != TOKEN_READ {
            self.log_in_flight = self.log_in_flight.saturating_sub(1);
        }
        match kind {
            TOKEN_WRITE | TOKEN_BARRIER => self.write_done(device, result, buffer),
            TOKEN_FLUSH => self.flush_done(device, result),
            _ => self.read_done(device, token, result, buffer),
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.reads.is_idle()
            && self.pending_puts.is_empty()
            && self.pending_deletes.is_empty()
            && self.writing.is_none()
            && self.flushing.is_none()
            && self.log_in_flight == 0
            && self.deferred.is_empty()
    }

    /// Ends the put or delete under way for a key.
    pub(crate) fn release(&mut self, key: &Key) {
        self.key_released |= self.busy.remove(key);
    }

    /// Begins again the requests that waited for a key.
    fn retry_deferred(&mut self, device: &mut dyn Device) {
        for _ in 0..self.deferred.len() {
            let Some(command) = self.deferred.pop_front() else { return };
            self.accept(device, command);
        }
    }

    /// What a write or flush error means: the drive takes no more writes, because how far its zones are good is no
    /// longer known; what was acknowledged is still read. A drive that is gone gives nothing at all.
    pub(crate) fn write_failed(&mut self, error: &DeviceError) {
        if matches!(self.fault, Some(State::Failed { .. })) {
            // Every request to a drive that is gone ends here; it is told once.
            return self.abandon_writes();
        }
        let reason = format!("a write was not completed: {error}");
        let state = match error {
            DeviceError::Gone => State::Failed { reason: error.to_string() },
            _ => State::ReadOnly { reason },
        };
        tracing::error!(%error, "nothing more is written to the drive");
        self.fault = Some(state);
        self.abandon_writes();
    }

    /// Bytes in which records can still be written.
    pub(crate) fn free_bytes(&self) -> u64 {
        let open = self
            .open
            .as_ref()
            .map_or(0, |open| u64::from(open.room_units(1, self.zones.get(open.zone).capacity_units)));
        (self.zones.free_units() + open) * UNIT_BYTES as u64
    }
}
