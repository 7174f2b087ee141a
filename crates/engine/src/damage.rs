//! The records that are known to be damaged.
//!
//! Invariant: each is counted once, however often it is met. Where the list is full, what is met beyond it is not counted,
//! for nothing would tell whether it was counted before; it is listed when it is met again and there is room.

use std::collections::BTreeMap;

use imbrex_format::Key;

use crate::location::Location;
use crate::request::{Damage, DamageKind};

/// How many damaged records are listed, and counted.
pub const DAMAGE_LISTED_MAX: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(crate) struct DamageList {
    /// By zone and unit.
    listed: BTreeMap<(u32, u32), Damage>,
}

impl DamageList {
    /// The memory of a full list, in bytes: a tree's nodes are half full at least.
    pub(crate) const MEMORY_BYTES_MAX: u64 =
        (2 * DAMAGE_LISTED_MAX * (size_of::<(u32, u32)>() + size_of::<Damage>())) as u64;

    /// Notes a damaged record; whether it is listed now and was not before. One that is known keeps its first entry.
    pub(crate) fn note(&mut self, key: Key, location: Location, kind: DamageKind, seen_us: u64) -> bool {
        let place = (location.zone, location.unit_offset);
        if self.listed.contains_key(&place) || self.listed.len() >= DAMAGE_LISTED_MAX {
            return false;
        }
        let damage = Damage { key, zone: location.zone, unit_offset: location.unit_offset, kind, seen_us };
        self.listed.insert(place, damage);
        true
    }

    /// Whether a record is listed.
    pub(crate) fn lists(&self, location: Location) -> bool {
        self.listed.contains_key(&(location.zone, location.unit_offset))
    }

    /// Forgets a record that has been replaced, deleted, or read well again.
    pub(crate) fn forget(&mut self, location: Location) {
        self.listed.remove(&(location.zone, location.unit_offset));
    }

    /// How many damaged records are known: where it is [`DAMAGE_LISTED_MAX`], at least so many.
    pub(crate) fn count(&self) -> u64 {
        self.listed.len() as u64
    }

    /// The records listed, in the drive's order.
    pub(crate) fn list(&self) -> Vec<Damage> {
        self.listed.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(number: usize) -> Location {
        Location { zone: 3, unit_offset: u32::try_from(number).unwrap(), unit_count: 1 }
    }

    fn note(list: &mut DamageList, number: usize) -> bool {
        list.note(Key([1; 32]), location(number), DamageKind::Checksum, 0)
    }

    #[test]
    fn a_record_is_counted_once_though_the_list_is_full() {
        let mut list = DamageList::default();
        assert!((0..DAMAGE_LISTED_MAX).all(|number| note(&mut list, number)));
        for number in [0, DAMAGE_LISTED_MAX, DAMAGE_LISTED_MAX, DAMAGE_LISTED_MAX + 1] {
            assert!(!note(&mut list, number));
            assert_eq!(list.count(), DAMAGE_LISTED_MAX as u64);
        }
        list.forget(location(7));
        assert_eq!(list.count(), DAMAGE_LISTED_MAX as u64 - 1);
        assert!(note(&mut list, DAMAGE_LISTED_MAX));
        assert_eq!(list.count(), list.list().len() as u64);
        assert!(list.lists(location(DAMAGE_LISTED_MAX)) && !list.lists(location(7)));
    }
}
