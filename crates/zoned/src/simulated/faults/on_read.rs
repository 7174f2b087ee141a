//! Faults that strike reads.

use std::ops::Range;

use crate::DeviceError;
use crate::simulated::faults::kind::FaultKind;
use crate::simulated::faults::source::FaultSource;
use crate::simulated::state::{DriveState, system};

impl DriveState {
    pub(crate) fn read_among_faults(
        &mut self,
        faults: &mut FaultSource,
        offset_bytes: u64,
        bytes: &mut [u8],
    ) -> Result<(), DeviceError> {
        let length_bytes = bytes.len() as u64;
        let (zone, _) = self.table.read(offset_bytes, length_bytes)?;
        if self.vanishes(faults).is_some() {
            return Err(DeviceError::Gone);
        }
        if let Some(condition) = self.wear_by_chance(faults, Some(zone))? {
            self.wear(zone, condition)?;
        }
        let range = offset_bytes..offset_bytes + length_bytes;
        self.lose_a_unit(faults, zone, &range);
        self.flip_some_bit(faults, zone, &range)?;
        if faults.strikes(FaultKind::ReadErrorTransient) {
            faults.counts.add(FaultKind::ReadErrorTransient);
            return Err(DeviceError::MediumRead { offset_bytes, length_bytes });
        }
        self.read_truly(offset_bytes, bytes)
    }

    fn lose_a_unit(&mut self, faults: &mut FaultSource, zone: u32, range: &Range<u64>) {
        const KIND: FaultKind = FaultKind::LatentSector;
        if faults.strikes(KIND)
            && let Some(unit) = self.place_to_damage(faults, KIND, zone, range)
        {
            self.damage.unreadable.insert(unit);
            faults.counts.add(KIND);
        }
    }

    fn flip_some_bit(
        &mut self,
        faults: &mut FaultSource,
        zone: u32,
        range: &Range<u64>,
    ) -> Result<(), DeviceError> {
        const KIND: FaultKind = FaultKind::BitFlip;
        if faults.strikes(KIND)
            && let Some(unit) = self.place_to_damage(faults, KIND, zone, range)
        {
            let bit = faults.stream(KIND).up_to((unit.end - unit.start) * 8 - 1);
            self.flip(unit.start + bit / 8, 1 << (bit % 8))?;
            faults.counts.add(KIND);
        }
        Ok(())
    }

    /// A unit that holds data: half the time one of `range`, which is read from `zone`, otherwise any.
    fn place_to_damage(
        &self,
        faults: &mut FaultSource,
        kind: FaultKind,
        zone: u32,
        range: &Range<u64>,
    ) -> Option<Range<u64>> {
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let mut place = None;
        if faults.stream(kind).one_in(2) && !faults.spared.contains(&zone) {
            // A read may begin and end within a unit.
            let start = range.start - range.start % unit_bytes;
            let end = range.end.next_multiple_of(unit_bytes);
            let cut = |part: Range<u64>| part.start.max(start)..part.end.min(end);
            let ranges = self.written_ranges(zone).into_iter().map(cut).filter(|part| !part.is_empty());
            let ranges: Vec<_> = ranges.collect();
            place = self.unit_of(&ranges, faults.stream(kind));
        }
        let FaultSource { spared, streams, .. } = faults;
        let place = place.or_else(|| self.written_place(&mut streams[kind as usize], spared, zone))?;
        Some(place.start..place.start + unit_bytes)
    }

    /// Changes the bits `mask` of one stored byte.
    pub(super) fn flip(&mut self, offset_bytes: u64, mask: u8) -> Result<(), DeviceError> {
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let within = usize::try_from(offset_bytes % unit_bytes).unwrap_or_default();
        let start = offset_bytes - offset_bytes % unit_bytes;
        let mut unit = vec![0; self.geometry.write_unit_bytes as usize];
        self.store.read(start, &mut unit).map_err(|error| system("reading a byte to change", &error))?;
        unit[within] ^= mask;
        self.store.write(start, &unit).map_err(|error| system("changing a byte", &error))?;
        self.damage.wrong.insert(offset_bytes..offset_bytes + 1);
        Ok(())
    }
}
