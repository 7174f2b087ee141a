//! Faults that strike writes.

use std::ops::Range;

use crate::simulated::faults::kind::FaultKind;
use crate::simulated::faults::source::FaultSource;
use crate::simulated::state::{DriveState, system};
use crate::{Condition, DeviceError, ZoneKind};

impl DriveState {
    pub(crate) fn write_among_faults(
        &mut self,
        faults: &mut FaultSource,
        offset_bytes: u64,
        bytes: &[u8],
    ) -> Result<(), DeviceError> {
        let length_bytes = bytes.len() as u64;
        let (zone, _) = self.table.write(offset_bytes, length_bytes)?;
        if let Some(carried_out) = self.vanishes(faults) {
            if carried_out {
                self.write_truly(offset_bytes, bytes)?;
            }
            return Err(DeviceError::Gone);
        }
        if let Some(condition) = self.wear_by_chance(faults, Some(zone))? {
            return self.wear_out_mid_write(faults, zone, condition, offset_bytes, bytes);
        }
        if self.opens(zone) && faults.strikes(FaultKind::TooManyOpen) {
            faults.counts.add(FaultKind::TooManyOpen);
            return Err(DeviceError::TooManyOpenZones { zone });
        }
        if faults.strikes_zone(FaultKind::WriteError, zone) {
            faults.counts.add(FaultKind::WriteError);
            return Err(DeviceError::MediumWrite { offset_bytes, length_bytes });
        }
        let units = length_bytes / u64::from(self.geometry.write_unit_bytes);
        if units > 1 && faults.strikes(FaultKind::TornWriteError) {
            let written = 1 + faults.stream(FaultKind::TornWriteError).up_to(units - 2);
            self.write_units(offset_bytes, bytes, written)?;
            faults.counts.add(FaultKind::TornWriteError);
            return Err(DeviceError::MediumWrite { offset_bytes, length_bytes });
        }
        if faults.spared.contains(&zone) {
            return self.write_truly(offset_bytes, bytes);
        }
        if faults.strikes(FaultKind::LostWrite) {
            faults.counts.add(FaultKind::LostWrite);
            return self.lose_write(offset_bytes, bytes);
        }
        match self.misdirection(faults, zone, offset_bytes, length_bytes) {
            Some(target) => {
                faults.counts.add(FaultKind::MisdirectedWrite);
                self.lose_write(offset_bytes, bytes)?;
                self.overwrite(target, bytes)
            }
            None => self.write_truly(offset_bytes, bytes),
        }
    }

    /// Whether a write to `zone`, which may be written, opens it.
    fn opens(&self, zone: u32) -> bool {
        let state = self.table.state(zone);
        state.kind == ZoneKind::SequentialWriteRequired && !state.is_open()
    }

    /// Writes the first `units` units of `bytes`.
    fn write_units(&mut self, offset_bytes: u64, bytes: &[u8], units: u64) -> Result<(), DeviceError> {
        let written_bytes = usize::try_from(units * u64::from(self.geometry.write_unit_bytes));
        match written_bytes.unwrap_or(bytes.len()) {
            0 => Ok(()),
            written_bytes => self.write_truly(offset_bytes, &bytes[..written_bytes]),
        }
    }

    /// Lets `zone` wear out when any part of a write has been written.
    fn wear_out_mid_write(
        &mut self,
        faults: &mut FaultSource,
        zone: u32,
        condition: Condition,
        offset_bytes: u64,
        bytes: &[u8],
    ) -> Result<(), DeviceError> {
        let kind = match condition {
            Condition::ReadOnly => FaultKind::ZoneReadOnly,
            _ => FaultKind::ZoneOffline,
        };
        let units = bytes.len() as u64 / u64::from(self.geometry.write_unit_bytes);
        let written = faults.stream(kind).up_to(units);
        self.write_units(offset_bytes, bytes, written)?;
        self.wear(zone, condition)?;
        Err(DeviceError::ZoneCondition { zone, condition })
    }

    /// Moves the write pointer as a write does, and leaves the medium as it was.
    fn lose_write(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let (zone, changes) = self.table.write(offset_bytes, bytes.len() as u64)?;
        let range = offset_bytes..offset_bytes + bytes.len() as u64;
        self.remember_overwritten(zone, &range)?;
        let mut found = vec![0; bytes.len()];
        let read = self.store.read(offset_bytes, &mut found);
        read.map_err(|error| system("reading what a lost write leaves", &error))?;
        self.damage.wrong.remove(range.clone());
        self.damage.compare(offset_bytes, &found, bytes);
        self.advance(zone, &range, &changes)
    }

    /// Where a write to `zone` lands, if it goes astray.
    fn misdirection(
        &self,
        faults: &mut FaultSource,
        zone: u32,
        offset_bytes: u64,
        length_bytes: u64,
    ) -> Option<Range<u64>> {
        const KIND: FaultKind = FaultKind::MisdirectedWrite;
        if !faults.strikes(KIND) {
            return None;
        }
        let FaultSource { spared, streams, .. } = faults;
        let place = self.written_place(&mut streams[KIND as usize], spared, zone)?;
        let target = place.start..place.end.min(place.start + length_bytes);
        let overlaps = target.start < offset_bytes + length_bytes && offset_bytes < target.end;
        (!overlaps).then_some(target)
    }

    /// Writes the beginning of `bytes` over `target`, where they do not belong.
    fn overwrite(&mut self, target: Range<u64>, bytes: &[u8]) -> Result<(), DeviceError> {
        let length = usize::try_from(target.end - target.start).unwrap_or(bytes.len());
        let bytes = &bytes[..length.min(bytes.len())];
        let mut meant = vec![0; bytes.len()];
        let read = self.store.read(target.start, &mut meant);
        read.map_err(|error| system("reading what a stray write overwrites", &error))?;
        let written = self.store.write(target.start, bytes);
        written.map_err(|error| system("writing a stray write", &error))?;
        self.damage.compare(target.start, bytes, &meant);
        // Where nothing could be read there is something now: not what was meant.
        let lost: Vec<_> = self.damage.unreadable.within(target.clone()).collect();
        lost.into_iter().for_each(|part| self.damage.wrong.insert(part));
        self.damage.unreadable.remove(target);
        Ok(())
    }
}
