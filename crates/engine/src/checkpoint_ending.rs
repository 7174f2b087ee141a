//! How the steps of a checkpoint end, and the checkpoint itself: it counts, or it is given up.

use imbrex_zoned::{Buffer, Condition, Device, DeviceError};

use crate::checkpointing::{FAILURES_MAX, Step};
use crate::request::ZoneRole;
use crate::store::Store;
use crate::zone_table::ZoneEntry;

impl Store {
    /// Takes the end of what the device did for the checkpoint.
    pub(crate) fn checkpoint_done(
        &mut self,
        device: &mut dyn Device,
        is_flush: bool,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        buffer.into_iter().for_each(|buffer| self.checkpoint_buffer_back(buffer));
        self.checkpointing.in_flight = self.checkpointing.in_flight.saturating_sub(1);
        if self.checkpointing.relocation.is_some() {
            self.relocation_done(device, result);
            return self.pump_checkpoint(device);
        }
        let Some(running) = self.checkpointing.running.as_mut() else {
            if let (true, Err(error)) = (is_flush, result) {
                // The checkpoint was given up meanwhile. What was written since the last good flush is at risk all the same.
                self.stats.flush_errors += 1;
                self.flush_failed(device, &error, false);
            }
            return;
        };
        running.is_under_way = false;
        let (step, reset) = (running.step, running.resetting.take());
        if let Err(error) = result {
            if error == DeviceError::Gone {
                return self.stop_writing(&error);
            }
            if matches!(step, Step::End | Step::Done) {
                // It was a flush: whatever was written since the last good one is at risk, not the checkpoint alone.
                self.stats.flush_errors += 1;
                return self.flush_failed(device, &error, false);
            }
            return self.checkpoint_failed(&error.to_string());
        }
        if let Some(zone) = reset {
            self.referee.reset_done(zone);
            self.zones.get_mut(zone).condition = Condition::Empty;
        }
        if step == Step::Done {
            self.checkpoint_counts();
            self.finish_zones(device);
        }
        self.pump_writes(device);
        self.pump_checkpoint(device);
    }

    /// The checkpoint is durable: it is the newest one, and zones that waited for it are free.
    fn checkpoint_counts(&mut self) {
        let Some(running) = self.checkpointing.running.take() else { return };
        self.index.track_changes(false);
        if let Some(end) = &running.end {
            self.closings_are_told(end.next_sequence);
        }
        let number = self.checkpointing.number;
        self.checkpointing.number += 1;
        self.checkpointing.newest = Some(running.slot);
        self.checkpointing.failures = 0;
        self.checkpointing.is_last_done = self.is_stopping;
        self.stats.checkpoints += 1;
        let first_zone = self.checkpointing.zone_of(running.slot, 0);
        let slot_zones = self.checkpointing.slot_zones;
        self.referee.reserved.checkpoint_stands(first_zone..first_zone + slot_zones);
        for zone in first_zone..first_zone + slot_zones {
            // A zone that is written in part counts against the drive's limit, beside the one of the next checkpoint.
            if matches!(self.zones.get(zone).condition, Condition::ImplicitOpen) {
                self.to_finish.push(zone);
            }
        }
        let freed = |entry: &ZoneEntry| entry.role == ZoneRole::Reset && entry.freed_by <= number;
        let zones: Vec<u32> =
            self.zones.iter().filter(|(_, entry)| freed(entry)).map(|(zone, _)| zone).collect();
        zones.into_iter().for_each(|zone| self.zones.set_free(zone));
    }

    /// Gives up the checkpoint that is being written. The newest one still counts; the next is tried when one is due again.
    pub(crate) fn checkpoint_failed(&mut self, reason: &str) {
        let Some(running) = self.checkpointing.running.take() else { return };
        let nth = running.nth.min(self.checkpointing.slot_zones - 1);
        let zone = Some(self.checkpointing.zone_of(running.slot, nth));
        tracing::error!(reason, "a checkpoint was given up");
        self.index.track_changes(false);
        self.stats.checkpoints_failed += 1;
        self.checkpointing.failures += 1;
        if self.checkpointing.failures >= FAILURES_MAX {
            self.checkpointing.bad_zones.extend(zone);
        }
        self.written_since_checkpoint_bytes = 0;
    }
}
