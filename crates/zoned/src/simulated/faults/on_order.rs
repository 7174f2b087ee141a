//! Faults that strike orders to zones.

use nix::libc::EIO;

use crate::simulated::faults::kind::FaultKind;
use crate::simulated::faults::source::FaultSource;
use crate::simulated::state::DriveState;
use crate::{DeviceError, ZoneOperation};

impl DriveState {
    pub(crate) fn order_among_faults(
        &mut self,
        faults: &mut FaultSource,
        zone: u32,
        operation: ZoneOperation,
    ) -> Result<(), DeviceError> {
        self.table.order(zone, operation)?;
        if let Some(carried_out) = self.vanishes(faults) {
            if carried_out {
                self.order_truly(zone, operation)?;
            }
            return Err(DeviceError::Gone);
        }
        if let Some(condition) = self.wear_by_chance(faults, Some(zone))? {
            self.wear(zone, condition)?;
            return Err(DeviceError::ZoneCondition { zone, condition });
        }
        let state = self.table.state(zone);
        let opens = operation == ZoneOperation::Open && !state.is_open();
        if opens && faults.strikes(FaultKind::TooManyOpen) {
            faults.counts.add(FaultKind::TooManyOpen);
            return Err(DeviceError::TooManyOpenZones { zone });
        }
        if operation != ZoneOperation::Reset {
            return self.order_truly(zone, operation);
        }
        if faults.strikes_zone(FaultKind::ResetError, zone) {
            faults.counts.add(FaultKind::ResetError);
            // As the kernel's device answers an order for whose failure the zone's condition gives no reason.
            return Err(DeviceError::System { operation: "ordering a zone", errno: EIO });
        }
        if state.written_bytes > 0 && faults.strikes(FaultKind::GarbageBeyondPointer) {
            faults.counts.add(FaultKind::GarbageBeyondPointer);
            return self.reset_pointer_alone(zone);
        }
        self.order_truly(zone, operation)
    }

    /// Resets a zone and lets the medium keep what it held.
    fn reset_pointer_alone(&mut self, zone: u32) -> Result<(), DeviceError> {
        let changes = self.table.order(zone, ZoneOperation::Reset)?;
        self.change(&changes)?;
        let range = self.forget(zone);
        self.kept_old.insert(range);
        Ok(())
    }
}
