//! What we know of each zone, to refuse before the kernel sees it what would be our own fault.
//!
//! The kernel answers most such faults with a plain I/O error, which could be the medium's too. So the rules are checked
//! here, against the last report and what has been done since. It takes 32 bytes a zone: 2.4 MB for 20 TB.

use crate::{Condition, DeviceError, Geometry, Zone, ZoneKind, ZoneOperation};

/// Where a zone may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Conventional.
    Anywhere,
    /// At its write pointer, in bytes from its start.
    At(u64),
    /// At its write pointer, which is not known: nothing was reported yet, or something has failed.
    Unknown,
    /// Nowhere, by its condition.
    Refused(Condition),
}

#[derive(Clone, Copy, Debug)]
struct Guarded {
    capacity_bytes: u64,
    rule: Rule,
    /// Whether a write is in flight; kept for sequential zones only.
    writing: bool,
}

/// All zones of one drive.
pub(crate) struct ZoneGuard {
    geometry: Geometry,
    zones: Vec<Guarded>,
}

impl ZoneGuard {
    /// Knows the geometry alone, until a report.
    pub(crate) fn new(geometry: Geometry) -> Self {
        let unknown =
            Guarded { capacity_bytes: geometry.zone_size_bytes, rule: Rule::Unknown, writing: false };
        Self { zones: vec![unknown; geometry.zone_count as usize], geometry }
    }

    /// Learns from a report.
    pub(crate) fn learn(&mut self, zones: &[Zone]) {
        for zone in zones {
            let Some(guarded) = self.zones.get_mut(zone.index as usize) else { continue };
            guarded.capacity_bytes = zone.capacity_bytes;
            guarded.rule = match (zone.condition, zone.kind, zone.write_pointer_bytes) {
                (Condition::Full | Condition::ReadOnly | Condition::Offline, _, _) => {
                    Rule::Refused(zone.condition)
                }
                (_, ZoneKind::Conventional, _) => Rule::Anywhere,
                // A write in flight may be in the reported pointer or not.
                (_, _, Some(pointer)) if !guarded.writing => Rule::At(pointer),
                _ => Rule::Unknown,
            };
        }
    }

    /// Checks a read.
    pub(crate) fn check_read(&self, offset_bytes: u64, length_bytes: u64) -> Result<(), DeviceError> {
        let unit = u64::from(self.geometry.logical_block_bytes);
        let (zone, _) = self.locate(offset_bytes, length_bytes, unit)?;
        match self.zones[zone as usize].rule {
            Rule::Refused(Condition::Offline) => {
                Err(DeviceError::ZoneCondition { zone, condition: Condition::Offline })
            }
            _ => Ok(()),
        }
    }

    /// Checks a write, and notes that it is in flight.
    pub(crate) fn begin_write(&mut self, offset_bytes: u64, length_bytes: u64) -> Result<(), DeviceError> {
        let unit = u64::from(self.geometry.write_unit_bytes);
        let (zone, at) = self.locate(offset_bytes, length_bytes, unit)?;
        let guarded = &mut self.zones[zone as usize];
        let refused = |write_pointer_bytes| DeviceError::NotAtWritePointer {
            zone,
            write_pointer_bytes,
            offset_bytes: at,
        };
        match guarded.rule {
            Rule::Anywhere => return Ok(()),
            Rule::Refused(condition) => return Err(DeviceError::ZoneCondition { zone, condition }),
            Rule::At(pointer) if pointer != at || guarded.writing => return Err(refused(pointer)),
            Rule::Unknown if guarded.writing => return Err(refused(at)),
            Rule::At(_) | Rule::Unknown => guarded.writing = true,
        }
        Ok(())
    }

    /// Notes the end of a write that [`ZoneGuard::begin_write`] has passed.
    pub(crate) fn end_write(&mut self, offset_bytes: u64, length_bytes: u64, succeeded: bool) {
        let zone = self.zone_of(offset_bytes) as usize;
        let Some(guarded) = self.zones.get_mut(zone) else { return };
        if guarded.rule == Rule::Anywhere {
            return;
        }
        guarded.writing = false;
        let pointer = offset_bytes % self.geometry.zone_size_bytes + length_bytes;
        guarded.rule = match succeeded {
            true if pointer == guarded.capacity_bytes => Rule::Refused(Condition::Full),
            true => Rule::At(pointer),
            false => Rule::Unknown,
        };
    }

    /// Checks an order.
    pub(crate) fn check_order(&self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        let Some(guarded) = self.zones.get(zone as usize) else {
            let offset_bytes = self.geometry.zone_start_bytes(zone);
            return Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: 0 });
        };
        match (guarded.rule, operation) {
            (Rule::Anywhere, _) => {
                Err(DeviceError::ZoneCondition { zone, condition: Condition::NotWritePointer })
            }
            (Rule::Refused(Condition::Full), ZoneOperation::Finish | ZoneOperation::Reset) => Ok(()),
            (Rule::Refused(condition), _) => Err(DeviceError::ZoneCondition { zone, condition }),
            (Rule::At(_) | Rule::Unknown, _) => Ok(()),
        }
    }

    /// Notes the end of an order.
    pub(crate) fn end_order(
        &mut self,
        zone: u32,
        operation: ZoneOperation,
        result: &Result<(), DeviceError>,
    ) {
        let Some(guarded) = self.zones.get_mut(zone as usize) else { return };
        match (operation, result) {
            (ZoneOperation::Finish, Ok(())) => guarded.rule = Rule::Refused(Condition::Full),
            (ZoneOperation::Reset, Ok(())) => guarded.rule = Rule::At(0),
            (
                _,
                Err(DeviceError::ZoneCondition {
                    condition: condition @ (Condition::ReadOnly | Condition::Offline),
                    ..
                }),
            ) => guarded.rule = Rule::Refused(*condition),
            // It may have been carried out all the same.
            (ZoneOperation::Finish | ZoneOperation::Reset, Err(_)) => guarded.rule = Rule::Unknown,
            (ZoneOperation::Open | ZoneOperation::Close, _) => {}
        }
    }

    /// The zone in which a byte lies.
    pub(crate) fn zone_of(&self, offset_bytes: u64) -> u32 {
        u32::try_from(offset_bytes / self.geometry.zone_size_bytes).unwrap_or(u32::MAX)
    }

    /// The zone of an aligned range that stays within one zone's capacity, and where in the zone it begins.
    fn locate(&self, offset_bytes: u64, length_bytes: u64, unit: u64) -> Result<(u32, u64), DeviceError> {
        if !offset_bytes.is_multiple_of(unit) || !length_bytes.is_multiple_of(unit) {
            return Err(DeviceError::Unaligned { offset_bytes, length_bytes });
        }
        let zone = self.zone_of(offset_bytes);
        let at = offset_bytes % self.geometry.zone_size_bytes;
        // Beyond the last zone not even a range of no bytes has a place.
        let capacity = self.zones.get(zone as usize).map(|guarded| guarded.capacity_bytes);
        let in_zone =
            at.checked_add(length_bytes).is_some_and(|end| capacity.is_some_and(|most| end <= most));
        let end = offset_bytes.checked_add(length_bytes);
        if !in_zone || end.is_none_or(|end| end > self.geometry.device_bytes) {
            return Err(DeviceError::OutOfBounds { offset_bytes, length_bytes });
        }
        Ok((zone, at))
    }
}

#[cfg(test)]
mod tests {
    use super::ZoneGuard;
    use crate::{Condition, DeviceError, Geometry, Zone, ZoneKind, ZoneOperation};

    const ZONE: u64 = 1 << 20;

    fn zone(index: u32, condition: Condition, write_pointer_bytes: Option<u64>) -> Zone {
        let conventional = condition == Condition::NotWritePointer;
        let kind = if conventional { ZoneKind::Conventional } else { ZoneKind::SequentialWriteRequired };
        Zone { index, kind, condition, capacity_bytes: ZONE / 2, write_pointer_bytes }
    }

    fn guard() -> ZoneGuard {
        let mut guard = ZoneGuard::new(Geometry {
            logical_block_bytes: 512,
            write_unit_bytes: 4096,
            zone_count: 4,
            zone_size_bytes: ZONE,
            zone_open_max: None,
            zone_active_max: None,
            device_bytes: 4 * ZONE - ZONE / 4,
            rotational: true,
        });
        guard.learn(&[
            zone(0, Condition::NotWritePointer, None),
            zone(1, Condition::Closed, Some(8192)),
            zone(2, Condition::ReadOnly, None),
        ]);
        guard
    }

    fn misplaced(write_pointer_bytes: u64, offset_bytes: u64) -> Result<(), DeviceError> {
        Err(DeviceError::NotAtWritePointer { zone: 1, write_pointer_bytes, offset_bytes })
    }

    #[test]
    fn writes_follow_the_pointer_one_at_a_time_until_the_zone_is_full() {
        let mut guard = guard();
        assert_eq!(guard.begin_write(ZONE, 4096), misplaced(8192, 0));
        assert_eq!(guard.begin_write(ZONE + 8192, 4096), Ok(()));
        assert_eq!(guard.begin_write(ZONE + 12288, 4096), misplaced(8192, 12288));
        assert_eq!(guard.begin_write(ZONE + 8192, 4096), misplaced(8192, 8192), "the same place again");
        guard.end_write(ZONE + 8192, 4096, true);
        assert_eq!(guard.begin_write(ZONE + 12288, ZONE / 2 - 12288), Ok(()));
        guard.end_write(ZONE + 12288, ZONE / 2 - 12288, true);
        let full = Err(DeviceError::ZoneCondition { zone: 1, condition: Condition::Full });
        assert_eq!(guard.begin_write(ZONE, 4096), full);
        guard.end_order(1, ZoneOperation::Reset, &Ok(()));
        assert_eq!(guard.begin_write(ZONE, 4096), Ok(()));
    }

    #[test]
    fn after_a_failed_write_the_pointer_is_unknown_until_it_is_reported() {
        let mut guard = guard();
        assert_eq!(guard.begin_write(ZONE + 8192, 8192), Ok(()));
        assert_eq!(guard.begin_write(3 * ZONE, 4096), Ok(()), "nothing was reported of this zone");
        assert!(guard.begin_write(3 * ZONE + 4096, 4096).is_err(), "and still one write is in flight");
        guard.end_write(ZONE + 8192, 8192, false);
        guard.learn(&[zone(1, Condition::ImplicitOpen, Some(12288))]);
        assert_eq!(guard.begin_write(ZONE + 8192, 4096), misplaced(12288, 8192));
        assert_eq!(guard.begin_write(ZONE + 12288, 4096), Ok(()));
    }

    #[test]
    fn conventional_and_worn_zones_have_rules_of_their_own() {
        let mut guard = guard();
        for place in [4096, 0, 4096] {
            assert_eq!(guard.begin_write(place, 4096), Ok(()));
        }
        let refused = |zone, condition| Err(DeviceError::ZoneCondition { zone, condition });
        assert_eq!(guard.check_order(0, ZoneOperation::Reset), refused(0, Condition::NotWritePointer));
        assert_eq!(guard.begin_write(2 * ZONE, 4096), refused(2, Condition::ReadOnly));
        assert_eq!(guard.check_order(2, ZoneOperation::Reset), refused(2, Condition::ReadOnly));
        assert_eq!(guard.check_read(2 * ZONE, 512), Ok(()));
        guard.learn(&[zone(2, Condition::Offline, None)]);
        assert_eq!(guard.check_read(2 * ZONE, 512), refused(2, Condition::Offline));
    }

    #[test]
    fn nothing_is_lent_to_the_kernel_that_is_unaligned_or_out_of_bounds() {
        let mut guard = guard();
        for (offset_bytes, length_bytes) in [(ZONE + 8192 + 512, 4096), (ZONE + 8192, 512)] {
            let unaligned = Err(DeviceError::Unaligned { offset_bytes, length_bytes });
            assert_eq!(guard.begin_write(offset_bytes, length_bytes), unaligned);
            assert_eq!(guard.check_read(offset_bytes, length_bytes), Ok(()));
        }
        let end = 4 * ZONE - ZONE / 4;
        for (offset_bytes, length_bytes) in
            [(ZONE + 8192, ZONE / 2), (ZONE * 2 - 4096, 8192), (end - 4096, 8192), (u64::MAX - 4095, 8192)]
        {
            let outside = Err(DeviceError::OutOfBounds { offset_bytes, length_bytes });
            assert_eq!(guard.check_read(offset_bytes, length_bytes), outside);
            assert_eq!(guard.begin_write(offset_bytes, length_bytes), outside);
        }
        assert!(guard.check_order(4, ZoneOperation::Reset).is_err());
        guard.geometry.device_bytes = 4 * ZONE;
        let outside = Err(DeviceError::OutOfBounds { offset_bytes: 4 * ZONE, length_bytes: 0 });
        assert_eq!(guard.check_read(4 * ZONE, 0), outside, "no bytes of no zone");
    }
}
