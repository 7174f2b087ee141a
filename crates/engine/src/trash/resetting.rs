//! The steps of a reset, and what becomes of a zone that was reset or could not be.

use imbrex_zoned::{Buffer, Condition, Device, DeviceError, ZoneKind};

use super::Step;
use crate::mutation::{Mutation, is};
use crate::request::ZoneRole;
use crate::store::Store;

/// Where the first record of a zone stands, behind its header.
pub(crate) const FIRST_RECORD_UNIT: u32 = 1;

impl Store {
    /// Takes the end of one step of a reset.
    pub(crate) fn reset_done(
        &mut self,
        device: &mut dyn Device,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        if let Some(buffer) = buffer {
            self.trash.zeros = Some(buffer);
        }
        let Some(guarded) = self.trash.under_way.as_ref() else { return };
        let (zone, step, is_doomed) = (guarded.zone, guarded.step, guarded.is_doomed);
        let has_record_left = !guarded.is_life_over;
        if let Err(error) = result {
            self.reset_failed(zone, &error);
            if step == Step::FlushUnderWay && error != DeviceError::Gone {
                // Whatever was written since the last good flush is at risk, not the reset alone.
                self.flush_failed(device, &error, false);
            }
            return;
        }
        if is_doomed {
            return self.reset_failed(zone, &DeviceError::Flush);
        }
        let conventional = self.zones.get(zone).kind == ZoneKind::Conventional;
        match step {
            Step::Reset if conventional => self.set_step(Step::Zero { unit: 0 }),
            Step::Reset | Step::ZeroUnderWay { .. } => self.set_step(Step::Flush),
            Step::FlushUnderWay if conventional && has_record_left => self.zero_first_record(),
            _ => self.zone_is_reset(zone),
        }
    }

    /// Not before the header's zeros are durable: a zone that has its header is whole, or is damaged.
    fn zero_first_record(&mut self) {
        if let Some(guarded) = self.trash.under_way.as_mut() {
            guarded.is_life_over = true;
            guarded.step = Step::Zero { unit: FIRST_RECORD_UNIT };
        }
    }

    /// A zone that was not reset is not used again: how it stands is not known. The next mount looks at it anew.
    fn reset_failed(&mut self, zone: u32, error: &DeviceError) {
        tracing::error!(zone, %error, "a zone was not reset, and is not used again");
        self.trash.under_way = None;
        self.leave_until_mount(zone);
        match error {
            DeviceError::Gone => self.stop_writing(error),
            DeviceError::ZoneCondition { condition, .. } => self.zones.get_mut(zone).condition = *condition,
            DeviceError::Flush => self.stats.flush_errors += 1,
            error => self.stats.reset_errors += u64::from(error.blames_drive()),
        }
    }

    /// A zone in which nothing lives is not reset, and not used again: the next mount looks at it anew.
    pub(super) fn leave_until_mount(&mut self, zone: u32) {
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Lost;
        entry.has_failed_reset = true;
    }

    fn zone_is_reset(&mut self, zone: u32) {
        self.trash.under_way = None;
        self.referee.reset_done(zone);
        self.stats.zones_reset += 1;
        let freed_by = self.checkpoint_that_frees();
        let entry = self.zones.get_mut(zone);
        self.good_units -= u64::from(entry.good_units);
        entry.written_units = 0;
        entry.good_units = 0;
        entry.table_entries = 0;
        entry.tombstones = 0;
        if entry.kind == ZoneKind::SequentialWriteRequired {
            entry.condition = Condition::Empty;
        }
        match freed_by {
            Some(_) if is(Mutation::ReuseAtOnce) => self.zones.set_free(zone),
            Some(number) => self.zones.set_reset(zone, number),
            None => self.zones.set_free(zone),
        }
    }
}
