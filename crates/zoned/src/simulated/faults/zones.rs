//! What can strike every operation: zones that wear out, a drive that vanishes, and one that holds an operation back.

use crate::simulated::faults::kind::FaultKind;
use crate::simulated::faults::source::FaultSource;
use crate::simulated::state::DriveState;
use crate::{Condition, DeviceError};

/// For how many calls of `wait` an operation is held back at most.
const HELD_WAITS_MAX: u64 = 32;

impl DriveState {
    /// Whether operations may complete in another order than that in which they were submitted.
    pub(crate) fn is_disordered(&self) -> bool {
        let slow = |faults: &FaultSource| faults.on && faults.rates.one_in(FaultKind::Slow) != 0;
        self.scheduling.is_some() || self.faults.as_deref().is_some_and(slow)
    }

    /// For how many calls of `wait` an operation that was submitted is held back.
    pub(crate) fn held_waits(&mut self) -> u32 {
        let Some(faults) = &mut self.faults else { return 0 };
        if !faults.strikes(FaultKind::Slow) {
            return 0;
        }
        faults.counts.add(FaultKind::Slow);
        let waits = 1 + faults.stream(FaultKind::Slow).up_to(HELD_WAITS_MAX - 1);
        u32::try_from(waits).unwrap_or_default()
    }

    /// Whether the drive vanishes now; and if so, whether the operation in hand is still carried out.
    pub(super) fn vanishes(&mut self, faults: &mut FaultSource) -> Option<bool> {
        if !faults.strikes(FaultKind::Vanish) {
            return None;
        }
        faults.counts.add(FaultKind::Vanish);
        self.connection += 1;
        Some(faults.stream(FaultKind::Vanish).one_in(2))
    }

    /// Wears out a zone by chance. Where it is `own`, that of the operation in hand, this returns what it turns into, and
    /// leaves it to the caller; another has turned already.
    pub(super) fn wear_by_chance(
        &mut self,
        faults: &mut FaultSource,
        own: Option<u32>,
    ) -> Result<Option<Condition>, DeviceError> {
        let kinds =
            [(FaultKind::ZoneReadOnly, Condition::ReadOnly), (FaultKind::ZoneOffline, Condition::Offline)];
        for (kind, condition) in kinds {
            if !faults.strikes(kind) || self.worn_zones() >= faults.rates.worn_zones_max() {
                continue;
            }
            let last = u64::from(self.geometry.zone_count) - 1;
            let first = match own {
                Some(own) if faults.stream(kind).one_in(2) => own,
                _ => u32::try_from(faults.stream(kind).up_to(last)).unwrap_or(0),
            };
            let mut zones = (first..self.geometry.zone_count).chain(0..first);
            let Some(zone) = zones.find(|&zone| !self.is_worn(zone) && !faults.spared.contains(&zone)) else {
                continue;
            };
            faults.counts.add(kind);
            if own == Some(zone) {
                return Ok(Some(condition));
            }
            self.wear(zone, condition)?;
        }
        Ok(None)
    }

    fn is_worn(&self, zone: u32) -> bool {
        matches!(self.table.state(zone).condition, Condition::ReadOnly | Condition::Offline)
    }

    fn worn_zones(&self) -> u32 {
        let worn = (0..self.geometry.zone_count).filter(|&zone| self.is_worn(zone)).count();
        u32::try_from(worn).unwrap_or(u32::MAX)
    }
}
