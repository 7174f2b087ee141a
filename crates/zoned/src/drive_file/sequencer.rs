//! The zones of a drive file, and what is in flight in each sequential one.
//!
//! A write counts in the table from its start, so that the limits of open and active zones hold; what is told, read and
//! kept of its zone leaves it out until it has ended.

use crate::simulated::zone_table::{Change, ZoneState, ZoneTable};
use crate::{Condition, DeviceError, Geometry, Zone, ZoneKind, ZoneOperation};

/// The zones, and their state machine.
pub(crate) struct Sequencer {
    geometry: Geometry,
    table: ZoneTable,
    /// The sequential zones with a write or an order in flight: at most as many as operations.
    busy: Vec<Busy>,
}

struct Busy {
    zone: u32,
    /// Where the write begins in the zone; `None` for an order.
    write_start_bytes: Option<u64>,
}

impl Sequencer {
    pub(crate) fn new(geometry: Geometry, zones: Vec<ZoneState>) -> Self {
        Self { table: ZoneTable::new(geometry.clone(), zones), geometry, busy: Vec::new() }
    }

    pub(crate) fn report(&self) -> Vec<Zone> {
        let mut zones = self.table.report();
        for busy in &self.busy {
            if let (Some(start), Some(zone)) = (busy.write_start_bytes, zones.get_mut(busy.zone as usize)) {
                zone.write_pointer_bytes = Some(start);
                if zone.condition == Condition::Full {
                    zone.condition = Condition::ImplicitOpen;
                }
            }
        }
        zones
    }

    /// The sequential zone in which byte `offset_bytes` of the drive lies; `None` in another one, or in none.
    pub(crate) fn sequential_zone(&self, offset_bytes: u64) -> Option<u32> {
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes).ok()?;
        let known = zone < self.geometry.zone_count;
        (known && self.table.state(zone).kind == ZoneKind::SequentialWriteRequired).then_some(zone)
    }

    /// Whether a write or an order is in flight in the zone.
    pub(crate) fn is_busy(&self, zone: u32) -> bool {
        self.busy.iter().any(|busy| busy.zone == zone)
    }

    /// Whether a write is in flight in the zone.
    pub(crate) fn is_writing(&self, zone: u32) -> bool {
        self.write_start_bytes(zone).is_some()
    }

    /// The error of a write that overtakes another in `zone`.
    pub(crate) fn overtaking(&self, zone: u32, offset_bytes: u64) -> DeviceError {
        let settled = self.write_start_bytes(zone);
        let write_pointer_bytes = settled.unwrap_or(self.table.state(zone).written_bytes);
        let offset_bytes = offset_bytes % self.geometry.zone_size_bytes;
        DeviceError::NotAtWritePointer { zone, write_pointer_bytes, offset_bytes }
    }

    /// Checks a read, and returns how many of its bytes stand in the file: the rest is fill.
    pub(crate) fn check_read(&self, offset_bytes: u64, length_bytes: u64) -> Result<u64, DeviceError> {
        let (zone, stored_bytes) = self.table.read(offset_bytes, length_bytes)?;
        let at = offset_bytes % self.geometry.zone_size_bytes;
        let settled = self.write_start_bytes(zone).map(|start| start.saturating_sub(at));
        Ok(settled.map_or(stored_bytes, |settled| stored_bytes.min(settled)))
    }

    /// Checks a write and begins it. Returns whether it is the first in an empty zone.
    pub(crate) fn begin_write(&mut self, offset_bytes: u64, length_bytes: u64) -> Result<bool, DeviceError> {
        let (zone, changes) = self.table.write(offset_bytes, length_bytes)?;
        for change in changes {
            self.table.apply(change);
        }
        if self.table.state(zone).kind == ZoneKind::Conventional {
            return Ok(false);
        }
        let start = offset_bytes % self.geometry.zone_size_bytes;
        self.busy.push(Busy { zone, write_start_bytes: Some(start) });
        Ok(start == 0)
    }

    /// The state of a zone with the write in flight in it: what is to be kept once its data is there.
    pub(crate) fn written(&self, zone: u32) -> ZoneState {
        self.table.state(zone)
    }

    /// Ends the write in `zone`. Nothing of one that failed counts.
    pub(crate) fn end_write(&mut self, zone: u32, succeeded: bool) {
        let start = self.write_start_bytes(zone);
        self.busy.retain(|busy| busy.zone != zone);
        if let Some(written_bytes) = start.filter(|_| !succeeded) {
            let state = ZoneState { written_bytes, ..self.table.state(zone) };
            let state = if state.is_open() { state } else { state.closed() };
            self.table.apply(Change { zone, state });
        }
    }

    /// Checks an order, and carries it out where nothing of it has to be kept. Otherwise the zone is busy from now on,
    /// and the state to be kept is returned.
    pub(crate) fn begin_order(
        &mut self,
        zone: u32,
        operation: ZoneOperation,
    ) -> Result<Option<ZoneState>, DeviceError> {
        let changes = self.table.order(zone, operation)?;
        let before = self.table.state(zone);
        // Which zones are open is not kept: when the file is opened again, none is.
        let kept = matches!(operation, ZoneOperation::Finish | ZoneOperation::Reset);
        let next = changes.last().map(|change| change.state);
        if let Some(next) = next.filter(|&next| kept && next != before) {
            self.busy.push(Busy { zone, write_start_bytes: None });
            return Ok(Some(next));
        }
        for change in changes {
            self.table.apply(change);
        }
        Ok(None)
    }

    /// Carries out an order whose state has been kept. The zone stays busy.
    pub(crate) fn apply_order(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        for change in self.table.order(zone, operation)? {
            self.table.apply(change);
        }
        Ok(())
    }

    /// Ends the order in `zone`, whatever became of it.
    pub(crate) fn end_order(&mut self, zone: u32) {
        self.busy.retain(|busy| busy.zone != zone);
    }

    fn write_start_bytes(&self, zone: u32) -> Option<u64> {
        self.busy.iter().find(|busy| busy.zone == zone)?.write_start_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Sequencer;
    use crate::simulated::{SimulatedGeometry, zone_entry};
    use crate::{Condition, ZoneOperation};

    const UNIT: u64 = 4096;

    /// Four zones of two units, the first conventional.
    fn sequencer() -> Sequencer {
        let geometry = SimulatedGeometry {
            zone_count: 4,
            zone_size_bytes: 2 * UNIT,
            zone_capacity_bytes: 2 * UNIT,
            conventional_zones: 1,
            ..SimulatedGeometry::default()
        };
        let zones = (0..4).map(|zone| zone_entry::first_state(&geometry, zone)).collect();
        Sequencer::new(geometry.geometry(), zones)
    }

    fn reported(sequencer: &Sequencer, zone: usize) -> (Condition, Option<u64>) {
        let zone = sequencer.report()[zone];
        (zone.condition, zone.write_pointer_bytes)
    }

    #[test]
    fn what_a_write_in_flight_has_not_written_yet_is_neither_told_nor_read() {
        let mut sequencer = sequencer();
        let zone = 2 * UNIT;
        assert_eq!(sequencer.begin_write(zone, 2 * UNIT), Ok(true));
        assert_eq!(reported(&sequencer, 1), (Condition::ImplicitOpen, Some(0)));
        assert_eq!(sequencer.check_read(zone, 2 * UNIT), Ok(0));
        sequencer.end_write(1, true);
        assert_eq!(reported(&sequencer, 1), (Condition::Full, None));
        assert_eq!(sequencer.check_read(zone, 2 * UNIT), Ok(2 * UNIT));
    }

    #[test]
    fn a_write_that_failed_leaves_the_zone_as_far_as_it_was_written_and_free_for_the_next() {
        let mut sequencer = sequencer();
        let zone = 2 * 2 * UNIT;
        assert_eq!(sequencer.begin_write(zone, UNIT), Ok(true));
        sequencer.end_write(2, true);
        assert_eq!(sequencer.begin_write(zone + UNIT, UNIT), Ok(false));
        sequencer.end_write(2, false);
        assert_eq!(reported(&sequencer, 2), (Condition::Closed, Some(UNIT)));
        assert!(!sequencer.is_busy(2));
        assert_eq!(sequencer.begin_write(zone + UNIT, UNIT), Ok(false));
    }

    #[test]
    fn an_order_counts_once_what_it_changes_has_been_kept() {
        let mut sequencer = sequencer();
        let kept = sequencer.begin_order(3, ZoneOperation::Finish).unwrap();
        assert_eq!(kept.map(|state| state.condition), Some(Condition::Full));
        assert_eq!(reported(&sequencer, 3).0, Condition::Empty);
        sequencer.apply_order(3, ZoneOperation::Finish).unwrap();
        assert!(sequencer.is_busy(3));
        sequencer.end_order(3);
        assert_eq!(reported(&sequencer, 3).0, Condition::Full);
        assert_eq!(sequencer.begin_order(3, ZoneOperation::Finish), Ok(None), "it changes nothing");
        assert!(!sequencer.is_busy(3));
    }
}
