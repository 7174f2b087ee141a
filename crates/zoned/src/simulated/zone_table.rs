//! The state machine of a drive's zones, as ZBC, ZAC and the NVMe zoned namespaces have it in common.
//!
//! What an operation would change is computed first and applied afterwards, so that a store can keep it in between.
//! Where the standards differ, the stricter reading is taken: what a drive may refuse is refused.

use crate::{Condition, DeviceError, Geometry, Zone, ZoneKind, ZoneOperation};

/// The state of one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZoneState {
    pub(crate) kind: ZoneKind,
    pub(crate) condition: Condition,
    pub(crate) capacity_bytes: u64,
    /// How far a sequential zone holds data, whatever its condition: a finished zone is full, and still holds only
    /// this much. 0 in conventional zones.
    pub(crate) written_bytes: u64,
}

/// What an operation makes of one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) zone: u32,
    pub(crate) state: ZoneState,
}

/// All zones of a drive.
#[derive(Clone, Debug)]
pub(crate) struct ZoneTable {
    geometry: Geometry,
    zones: Vec<ZoneState>,
    open_count: u32,
    active_count: u32,
}

impl ZoneState {
    pub(crate) fn is_open(self) -> bool {
        matches!(self.condition, Condition::ImplicitOpen | Condition::ExplicitOpen)
    }

    pub(crate) fn is_active(self) -> bool {
        self.is_open() || self.condition == Condition::Closed
    }

    /// This state once the zone is no longer open.
    pub(crate) fn closed(self) -> Self {
        let condition = if self.written_bytes == 0 { Condition::Empty } else { Condition::Closed };
        Self { condition, ..self }
    }
}

impl ZoneTable {
    pub(crate) fn new(geometry: Geometry, zones: Vec<ZoneState>) -> Self {
        let count = |test: fn(ZoneState) -> bool| {
            u32::try_from(zones.iter().filter(|&&zone| test(zone)).count()).unwrap_or(u32::MAX)
        };
        let (open_count, active_count) = (count(ZoneState::is_open), count(ZoneState::is_active));
        Self { geometry, zones, open_count, active_count }
    }

    /// The zone's state.
    pub(crate) fn state(&self, zone: u32) -> ZoneState {
        self.zones[zone as usize]
    }

    pub(crate) fn apply(&mut self, change: Change) {
        let before = std::mem::replace(&mut self.zones[change.zone as usize], change.state);
        self.open_count = self.open_count - u32::from(before.is_open()) + u32::from(change.state.is_open());
        self.active_count =
            self.active_count - u32::from(before.is_active()) + u32::from(change.state.is_active());
    }

    pub(crate) fn report(&self) -> Vec<Zone> {
        (0..self.geometry.zone_count).zip(&self.zones).map(|(index, state)| state.report(index)).collect()
    }

    /// Checks a read, and returns its zone and how many of its bytes stand on the medium: the rest is fill.
    pub(crate) fn read(&self, offset_bytes: u64, length_bytes: u64) -> Result<(u32, u64), DeviceError> {
        let unit = u64::from(self.geometry.logical_block_bytes);
        let (zone, at) = self.locate(offset_bytes, length_bytes, unit)?;
        let state = self.state(zone);
        match (state.condition, state.kind) {
            (Condition::Offline, _) => Err(DeviceError::ZoneCondition { zone, condition: state.condition }),
            (_, ZoneKind::Conventional) => Ok((zone, length_bytes)),
            (_, ZoneKind::SequentialWriteRequired) => {
                Ok((zone, state.written_bytes.saturating_sub(at).min(length_bytes)))
            }
        }
    }

    /// Checks a write, and returns its zone and what it changes.
    pub(crate) fn write(
        &self,
        offset_bytes: u64,
        length_bytes: u64,
    ) -> Result<(u32, Vec<Change>), DeviceError> {
        let (zone, at) =
            self.locate(offset_bytes, length_bytes, u64::from(self.geometry.write_unit_bytes))?;
        let state = self.state(zone);
        if state.kind == ZoneKind::Conventional {
            return match state.condition {
                Condition::NotWritePointer => Ok((zone, Vec::new())),
                condition => Err(DeviceError::ZoneCondition { zone, condition }),
            };
        }
        if !state.is_active() && state.condition != Condition::Empty {
            return Err(DeviceError::ZoneCondition { zone, condition: state.condition });
        }
        if at != state.written_bytes {
            return Err(self.not_at_write_pointer(zone, at));
        }
        let mut changes = Vec::with_capacity(2);
        if !state.is_open() {
            changes.extend(self.make_room(zone)?);
        }
        let written_bytes = at + length_bytes;
        let condition = match state.condition {
            _ if written_bytes == state.capacity_bytes => Condition::Full,
            Condition::ExplicitOpen => Condition::ExplicitOpen,
            _ => Condition::ImplicitOpen,
        };
        changes.push(Change { zone, state: ZoneState { condition, written_bytes, ..state } });
        Ok((zone, changes))
    }

    /// Checks an order to a zone, and returns what it changes.
    pub(crate) fn order(&self, zone: u32, operation: ZoneOperation) -> Result<Vec<Change>, DeviceError> {
        if zone >= self.geometry.zone_count {
            let offset_bytes = u64::from(zone) * self.geometry.zone_size_bytes;
            return Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: 0 });
        }
        let state = self.state(zone);
        let mut changes = Vec::with_capacity(2);
        let next = match (operation, state.condition) {
            (_, Condition::NotWritePointer | Condition::ReadOnly | Condition::Offline)
            | (ZoneOperation::Open | ZoneOperation::Close, Condition::Full)
            | (ZoneOperation::Close, Condition::Empty) => {
                return Err(DeviceError::ZoneCondition { zone, condition: state.condition });
            }
            (ZoneOperation::Open, Condition::Empty | Condition::Closed) => {
                changes.extend(self.make_room(zone)?);
                ZoneState { condition: Condition::ExplicitOpen, ..state }
            }
            (ZoneOperation::Open, Condition::ImplicitOpen | Condition::ExplicitOpen) => {
                ZoneState { condition: Condition::ExplicitOpen, ..state }
            }
            (ZoneOperation::Close, _) => state.closed(),
            (ZoneOperation::Finish, _) => ZoneState { condition: Condition::Full, ..state },
            (ZoneOperation::Reset, _) => ZoneState { condition: Condition::Empty, written_bytes: 0, ..state },
        };
        changes.push(Change { zone, state: next });
        Ok(changes)
    }

    /// The error of a write that begins at byte `at` of `zone`.
    pub(crate) fn not_at_write_pointer(&self, zone: u32, at: u64) -> DeviceError {
        let write_pointer_bytes = self.state(zone).written_bytes;
        DeviceError::NotAtWritePointer { zone, write_pointer_bytes, offset_bytes: at }
    }

    /// Checks that `zone`, which is not open, may be opened. Where the limit of open zones is reached the drive
    /// closes one that was opened implicitly, as both standards have it, and the change is returned.
    fn make_room(&self, zone: u32) -> Result<Option<Change>, DeviceError> {
        let activates = !self.state(zone).is_active();
        if activates && self.geometry.zone_active_max.is_some_and(|max| self.active_count >= max) {
            return Err(DeviceError::TooManyOpenZones { zone });
        }
        if self.geometry.zone_open_max.is_none_or(|max| self.open_count < max) {
            return Ok(None);
        }
        let implicit = |state: &ZoneState| state.condition == Condition::ImplicitOpen;
        let victim = (0..self.geometry.zone_count).zip(&self.zones).find(|(_, state)| implicit(state));
        let (victim, state) = victim.ok_or(DeviceError::TooManyOpenZones { zone })?;
        Ok(Some(Change { zone: victim, state: state.closed() }))
    }

    /// The zone of an aligned range that stays within one zone's capacity, and where in the zone it begins.
    fn locate(&self, offset_bytes: u64, length_bytes: u64, unit: u64) -> Result<(u32, u64), DeviceError> {
        if !offset_bytes.is_multiple_of(unit) || !length_bytes.is_multiple_of(unit) {
            return Err(DeviceError::Unaligned { offset_bytes, length_bytes });
        }
        let out_of_bounds = DeviceError::OutOfBounds { offset_bytes, length_bytes };
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes);
        let Some(zone) = zone.ok().filter(|&zone| zone < self.geometry.zone_count) else {
            return Err(out_of_bounds);
        };
        let at = offset_bytes % self.geometry.zone_size_bytes;
        let end = at.checked_add(length_bytes);
        if end.is_none_or(|end| end > self.state(zone).capacity_bytes) {
            return Err(out_of_bounds);
        }
        Ok((zone, at))
    }
}

impl ZoneState {
    fn report(self, index: u32) -> Zone {
        let pointed = self.is_active() || self.condition == Condition::Empty;
        Zone {
            index,
            kind: self.kind,
            condition: self.condition,
            capacity_bytes: self.capacity_bytes,
            write_pointer_bytes: pointed.then_some(self.written_bytes),
        }
    }
}
