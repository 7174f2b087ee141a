//! What a loss of power takes from the drive: see [`SimulatedDrive::crash`](crate::simulated::SimulatedDrive::crash).

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use crate::simulated::random::Random;
use crate::simulated::state::{DriveState, system};
use crate::simulated::unflushed::UnflushedWrite;
use crate::simulated::zone_table::{Change, ZoneState};
use crate::{Condition, DeviceError, ZoneKind};

/// The granularity at which a write can be torn, in bytes: the sector of the medium.
const SECTOR_BYTES: u64 = 512;

impl DriveState {
    pub(crate) fn lose_power(&mut self, random: &mut Random) -> Result<(), DeviceError> {
        let (conventional, sequential): (Vec<UnflushedWrite>, Vec<UnflushedWrite>) =
            self.unflushed.take().into_iter().partition(|write| write.kind == ZoneKind::Conventional);
        self.lose_conventional(&conventional, random)
            .map_err(|error| system("bringing back what writes had overwritten", &error))?;
        let zones: BTreeSet<u32> = sequential.iter().map(|write| write.zone).collect();
        for zone in zones {
            let of_zone = sequential.iter().filter(|write| write.zone == zone);
            let flushed_bytes = of_zone.map(|write| write.start_bytes).min().unwrap_or(0);
            self.lose_sequential(zone, flushed_bytes, random)?;
        }
        self.close_open_zones()
    }

    /// Lets each unit of the writes be new, torn, or what it was before: from the newest write to the oldest, so that
    /// a unit can fall back through several.
    fn lose_conventional(&mut self, writes: &[UnflushedWrite], random: &mut Random) -> io::Result<()> {
        let unit_bytes = self.geometry.write_unit_bytes;
        let mut settled = BTreeSet::new();
        for write in writes.iter().rev() {
            let start = self.geometry.zone_start_bytes(write.zone) + write.start_bytes;
            let offsets = (start..).step_by(unit_bytes as usize);
            for (offset, before) in offsets.zip(write.before.chunks(unit_bytes as usize)) {
                if settled.contains(&offset) {
                    continue;
                }
                match random.up_to(7) {
                    0..=3 => _ = settled.insert(offset),
                    4..=6 => {
                        self.store.write(offset, before)?;
                        self.bring_back_damage(write, offset..offset + u64::from(unit_bytes));
                    }
                    _ => {
                        let kept = random.up_to(u64::from(unit_bytes) / SECTOR_BYTES) * SECTOR_BYTES;
                        let old = &before[usize::try_from(kept).unwrap_or(before.len())..];
                        self.store.write(offset + kept, old)?;
                        self.bring_back_damage(write, offset + kept..offset + u64::from(unit_bytes));
                        settled.insert(offset);
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets the write pointer of a zone fall, to `flushed_bytes` at the lowest.
    fn lose_sequential(
        &mut self,
        zone: u32,
        flushed_bytes: u64,
        random: &mut Random,
    ) -> Result<(), DeviceError> {
        let state = self.table.state(zone);
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let units_at_risk = state.written_bytes.saturating_sub(flushed_bytes) / unit_bytes;
        let mut written_bytes = flushed_bytes + random.up_to(units_at_risk) * unit_bytes;
        if written_bytes < state.written_bytes && random.one_in(4) {
            let kept = random.up_to(unit_bytes / SECTOR_BYTES - 1) * SECTOR_BYTES;
            let lost = vec![0; usize::try_from(unit_bytes - kept).unwrap_or_default()];
            let torn = self.geometry.zone_start_bytes(zone) + written_bytes + kept;
            self.store.write(torn, &lost).map_err(|error| system("tearing a write", &error))?;
            written_bytes += unit_bytes;
        }
        self.lower_pointer(zone, written_bytes)
    }

    /// Lets the write pointer of a zone fall to `written_bytes`. What lies beyond it is no longer data.
    pub(crate) fn lower_pointer(&mut self, zone: u32, written_bytes: u64) -> Result<(), DeviceError> {
        let state = self.table.state(zone);
        self.wipe_beyond_pointer(zone, written_bytes..state.written_bytes)
            .map_err(|error| system("losing what a pointer has passed", &error))?;
        let was_written_full =
            state.condition == Condition::Full && state.written_bytes == state.capacity_bytes;
        let mut next = ZoneState { written_bytes, ..state };
        let cut = written_bytes < state.capacity_bytes && was_written_full;
        if cut || (written_bytes == 0 && state.is_active() && state.condition != Condition::ExplicitOpen) {
            next = next.closed();
        }
        self.change(&[Change { zone, state: next }])?;
        if !self.damage.is_none() {
            let zone = self.zone_range(zone);
            self.damage.heal(zone.start + written_bytes..zone.end);
        }
        Ok(())
    }

    /// Where reads beyond the pointer show an earlier life, what the pointer falls back over (`lost`, in bytes from the start of
    /// the zone) is of this life, and has overwritten that one: it shows neither.
    fn wipe_beyond_pointer(&mut self, zone: u32, lost: Range<u64>) -> io::Result<()> {
        let start = self.geometry.zone_start_bytes(zone);
        let lost = start + lost.start..start + lost.end;
        if !self.kept_old.touches(&lost) {
            return Ok(());
        }
        let fill = vec![0; self.geometry.write_unit_bytes as usize];
        for offset in lost.step_by(fill.len()) {
            self.store.write(offset, &fill)?;
        }
        Ok(())
    }

    /// Takes note that the bytes that `write` had overwritten stand in `range` again, right or wrong.
    fn bring_back_damage(&mut self, write: &UnflushedWrite, range: Range<u64>) {
        self.damage.wrong.remove(range.clone());
        for wrong in &write.wrong_before {
            self.damage.wrong.insert(wrong.start.max(range.start)..wrong.end.min(range.end));
        }
    }
}
