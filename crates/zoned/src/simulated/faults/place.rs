//! Where faults find data to destroy.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::simulated::random::Random;
use crate::simulated::state::DriveState;
use crate::{Condition, ZoneKind};

impl DriveState {
    /// The ranges of a zone that hold data which can be destroyed. In conventional zones those that were written since
    /// the drive was made or its file opened.
    pub(super) fn written_ranges(&self, zone: u32) -> Vec<Range<u64>> {
        let state = self.table.state(zone);
        let range = self.zone_range(zone);
        match (state.condition, state.kind) {
            (Condition::Offline, _) => Vec::new(),
            (_, ZoneKind::Conventional) => self.conventional_written.within(range).collect(),
            (_, ZoneKind::SequentialWriteRequired) => {
                let written = range.start..range.start + state.written_bytes;
                Some(written).filter(|written| !written.is_empty()).into_iter().collect()
            }
        }
    }

    /// A place that holds data, in a zone that is not spared: from the start of a unit to the end of what was written
    /// there in one piece. Half the time in zone `near`, otherwise in any that holds data.
    pub(super) fn written_place(
        &self,
        random: &mut Random,
        spared: &BTreeSet<u32>,
        near: u32,
    ) -> Option<Range<u64>> {
        let holds = |zone: &u32| !spared.contains(zone) && !self.written_ranges(*zone).is_empty();
        let zone = if random.one_in(2) && holds(&near) {
            near
        } else {
            let zones: Vec<u32> = (0..self.geometry.zone_count).filter(holds).collect();
            let choice = random.up_to((zones.len() as u64).checked_sub(1)?);
            zones[usize::try_from(choice).unwrap_or_default()]
        };
        let ranges = self.written_ranges(zone);
        self.unit_of(&ranges, random)
    }

    /// One of the units of `ranges`, up to the end of its range.
    pub(super) fn unit_of(&self, ranges: &[Range<u64>], random: &mut Random) -> Option<Range<u64>> {
        let unit_bytes = u64::from(self.geometry.write_unit_bytes);
        let units = |range: &Range<u64>| (range.end - range.start) / unit_bytes;
        let total: u64 = ranges.iter().map(units).sum();
        let mut rest = random.up_to(total.checked_sub(1)?);
        for range in ranges {
            if rest < units(range) {
                return Some(range.start + rest * unit_bytes..range.end);
            }
            rest -= units(range);
        }
        None
    }
}
