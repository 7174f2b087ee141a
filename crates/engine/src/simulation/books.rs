//! What a store knows of itself in several places must be the same in all of them.

use std::collections::BTreeMap;

use imbrex_format::Key;

use crate::engine::Engine;
use crate::location::Location;
use crate::request::Stats;
use crate::store::Store;

impl Store {
    /// Holds the index, the zone table and the referee's books against one another.
    ///
    /// # Panics
    ///
    /// Where they differ.
    pub(super) fn check_books(&self) {
        let mut by_zone: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        self.index.sweep(0..self.index.cell_count(), |location| {
            if self.zones.is_acknowledged(location) {
                let (records, units) = by_zone.entry(location.zone).or_default();
                *records += 1;
                *units += location.unit_count;
            }
        });
        for (zone, entry) in self.zones.iter() {
            let (records, units) = by_zone.remove(&zone).unwrap_or_default();
            assert_eq!(entry.live_units, units, "live units of zone {zone}: {}", self.describe());
            assert_eq!(
                self.referee.live_records(zone),
                records,
                "the referee's records of zone {zone}: {}",
                self.describe()
            );
        }
        assert_eq!(self.referee.contradictions(), 0, "the referee was told what cannot be");
        let Stats { resets_refused, .. } = self.stats;
        assert_eq!(resets_refused, 0, "the referee refused a reset");
    }

    /// The places at which the index has a visible record that may be the key's.
    pub(super) fn places_of(&self, key: &Key) -> Vec<Location> {
        let mut candidates = self.index.candidates(self.index.hash(key));
        candidates.retain(|location| self.zones.is_acknowledged(location));
        std::iter::from_fn(|| candidates.pop()).collect()
    }

    /// Every place of the index, in order.
    pub(super) fn places(&self) -> Vec<Location> {
        let mut places = Vec::new();
        self.index.sweep(0..self.index.cell_count(), |location| places.push(location));
        places.sort_by_key(|location| (location.zone, location.unit_offset));
        places
    }
}

impl Engine {
    pub(super) fn places_of(&self, key: &Key) -> Vec<Location> {
        self.store().map_or_else(Vec::new, |store| store.places_of(key))
    }
}
