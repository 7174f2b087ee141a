//! Writing a group, making it durable, and telling everyone who waited for it.

use imbrex_format::{Key, UNIT_BYTES};
use imbrex_zoned::{Buffer, Device, DeviceError, Token};

use crate::group::{InFlight, Member, Write};
use crate::location::Location;
use crate::request::{EngineError, PutOutcome, State};
use crate::reserve::Purpose;
use crate::store::{Store, TOKEN_BARRIER, TOKEN_FLUSH, TOKEN_WRITE};

impl Store {
    pub(crate) fn submit_write(&mut self, device: &mut dyn Device) {
        let Some(group) = self.writing.as_mut() else { return };
        if group.in_flight.is_some() {
            return;
        }
        let Some(write) = group.writes.pop_front() else { return };
        let (zone, unit, purpose, buffer) = match write {
            Write::Records { zone, unit, buffer } => (zone, unit, None, Some(buffer)),
            Write::Reserved { zone, unit, purpose, buffer } => (zone, unit, Some(purpose), Some(buffer)),
            Write::Zeros { zone, unit, unit_count } => {
                let purpose = Purpose::Zeros;
                (zone, unit, Some(purpose), self.reserve.take(purpose, unit_count as usize))
            }
            Write::Barrier => {
                group.in_flight = Some(InFlight::Barrier);
                return match device.submit_flush(Token(TOKEN_BARRIER)) {
                    Ok(()) => self.log_in_flight += 1,
                    Err(error) => self.write_failed(&error),
                };
            }
        };
        let Some(buffer) = buffer else {
            return self
                .write_failed(&DeviceError::Unknown { what: "a buffer that did not come back".into() });
        };
        let unit_count = u32::try_from(buffer.len() / UNIT_BYTES).unwrap_or(u32::MAX);
        group.in_flight = Some(InFlight::Write { purpose, zone, end_unit: unit + unit_count });
        let offset_bytes = device.geometry().zone_start_bytes(zone) + u64::from(unit) * UNIT_BYTES as u64;
        self.stats.device_writes += 1;
        self.stats.device_written_bytes += buffer.len() as u64;
        match device.submit_write(Token(TOKEN_WRITE), offset_bytes, buffer) {
            Ok(()) => self.log_in_flight += 1,
            Err((error, _)) => self.write_failed(&error),
        }
    }

    /// Takes the end of a write, or of a barrier.
    pub(crate) fn write_done(
        &mut self,
        device: &mut dyn Device,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        let Some(in_flight) = self.writing.as_mut().and_then(|group| group.in_flight.take()) else { return };
        if let (InFlight::Write { purpose: Some(purpose), .. }, Some(buffer)) = (&in_flight, buffer) {
            self.reserve.give_back(*purpose, buffer);
        }
        if let Err(error) = result {
            let errors = match in_flight {
                InFlight::Barrier => &mut self.stats.flush_errors,
                InFlight::Write { .. } => &mut self.stats.write_errors,
            };
            *errors += 1;
            return self.write_failed(&error);
        }
        match in_flight {
            InFlight::Barrier => self.stats.flushes += 1,
            InFlight::Write { zone, end_unit, .. } => self.zones.written(zone, end_unit),
        }
        self.submit_write(device);
        self.begin_flush(device);
    }

    /// Flushes the group that has been written, once the one before it is through.
    pub(crate) fn begin_flush(&mut self, device: &mut dyn Device) {
        let written =
            self.writing.as_ref().is_some_and(|group| group.writes.is_empty() && group.in_flight.is_none());
        if !written || self.flushing.is_some() || self.fault.is_some() {
            return;
        }
        self.flushing = self.writing.take();
        match device.submit_flush(Token(TOKEN_FLUSH)) {
            Ok(()) => self.log_in_flight += 1,
            Err(error) => return self.write_failed(&error),
        }
        self.pump_writes(device);
    }

    /// Takes the end of a flush: the group is durable, and everyone who waited for it is told.
    pub(crate) fn flush_done(&mut self, device: &mut dyn Device, result: Result<(), DeviceError>) {
        let Some(group) = self.flushing.take() else { return };
        if let Err(error) = result {
            self.stats.flush_errors += 1;
            self.flushing = Some(group);
            return self.write_failed(&error);
        }
        self.stats.flushes += 1;
        self.stats.groups += 1;
        self.zones.get_mut(group.zone).good_units = group.end_unit;
        for member in group.members {
            self.committed(member);
        }
        self.pump_writes(device);
    }

    fn committed(&mut self, member: Member) {
        match member {
            Member::Put { key, location, payload_bytes, replaced, reply } => {
                self.zones.get_mut(location.zone).live_units += location.unit_count;
                self.live_units += u64::from(location.unit_count);
                if let Some(replaced) = replaced {
                    self.kill(&key, replaced);
                }
                self.stats.puts += 1;
                self.stats.payload_written_bytes += u64::from(payload_bytes);
                self.release(&key);
                reply.send(Ok(PutOutcome::Stored));
            }
            Member::Delete { key, location, reply } => {
                self.kill(&key, location);
                self.stats.deletes += 1;
                self.release(&key);
                reply.send(Ok(()));
            }
        }
    }

    /// Takes a record out of the index: its tombstone is durable.
    fn kill(&mut self, key: &Key, location: Location) {
        if self.index.remove(self.index.hash(key), location) {
            self.zones.get_mut(location.zone).live_units -= location.unit_count;
            self.live_units -= u64::from(location.unit_count);
            self.dead_units += u64::from(location.unit_count);
        }
        self.damage.forget(location);
    }

    /// Answers everyone who waits for a write that will not come.
    pub(crate) fn abandon_writes(&mut self) {
        let state = self.fault.clone().unwrap_or(State::ReadOnly { reason: "a write failed".into() });
        let error = EngineError::Unavailable { state };
        let groups = [self.flushing.take(), self.writing.take()];
        for member in groups.into_iter().flatten().flat_map(|group| group.members) {
            match member {
                Member::Put { key, location, reply, .. } => {
                    self.index.remove(self.index.hash(&key), location);
                    reply.send(Err(error.clone()));
                }
                Member::Delete { reply, .. } => reply.send(Err(error.clone())),
            }
        }
        self.pending_puts.drain(..).for_each(|put| put.reply.send(Err(error.clone())));
        self.pending_deletes.drain(..).for_each(|delete| delete.reply.send(Err(error.clone())));
        self.busy.clear();
        self.key_released = true;
    }
}
