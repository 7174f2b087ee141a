//! Writing a group, making it durable, and telling everyone who waited for it.

use imbrex_format::{Key, UNIT_BYTES};
use imbrex_zoned::{Buffer, Device, DeviceError, Token};

use crate::group::{Group, InFlight, Member, Write};
use crate::location::Location;
use crate::mutation::{Mutation, is};
use crate::pending::{Kill, PutOrigin};
use crate::request::{EngineError, PutOutcome, State};
use crate::reserve::Purpose;
use crate::store::{Store, TOKEN_BARRIER, TOKEN_FLUSH, TOKEN_IS_FLUSH, TOKEN_WRITE};

impl Store {
    pub(crate) fn submit_write(&mut self, device: &mut dyn Device) {
        let Some(group) = self.writing.as_mut() else { return };
        let has_to_wait = group.awaits_flushes() && self.flushes_in_flight > 0;
        if group.in_flight.is_some() || group.failed || has_to_wait {
            return;
        }
        let Some(write) = group.writes.pop_front() else { return };
        group.is_behind_barrier = false;
        let (zone, unit, purpose, buffer) = match write {
            Write::Records { zone, unit, buffer } => (zone, unit, None, Some(buffer)),
            Write::Reserved { zone, unit, purpose, buffer } => (zone, unit, Some(purpose), Some(buffer)),
            Write::Zeros { zone, unit, unit_count } => {
                let purpose = Purpose::Zeros;
                (zone, unit, Some(purpose), self.reserve.take(purpose, unit_count as usize))
            }
            Write::Barrier { .. } => {
                group.in_flight = Some(InFlight::Barrier);
                return match self.order_flush(device, TOKEN_BARRIER) {
                    Ok(()) => self.log_in_flight += 1,
                    Err(error) => self.stop_writing(&error),
                };
            }
        };
        let Some(buffer) = buffer else {
            let what = "a buffer that did not come back".into();
            return self.stop_writing(&DeviceError::Unknown { what });
        };
        let unit_count = u32::try_from(buffer.len() / UNIT_BYTES).unwrap_or(u32::MAX);
        group.in_flight = Some(InFlight::Write { purpose, zone, unit, end_unit: unit + unit_count });
        let offset_bytes = device.geometry().zone_start_bytes(zone) + u64::from(unit) * UNIT_BYTES as u64;
        self.stats.device_writes += 1;
        self.stats.device_written_bytes += buffer.len() as u64;
        self.written_since_checkpoint_bytes += buffer.len() as u64;
        self.written_us = self.now_us;
        match device.submit_write(Token(TOKEN_WRITE), offset_bytes, buffer) {
            Ok(()) => self.log_in_flight += 1,
            Err((error, _)) => self.stop_writing(&error),
        }
    }

    /// Orders a flush, for the group or for whoever needs one. Commits may have to wait for its end.
    pub(crate) fn order_flush(&mut self, device: &mut dyn Device, token: u64) -> Result<(), DeviceError> {
        device.submit_flush(Token(token | TOKEN_IS_FLUSH))?;
        self.flushes_in_flight += 1;
        Ok(())
    }

    /// Takes the end of a write, or of a barrier.
    pub(crate) fn write_done(
        &mut self,
        device: &mut dyn Device,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        let Some(group) = self.writing.as_mut() else { return };
        let Some(in_flight) = group.in_flight.take() else { return };
        match (&in_flight, buffer) {
            (InFlight::Write { purpose: Some(purpose), .. }, Some(buffer)) => {
                self.reserve.give_back(*purpose, buffer);
            }
            (InFlight::Write { unit, .. }, Some(buffer)) => group.written.push((*unit, buffer)),
            _ => {}
        }
        match (in_flight, result) {
            (InFlight::Barrier, Ok(())) => {
                group.is_behind_barrier = true;
                self.stats.flushes += 1;
            }
            (InFlight::Write { zone, end_unit, .. }, Ok(())) => self.zones.written(zone, end_unit),
            (InFlight::Barrier, Err(error)) => {
                self.stats.flush_errors += 1;
                return self.flush_failed(device, &error, false);
            }
            (InFlight::Write { zone, .. }, Err(error)) => {
                self.stats.write_errors += u64::from(error.blames_drive());
                return self.write_failed(device, zone, &error);
            }
        }
        self.give_up_failed_group(device);
        self.submit_write(device);
        self.begin_flush(device);
    }

    /// Flushes the group that has been written, once the one before it is through.
    pub(crate) fn begin_flush(&mut self, device: &mut dyn Device) {
        let written = |group: &Group| group.writes.is_empty() && group.in_flight.is_none() && !group.failed;
        if !self.writing.as_ref().is_some_and(written) || self.flushing.is_some() || self.fault.is_some() {
            return;
        }
        self.flushing = self.writing.take();
        if is(Mutation::SkipFlush) {
            return self.flush_done(device, Ok(()));
        }
        match self.order_flush(device, TOKEN_FLUSH) {
            Ok(()) => self.log_in_flight += 1,
            Err(error) => return self.stop_writing(&error),
        }
        self.pump_writes(device);
    }

    /// Takes the end of a flush: the group is durable, and everyone who waited for it is told.
    pub(crate) fn flush_done(&mut self, device: &mut dyn Device, result: Result<(), DeviceError>) {
        let Some(group) = self.flushing.take() else { return };
        if let Err(error) = result {
            self.stats.flush_errors += 1;
            self.flushing = Some(group);
            return self.flush_failed(device, &error, true);
        }
        if group.failed {
            // Another flush has failed meanwhile that covered it too.
            self.give_up(group);
            return self.pump_writes(device);
        }
        self.stats.flushes += 1;
        self.stats.groups += 1;
        self.failures_in_a_row = 0;
        let zone = self.zones.get_mut(group.zone);
        self.good_units += u64::from(group.end_unit - zone.good_units);
        zone.good_units = group.end_unit;
        // Memory that is reclaim's goes back to it, the rest to the pool.
        group.written.into_iter().for_each(|(_, buffer)| self.reclaim.arena.give_back(buffer));
        if group.sealed_zone != Some(group.zone) {
            // Its commit lists the zones that were open.
            self.closings_are_told(group.first_sequence);
        }
        for member in group.members {
            self.committed(member, group.incarnation);
        }
        group.sealed_zone.into_iter().for_each(|sealed| self.zone_sealed(sealed));
        self.pump_writes(device);
    }

    fn committed(&mut self, member: Member, incarnation: u64) {
        match member {
            Member::Put { key, location, payload_bytes, kills, origin, .. } => {
                self.zones.get_mut(location.zone).live_units += location.unit_count;
                self.live_units += u64::from(location.unit_count);
                self.referee.committed(location.zone, incarnation);
                kills.iter().for_each(|kill| self.kill(&key, kill));
                match origin {
                    PutOrigin::Client { .. } => {
                        self.stats.puts += 1;
                        self.stats.payload_written_bytes += u64::from(payload_bytes);
                        self.pace.client_wrote(u64::from(location.unit_count));
                    }
                    PutOrigin::Moved => {
                        self.stats.moved_blocks += 1;
                        self.stats.moved_bytes += u64::from(location.unit_count) * UNIT_BYTES as u64;
                    }
                }
                self.release(&key);
                self.end_put(origin, Ok(PutOutcome::Stored));
            }
            Member::Delete(delete) => match delete.reply {
                Some(reply) => {
                    self.kill(&delete.key, &delete.kill);
                    self.stats.deletes += 1;
                    self.release(&delete.key);
                    reply.send(Ok(()));
                }
                None => self.carried(1),
            },
        }
    }

    /// Takes a record out of the index: its tombstone is durable.
    fn kill(&mut self, key: &Key, kill: &Kill) {
        let location = kill.location;
        if self.zones.get(location.zone).incarnation == kill.incarnation
            && self.index.remove(self.index.hash(key), location)
        {
            let zone = self.zones.get_mut(location.zone);
            zone.live_units -= location.unit_count;
            // Something more can be reclaimed of it than when reclaim last left it.
            zone.is_stuck = zone.is_kept;
            self.live_units -= u64::from(location.unit_count);
            self.referee.killed(location.zone, kill.incarnation);
            self.zone_lost_a_record(location.zone);
        }
        self.damage.forget(location);
        self.places_changed += 1;
    }

    /// Answers whoever wanted a block written.
    pub(crate) fn end_put(&mut self, origin: PutOrigin, answer: Result<PutOutcome, EngineError>) {
        match origin {
            PutOrigin::Client { reply, .. } => reply.send(answer),
            PutOrigin::Moved => self.move_ended(answer.is_ok()),
        }
    }

    /// Answers everyone who waits for a write that will not come.
    pub(crate) fn abandon_writes(&mut self) {
        let state = self.fault.clone().unwrap_or(State::ReadOnly { reason: "a write failed".into() });
        let error = EngineError::Unavailable { state };
        let groups = [self.flushing.take(), self.writing.take()];
        for member in groups.into_iter().flatten().flat_map(|group| group.members) {
            match member {
                Member::Put { key, location, origin, .. } => self.abandon_put(&key, location, origin, &error),
                Member::Delete(delete) => {
                    delete.reply.into_iter().for_each(|reply| reply.send(Err(error.clone())));
                }
            }
        }
        for put in self.pending.extract_puts(|_| true) {
            self.end_put(put.origin, Err(error.clone()));
        }
        for delete in self.pending.extract_deletes(|_| true) {
            delete.reply.into_iter().for_each(|reply| reply.send(Err(error.clone())));
        }
        self.busy.clear();
        self.key_released = true;
    }

    pub(crate) fn abandon_put(
        &mut self,
        key: &Key,
        location: Location,
        origin: PutOrigin,
        error: &EngineError,
    ) {
        self.index.remove(self.index.hash(key), location);
        self.end_put(origin, Err(error.clone()));
    }
}
