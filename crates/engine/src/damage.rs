//! The records that are known to be damaged.

use std::collections::BTreeMap;

use imbrex_format::Key;

use crate::location::Location;
use crate::request::{Damage, DamageKind};

/// How many damaged records are listed; those beyond are counted only.
pub const DAMAGE_LISTED_MAX: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(crate) struct DamageList {
    /// By zone and unit.
    listed: BTreeMap<(u32, u32), Damage>,
    unlisted: u64,
}

impl DamageList {
    /// The memory of a full list, in bytes: a tree's nodes are half full at least.
    pub(crate) const MEMORY_BYTES_MAX: u64 =
        (2 * DAMAGE_LISTED_MAX * (size_of::<(u32, u32)>() + size_of::<Damage>())) as u64;

    /// Whether a record is listed.
    pub(crate) fn lists(&self, location: Location) -> bool {
        self.listed.contains_key(&(location.zone, location.unit_offset))
    }

    /// Notes a damaged record. One that is known keeps its first entry.
    pub(crate) fn note(&mut self, key: Key, location: Location, kind: DamageKind, seen_us: u64) {
        let place = (location.zone, location.unit_offset);
        if self.lists(location) {
            return;
        }
        if self.listed.len() >= DAMAGE_LISTED_MAX {
            self.unlisted += 1;
            return;
        }
        let damage = Damage { key, zone: location.zone, unit_offset: location.unit_offset, kind, seen_us };
        self.listed.insert(place, damage);
    }

    /// Forgets a record that has been replaced, deleted, or read well again.
    pub(crate) fn forget(&mut self, location: Location) {
        self.listed.remove(&(location.zone, location.unit_offset));
    }

    /// How many damaged records were seen.
    pub(crate) fn count(&self) -> u64 {
        self.listed.len() as u64 + self.unlisted
    }

    /// The records listed, in the drive's order.
    pub(crate) fn list(&self) -> Vec<Damage> {
        self.listed.values().copied().collect()
    }
}
