//! Writing a checkpoint: its zones are reset, then one record follows the other, then the drive is flushed twice.
//!
//! The end is written only when a flush has made all before it durable, so that an end that can be read vouches for the rest.

use imbrex_format::{RecordKind, UNIT_BYTES, ZoneScope, record_units, seal_record};
use imbrex_zoned::{Buffer, Condition, Device, Token, ZoneKind, ZoneOperation};

use crate::checkpoint_parts::Made;
use crate::checkpointing::Step;
use crate::store::{Store, TOKEN_CHECKPOINT};
use crate::writing::record;

impl Store {
    pub(crate) fn checkpoint_step(&mut self, device: &mut dyn Device) {
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        match running.step {
            Step::Reset => self.reset_checkpoint_zone(device),
            Step::Hold => {
                if self.writing.is_none() && self.flushing.is_none() {
                    self.set_checkpoint_step(Step::LastPatches { from: 0 });
                }
            }
            Step::FlushParts => self.flush_checkpoint(device, Step::End),
            Step::FlushEnd => self.flush_checkpoint(device, Step::Done),
            Step::Done => {}
            _ => self.write_checkpoint_part(device),
        }
    }

    fn flush_checkpoint(&mut self, device: &mut dyn Device, next: Step) {
        match self.order_flush(device, TOKEN_CHECKPOINT) {
            Ok(()) => {
                self.checkpoint_under_way();
                self.set_checkpoint_step(next);
            }
            Err(error) => self.checkpoint_failed(&error.to_string()),
        }
    }

    fn set_checkpoint_step(&mut self, step: Step) {
        if let Some(running) = self.checkpointing.running.as_mut() {
            running.step = step;
        }
    }

    pub(crate) fn checkpoint_under_way(&mut self) {
        self.log_in_flight += 1;
        self.checkpointing.in_flight += 1;
        if let Some(running) = self.checkpointing.running.as_mut() {
            running.is_under_way = true;
        }
    }

    fn reset_checkpoint_zone(&mut self, device: &mut dyn Device) {
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        if running.nth == self.checkpointing.slot_zones {
            running.nth = 0;
            running.step = Step::Begin;
            return;
        }
        let zone = self.checkpointing.first_zone + running.slot * self.checkpointing.slot_zones + running.nth;
        let entry = self.zones.get(zone);
        if entry.kind == ZoneKind::Conventional || entry.condition == Condition::Empty {
            // The new life's header ends the old one.
            running.nth += 1;
            return;
        }
        if let Err(refusal) = self.referee.judge_reserved_reset(zone) {
            tracing::error!(zone, %refusal, "a reset for a checkpoint was refused");
            self.stats.resets_refused += 1;
            return self.checkpoint_failed("the referee refused a reset");
        }
        match device.submit_zone(Token(TOKEN_CHECKPOINT), zone, ZoneOperation::Reset) {
            Ok(()) => {
                running.nth += 1;
                running.resetting = Some(zone);
                self.checkpoint_under_way();
            }
            Err(error) => self.checkpoint_failed(&error.to_string()),
        }
    }

    /// Makes the record of the present step and writes it, with a zone header before it where a zone begins.
    fn write_checkpoint_part(&mut self, device: &mut dyn Device) {
        let Some(mut buffer) = self.checkpointing.buffer.take() else {
            return self.checkpoint_failed("its memory did not come back");
        };
        let Some(mut running) = self.checkpointing.running.take() else { return };
        let zone = self.checkpointing.zone_of(running.slot, running.nth);
        if running.unit == 0 {
            self.make_checkpoint_header(&mut buffer, zone);
            self.checkpointing.running = Some(running);
            return self.write_checkpoint_units(device, zone, buffer, 1);
        }
        if running.unit + self.checkpointing.part_units > self.zones.get(zone).capacity_units {
            running.nth += 1;
            running.unit = 0;
            let is_out = running.nth == self.checkpointing.slot_zones;
            self.checkpointing.buffer = Some(buffer);
            self.checkpointing.running = Some(running);
            // It would count against the drive's limit beside the next one.
            self.to_finish.push(zone);
            self.finish_zones(device);
            if is_out {
                self.checkpoint_failed("its zones have no room for it");
            }
            return;
        }
        let Made::Record(kind, payload_bytes) = self.make_part(&mut buffer, &mut running) else {
            self.checkpointing.buffer = Some(buffer);
            self.checkpointing.running = Some(running);
            return;
        };
        let unit_count = record_units(payload_bytes);
        running.sequence += 1;
        running.record_count += u64::from(kind != RecordKind::CheckpointEnd);
        let header = record(
            kind,
            running.unit,
            unit_count,
            u32::try_from(payload_bytes).unwrap_or(u32::MAX),
            running.sequence,
        );
        let scope = ZoneScope::new(&self.label, zone, self.zones.get(zone).incarnation);
        seal_record(&mut buffer, &header, &scope);
        self.checkpointing.running = Some(running);
        self.write_checkpoint_units(device, zone, buffer, unit_count);
    }

    /// Writes the first units of the buffer behind what the zone holds.
    fn write_checkpoint_units(
        &mut self,
        device: &mut dyn Device,
        zone: u32,
        mut buffer: Buffer,
        unit_count: u32,
    ) {
        let bytes = unit_count as usize * UNIT_BYTES;
        self.checkpointing.buffer = (buffer.len() > bytes).then(|| buffer.split_off(bytes));
        let Some(running) = self.checkpointing.running.as_mut() else { return };
        let offset_bytes =
            device.geometry().zone_start_bytes(zone) + u64::from(running.unit) * UNIT_BYTES as u64;
        running.unit += unit_count;
        let end_unit = running.unit;
        self.zones.written(zone, end_unit);
        self.stats.checkpoint_bytes += bytes as u64;
        self.stats.device_writes += 1;
        self.stats.device_written_bytes += bytes as u64;
        match device.submit_write(Token(TOKEN_CHECKPOINT), offset_bytes, buffer) {
            Ok(()) => self.checkpoint_under_way(),
            Err((error, buffer)) => {
                self.checkpoint_buffer_back(buffer);
                self.checkpoint_failed(&error.to_string());
            }
        }
    }

    pub(crate) fn checkpoint_buffer_back(&mut self, mut buffer: Buffer) {
        if let Some(rest) = self.checkpointing.buffer.take() {
            // It was cut off the end of this one.
            let _ = buffer.absorb(rest);
        }
        self.checkpointing.buffer = Some(buffer);
    }
}
