//! Faults that strike flushes.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use crate::simulated::faults::kind::FaultKind;
use crate::simulated::faults::source::FaultSource;
use crate::simulated::random::Random;
use crate::simulated::state::{DriveState, system};
use crate::{DeviceError, ZoneKind};

/// The piece in which what is lost is replaced, in bytes.
const PIECE_BYTES: u64 = 1 << 20;

impl DriveState {
    pub(crate) fn flush_among_faults(
        &mut self,
        faults: &mut FaultSource,
        flush: u64,
    ) -> Result<(), DeviceError> {
        if let Some(carried_out) = self.vanishes(faults) {
            if carried_out {
                self.flush_truly(flush)?;
            }
            return Err(DeviceError::Gone);
        }
        self.wear_by_chance(faults, None)?;
        let covered: BTreeSet<u32> = self.unflushed.covered(flush).map(|write| write.zone).collect();
        let strikes = !covered.is_empty() && faults.strikes(FaultKind::LateFlushError);
        if !std::mem::take(&mut faults.flush_fails) && !strikes {
            return self.flush_truly(flush);
        }
        faults.counts.add(FaultKind::LateFlushError);
        let struck: Vec<u32> = covered.into_iter().filter(|zone| !faults.spared.contains(zone)).collect();
        if !struck.is_empty() {
            let random = faults.stream(FaultKind::LateFlushError);
            let choice = random.up_to(struck.len() as u64 - 1);
            let zone = struck[usize::try_from(choice).unwrap_or_default()];
            match self.table.state(zone).kind {
                ZoneKind::Conventional => self.lose_last_write(zone, random),
                ZoneKind::SequentialWriteRequired => self.lose_tail(zone, flush, random),
            }?;
        }
        Err(DeviceError::Flush)
    }

    /// Loses what a sequential zone holds from some place on that flush `flush` should have made durable.
    fn lose_tail(&mut self, zone: u32, flush: u64, random: &mut Random) -> Result<(), DeviceError> {
        let covered = self.unflushed.covered(flush).filter(|write| write.zone == zone);
        let (first, last) = covered.fold((u64::MAX, 0), |(first, last), write| {
            (first.min(write.start_bytes), last.max(write.end_bytes))
        });
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let Some(units) = last.checked_sub(first).map(|bytes| bytes / unit_bytes).filter(|&units| units > 0)
        else {
            return Ok(());
        };
        let place = first + random.up_to(units - 1) * unit_bytes;
        let start = self.geometry.zone_start_bytes(zone);
        let lost = start + place..start + self.table.state(zone).written_bytes;
        match random.up_to(2) {
            0 => {
                self.unflushed.truncate(zone, place);
                self.lower_pointer(zone, place)
            }
            1 => {
                self.damage.unreadable.insert(lost);
                Ok(())
            }
            _ => self.fill(lost).map_err(|error| system("losing the tail of a zone", &error)),
        }
    }

    /// Loses the last write to a conventional zone, from some place on: it cannot be read, or is as it was before.
    fn lose_last_write(&mut self, zone: u32, random: &mut Random) -> Result<(), DeviceError> {
        let Some(write) = self.unflushed.last(zone) else { return Ok(()) };
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let units = (write.end_bytes - write.start_bytes) / unit_bytes;
        let skipped = random.up_to(units.saturating_sub(1)) * unit_bytes;
        let start = self.geometry.zone_start_bytes(zone) + write.start_bytes + skipped;
        let before = &write.before[usize::try_from(skipped).unwrap_or(write.before.len())..];
        if random.one_in(2) {
            self.damage.unreadable.insert(start..start + before.len() as u64);
            return Ok(());
        }
        let mut meant = vec![0; before.len()];
        let reverted = self.store.read(start, &mut meant).and_then(|()| self.store.write(start, before));
        reverted.map_err(|error| system("losing a write", &error))?;
        self.damage.compare(start, before, &meant);
        Ok(())
    }

    /// Makes the medium read as fill in `range`.
    fn fill(&mut self, range: Range<u64>) -> io::Result<()> {
        let mut start = range.start;
        while start < range.end {
            let length = usize::try_from(PIECE_BYTES.min(range.end - start)).map_err(io::Error::other)?;
            let (mut meant, fill) = (vec![0; length], vec![0; length]);
            self.store.read(start, &mut meant)?;
            self.store.write(start, &fill)?;
            self.damage.compare(start, &fill, &meant);
            start += length as u64;
        }
        Ok(())
    }
}
