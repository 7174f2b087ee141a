//! What a failed write or flush means.
//!
//! How far a zone is good is not known once a write to it has failed, or once a flush has failed that was to cover it: a
//! drive with a cache can lose any end of what it had taken. So the zone is fenced: what was acknowledged of it is read,
//! nothing more is written to it, and reclaim empties it. What was not acknowledged is written elsewhere, with
//! tombstones for the places that it had, for it may stand there whole. Nothing is ever written again in place.
//!
//! A drive that fails so several times in a row, without one group becoming durable in between, takes no more writes:
//! it is not one zone that is bad.

use std::collections::VecDeque;

use imbrex_zoned::{Condition, Device, DeviceError, Token, ZoneKind, ZoneOperation};

use crate::group::{Dissolved, Group, InFlight, Write};
use crate::pending::PendingDelete;
use crate::relocating::Relocation;
use crate::request::{EngineError, State, ZoneRole};
use crate::store::{Store, TOKEN_FINISH};

/// How many groups may fail one after another before the drive takes no more writes.
const FAILURES_IN_A_ROW_MAX: u32 = 4;

/// What a failed write or flush means for the drive.
#[derive(Debug, PartialEq, Eq)]
enum Consequence {
    /// The zones with writes at risk take no more records.
    Fence,
    /// The drive takes no more writes.
    StopWriting,
}

/// The policy, in one place.
///
/// An error that says that the order itself was wrong (unaligned, not at the write pointer, out of bounds) is a defect
/// of this program and no evidence against the drive. The zone is fenced all the same: it is not as we believed.
fn consequence(error: &DeviceError, failures_in_a_row: u32) -> Consequence {
    match error {
        DeviceError::Gone => Consequence::StopWriting,
        _ if failures_in_a_row >= FAILURES_IN_A_ROW_MAX => Consequence::StopWriting,
        _ => Consequence::Fence,
    }
}

impl Store {
    /// Takes the failure of a write to `zone` by the group that is being written.
    pub(crate) fn write_failed(&mut self, device: &mut dyn Device, zone: u32, error: &DeviceError) {
        if !self.goes_on_after(error) {
            return;
        }
        if matches!(error, DeviceError::TooManyOpenZones { .. }) {
            self.open.hold_fewer();
        }
        self.fence(device, zone, error);
        let Some(group) = self.writing.as_mut() else { return };
        if group.zone == zone {
            group.failed = true;
        } else {
            // The zone that was being sealed stays without a footer; the group's own zone is another.
            let writes = std::mem::take(&mut group.writes);
            let (kept, dropped): (VecDeque<Write>, _) =
                writes.into_iter().partition(|write| write.zone() != zone);
            group.writes = kept;
            self.take_back(dropped);
        }
        self.give_up_failed_group(device);
        self.submit_write(device);
        self.begin_flush(device);
        self.pump_writes(device);
    }

    /// Takes the failure of a flush: whatever was written since the last good one is at risk, whoever wrote it and whosever
    /// flush it was, for a drive tells it once. `is_of_group` where it was that of the group which is being flushed;
    /// otherwise that group fails when its own flush returns.
    pub(crate) fn flush_failed(&mut self, device: &mut dyn Device, error: &DeviceError, is_of_group: bool) {
        if !self.goes_on_after(error) {
            return;
        }
        let groups = self.flushing.iter().chain(self.writing.iter());
        let zones: Vec<u32> = groups.flat_map(Group::zones).collect();
        for zone in zones {
            self.fence(device, zone, error);
        }
        self.checkpoint_failed("a flush failed");
        self.trash.doom();
        self.checkpointing.relocation.iter_mut().for_each(Relocation::doom);
        if let Some(group) = self.writing.as_mut() {
            group.failed = true;
        }
        if let Some(group) = self.flushing.as_mut() {
            group.failed = true;
        }
        // The later group first, so that what came first is first in the queue again.
        self.give_up_failed_group(device);
        if is_of_group && let Some(group) = self.flushing.take() {
            self.give_up(group);
        }
        self.pump_writes(device);
    }

    /// Gives up the group that is being written, if it has failed and the device has let go of it.
    pub(crate) fn give_up_failed_group(&mut self, device: &mut dyn Device) {
        if self.writing.as_ref().is_some_and(|group| group.failed && group.in_flight.is_none())
            && let Some(group) = self.writing.take()
        {
            self.give_up(group);
            self.finish_zones(device);
            self.pump_writes(device);
        }
    }

    /// Puts the members of a group back into the queue.
    pub(crate) fn give_up(&mut self, group: Group) {
        let stream = group.stream;
        let (members, reserved) = group.dissolve();
        self.take_back(reserved);
        for member in members.into_iter().rev() {
            match member {
                Dissolved::Put(location, put) => {
                    self.index.remove(self.index.hash(&put.key), location);
                    self.stats.rewritten_blocks += 1;
                    self.pending.return_put(put);
                }
                Dissolved::Delete(delete) => {
                    self.pending.return_delete(stream, PendingDelete { is_owed: true, ..delete });
                }
                Dissolved::Lost { key, location, origin } => {
                    let detail = "the device kept the buffer of a write that failed".to_string();
                    self.release(&key);
                    self.abandon_put(&key, location, origin, &EngineError::Medium { detail });
                }
            }
        }
    }

    /// Takes back the reserve's buffers of writes that will not be made.
    fn take_back(&mut self, writes: impl IntoIterator<Item = Write>) {
        for write in writes {
            if let Write::Reserved { purpose, buffer, .. } = write {
                self.reserve.give_back(purpose, buffer);
            }
        }
    }

    /// Ends all writing to a zone: what was acknowledged of it is still read, until reclaim has moved it away.
    pub(crate) fn fence(&mut self, device: &mut dyn Device, zone: u32, error: &DeviceError) {
        self.open.close(zone);
        if !matches!(self.zones.get(zone).role, ZoneRole::Open | ZoneRole::Sealed) {
            return;
        }
        // No two zones are closed at the same place of the log: listings go by it.
        let (unix_s, closed_sequence) = (self.unix_s, self.take_sequence());
        let entry = self.zones.get_mut(zone);
        tracing::error!(zone, %error, "a zone is fenced: nothing more is written to it");
        entry.role = ZoneRole::Fenced;
        entry.evacuate = true;
        // Where it was being sealed, its footer is not there, or is not to be trusted.
        entry.table_entries = 0;
        entry.closed_at_unix_s = unix_s;
        entry.closed_sequence = closed_sequence;
        self.referee.closed(zone, entry.incarnation);
        self.stats.zones_fenced += 1;
        match error {
            DeviceError::ZoneCondition {
                zone: changed,
                condition: condition @ (Condition::ReadOnly | Condition::Offline),
            } if *changed == zone => {
                self.zone_changed(zone, *condition);
            }
            // One in which nothing stands is not open. To finish it would show what a drive has kept of its last life.
            _ if entry.written_units == 0 => {}
            _ => self.to_finish.push(zone),
        }
        self.finish_zones(device);
    }

    /// Finishes zones that take no more records, so that they do not count against the drive's limit: as soon as no write
    /// to them is in flight any more.
    pub(crate) fn finish_zones(&mut self, device: &mut dyn Device) {
        let in_flight = self.writing.as_ref().and_then(|group| match group.in_flight {
            Some(InFlight::Write { zone, .. }) => Some(zone),
            _ => None,
        });
        let zones = std::mem::take(&mut self.to_finish);
        for zone in zones {
            let token = Token(TOKEN_FINISH | u64::from(zone));
            if in_flight == Some(zone) {
                self.to_finish.push(zone);
            } else if self.zones.get(zone).kind == ZoneKind::SequentialWriteRequired
                && device.submit_zone(token, zone, ZoneOperation::Finish).is_ok()
            {
                self.log_in_flight += 1;
            }
        }
    }

    /// Takes the end of a finish order. A drive that refuses it loses nothing by it.
    pub(crate) fn finish_done(&mut self, zone: u32, result: Result<(), DeviceError>) {
        match result {
            Ok(()) => self.zones.get_mut(zone).condition = Condition::Full,
            Err(DeviceError::ZoneCondition { condition, .. })
                if matches!(condition, Condition::ReadOnly | Condition::Offline) =>
            {
                self.zone_changed(zone, condition);
            }
            Err(DeviceError::Gone) => self.stop_writing(&DeviceError::Gone),
            Err(error) => tracing::warn!(zone, %error, "a zone that takes no more records was not finished"),
        }
    }

    /// A zone has turned read-only or offline by itself. Of one that is offline every block is lost: none can be read,
    /// and their keys stand nowhere else. They stay in the index, so that each is answered as a medium error and never
    /// as absent.
    pub(crate) fn zone_changed(&mut self, zone: u32, condition: Condition) {
        let entry = self.zones.get_mut(zone);
        entry.condition = condition;
        if condition == Condition::Offline && entry.role != ZoneRole::Lost {
            tracing::error!(zone, live_units = entry.live_units, "a zone has gone offline with what it held");
            if !entry.is_readable_log() {
                entry.role = ZoneRole::Lost;
            }
            entry.is_stuck = true;
        }
    }

    /// Whether the drive goes on after `error`: if not, everyone who waits for a write is told.
    fn goes_on_after(&mut self, error: &DeviceError) -> bool {
        self.failures_in_a_row += 1;
        match consequence(error, self.failures_in_a_row) {
            Consequence::Fence => true,
            Consequence::StopWriting => {
                self.stop_writing(error);
                false
            }
        }
    }

    /// No zone has room, now or later, for what must be written before anything else can be.
    pub(crate) fn stop_without_room(&mut self, reason: &str) {
        let reason = reason.to_string();
        tracing::error!(reason, "nothing more is written to the drive");
        self.fault.get_or_insert(State::ReadOnly { reason });
        self.abandon_writes();
    }

    /// The drive takes no more writes; what was acknowledged is still read. A drive that is gone gives nothing at all.
    pub(crate) fn stop_writing(&mut self, error: &DeviceError) {
        if matches!(self.fault, Some(State::Failed { .. })) {
            // Every request to a drive that is gone ends here; it is told once.
            return self.abandon_writes();
        }
        let state = match error {
            DeviceError::Gone => State::Failed { reason: error.to_string() },
            _ => State::ReadOnly { reason: format!("writes fail again and again: {error}") },
        };
        tracing::error!(%error, "nothing more is written to the drive");
        self.fault = Some(state);
        self.abandon_writes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_zone_costs_one_zone_and_a_bad_drive_its_writes() {
        let medium = DeviceError::MediumWrite { offset_bytes: 0, length_bytes: 4096 };
        assert_eq!(consequence(&medium, 1), Consequence::Fence);
        assert_eq!(consequence(&DeviceError::Flush, FAILURES_IN_A_ROW_MAX - 1), Consequence::Fence);
        assert_eq!(consequence(&medium, FAILURES_IN_A_ROW_MAX), Consequence::StopWriting);
        assert_eq!(consequence(&DeviceError::Gone, 1), Consequence::StopWriting);
    }
}
