//! What a test may ask of a simulated drive and its faults.

use std::ops::Range;

use crate::simulated::drive::SimulatedDrive;
use crate::simulated::faults::counts::FaultCounts;
use crate::simulated::faults::kind::FaultKind;
use crate::simulated::faults::range_set::RangeSet;
use crate::simulated::faults::rates::FaultRates;
use crate::simulated::faults::source::FaultSource;
use crate::simulated::random::Random;
use crate::simulated::state::DriveState;
use crate::{Condition, DeviceError, ZoneKind};

impl SimulatedDrive {
    /// Lets faults strike from now on, as `seed` and `rates` decide. What they have done so far stays done and counted.
    ///
    /// Rates, counts and damage are the running drive's. A drive in a file that is opened by another process has forgotten
    /// them: what could not be read can be again, and what was changed stays changed.
    pub fn set_faults(&self, seed: u64, rates: FaultRates) {
        self.lock().fault_source().begin(seed, rates);
    }

    /// Switches chance off and on again, at the place in its sequence where it was. What was ordered by hand, and damage
    /// that is done, is not switched off. Without [`SimulatedDrive::set_faults`] before, nothing strikes.
    pub fn switch_faults(&self, on: bool) {
        self.lock().fault_source().on = on;
    }

    /// Names the zones in which no fault destroys data, whatever the rates: errors that tell the truth still strike
    /// there. The zones that were named before no longer count.
    pub fn spare_zones(&self, zones: &[u32]) {
        self.lock().fault_source().spared = zones.iter().copied().collect();
    }

    /// How often each kind of fault has struck, by chance or by order.
    #[must_use]
    pub fn fault_counts(&self) -> FaultCounts {
        self.lock().faults.as_ref().map(|faults| faults.counts.clone()).unwrap_or_default()
    }

    /// Lets each wait complete a part of what is in flight, in any order that a drive may choose, as `seed` decides.
    /// `None`: each completes all, in the order in which it was submitted, as at first.
    ///
    /// Writes and orders to one zone keep their order. A wait with something in flight completes at least one operation,
    /// unless all are held back by [`FaultKind::Slow`].
    pub fn set_scheduling(&self, seed: Option<u64>) {
        self.lock().scheduling = seed.map(Random::new);
    }

    /// The acknowledged bytes that faults have changed or made unreadable, in bytes from the start of the drive: in
    /// order, apart from one another. To the sector of 512 bytes, and a changed bit to the byte. What is beyond the write
    /// pointer is none of them, nor is what a loss of power took; of an offline zone it is all that was written.
    #[must_use]
    pub fn damaged_ranges(&self) -> Vec<Range<u64>> {
        let state = self.lock();
        let mut damaged = RangeSet::default();
        let whole = 0..state.geometry.device_bytes;
        let known =
            state.damage.wrong.within(whole.clone()).chain(state.damage.unreadable.within(whole.clone()));
        known.for_each(|range| damaged.insert(range));
        (0..state.geometry.zone_count)
            .filter_map(|zone| state.offline(zone))
            .for_each(|lost| damaged.insert(lost));
        damaged.within(whole).collect()
    }

    /// Whether any of `length_bytes` bytes from byte `offset_bytes` on is in [`SimulatedDrive::damaged_ranges`].
    #[must_use]
    pub fn is_damaged(&self, offset_bytes: u64, length_bytes: u64) -> bool {
        let state = self.lock();
        let range = offset_bytes..offset_bytes.saturating_add(length_bytes).min(state.geometry.device_bytes);
        if range.is_empty() {
            return false;
        }
        let zone = |byte: u64| u32::try_from(byte / state.geometry.zone_size_bytes).unwrap_or(u32::MAX);
        let mut zones = zone(range.start)..=zone(range.end - 1);
        let meets = |lost: Range<u64>| lost.start < range.end && range.start < lost.end;
        state.damage.touches(&range) || zones.any(|zone| state.offline(zone).is_some_and(meets))
    }

    /// Lets reads that touch these bytes fail, until they are written anew or their zone is reset.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfBounds`] where they do not lie in one zone, below its write pointer.
    pub fn make_unreadable(&self, offset_bytes: u64, length_bytes: u64) -> Result<(), DeviceError> {
        let mut state = self.lock();
        let range = state.check_written(offset_bytes, length_bytes)?;
        state.damage.unreadable.insert(range);
        state.fault_source().counts.add(FaultKind::LatentSector);
        Ok(())
    }

    /// Lets reads that touch these bytes fail until [`SimulatedDrive::reveal`]: a drive can fail to read for a while what
    /// is whole. It is no damage, and counts as no fault.
    pub fn conceal(&self, offset_bytes: u64, length_bytes: u64) {
        self.lock().concealed.insert(offset_bytes..offset_bytes.saturating_add(length_bytes));
    }

    /// Lets everything be read again that [`SimulatedDrive::conceal`] has named.
    pub fn reveal(&self) {
        self.lock().concealed = RangeSet::default();
    }

    /// Changes bit `bit % 8` of a stored byte.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfBounds`] where it does not lie below the write pointer of its zone; or where the drive's
    /// file cannot be written.
    pub fn flip_bit(&self, offset_bytes: u64, bit: u8) -> Result<(), DeviceError> {
        let mut state = self.lock();
        state.check_written(offset_bytes, 1)?;
        state.flip(offset_bytes, 1 << (bit % 8))?;
        state.fault_source().counts.add(FaultKind::BitFlip);
        Ok(())
    }

    /// Lets the next write to `zone` that the zone's rules allow fail: nothing of it is written.
    pub fn fail_next_write(&self, zone: u32) {
        self.lock().fault_source().order(FaultKind::WriteError, zone);
    }

    /// Lets the next flush fail, as [`FaultKind::LateFlushError`] has it. Where it covers no write, nothing is lost.
    pub fn fail_next_flush(&self) {
        self.lock().fault_source().flush_fails = true;
    }

    /// Lets the next reset of `zone` fail.
    pub fn fail_next_reset(&self, zone: u32) {
        self.lock().fault_source().order(FaultKind::ResetError, zone);
    }
}

impl DriveState {
    fn fault_source(&mut self) -> &mut FaultSource {
        self.faults.get_or_insert_with(|| Box::new(FaultSource::silent()))
    }

    /// What was written in a zone that is offline.
    fn offline(&self, zone: u32) -> Option<Range<u64>> {
        let state = self.table.state(zone);
        let range = self.zone_range(zone);
        let written_bytes = match state.kind {
            ZoneKind::Conventional => self.geometry.zone_size_bytes,
            ZoneKind::SequentialWriteRequired => state.written_bytes,
        };
        (state.condition == Condition::Offline).then_some(range.start..range.start + written_bytes)
    }

    /// Checks that a range lies in one zone, below its write pointer.
    fn check_written(&self, offset_bytes: u64, length_bytes: u64) -> Result<Range<u64>, DeviceError> {
        let out_of_bounds = DeviceError::OutOfBounds { offset_bytes, length_bytes };
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes);
        let Some(zone) = zone.ok().filter(|&zone| zone < self.geometry.zone_count) else {
            return Err(out_of_bounds);
        };
        let state = self.table.state(zone);
        let written_bytes = match state.kind {
            ZoneKind::Conventional => self.geometry.zone_size_bytes,
            ZoneKind::SequentialWriteRequired => state.written_bytes,
        };
        let end = offset_bytes.checked_add(length_bytes);
        match end.filter(|&end| end <= self.zone_range(zone).start + written_bytes) {
            Some(end) => Ok(offset_bytes..end),
            None => Err(out_of_bounds),
        }
    }
}
