//! Four ways of finding the index again give the same one: by the newest checkpoint, by the one before, by the footers of
//! zones, and record by record.

use std::collections::BTreeMap;

use imbrex_format::UNIT_BYTES;

use super::operation::operations;
use super::setup::{Faults, Setup};
use super::world::World;
use crate::location::Location;
use crate::request::State;
use crate::store::Store;

/// How many drives are tried.
const DRIVES: u64 = 150;

/// What a mount finds.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    places: Vec<Location>,
    live_units: BTreeMap<u32, u32>,
}

impl World {
    fn store(&self) -> &Store {
        self.engine.store().expect("a mounted drive")
    }

    fn mount_and_look(&mut self) -> Found {
        self.mount(None);
        assert_eq!(*self.engine.state(), State::Serving);
        let store = self.store();
        store.check_books();
        assert_eq!(store.lost_records, 0, "{}", store.describe());
        let live = |(zone, entry): (u32, &crate::zone_table::ZoneEntry)| (zone, entry.live_units);
        Found { places: store.places(), live_units: store.zones.iter().map(live).collect() }
    }

    /// Makes one unit of a zone unreadable, if it is written.
    fn damage(&self, zone: u32, unit: u32) {
        let begin = u64::from(zone) * self.setup.geometry.zone_size_bytes;
        let _ = self.drive.make_unreadable(begin + u64::from(unit) * UNIT_BYTES as u64, UNIT_BYTES as u64);
    }

    /// Makes a checkpoint's slot unreadable.
    fn damage_slot(&self, slot: u32) {
        self.store().label.checkpoint_slot(slot).for_each(|zone| self.damage(zone, 0));
    }

    /// Makes every zone's last unit unreadable, where the footer ends.
    fn damage_footers(&self) {
        let zones = self.store().zones.iter();
        for (zone, entry) in zones.filter(|(_, entry)| entry.is_readable_log() && entry.capacity_units > 0) {
            self.damage(zone, entry.capacity_units - 1);
        }
    }
}

/// How often a mount went each way.
#[derive(Debug, Default)]
struct Ways {
    newest: u32,
    one_before: u32,
    footers: u32,
    records: u32,
}

fn compare(seed: u64, ways: &mut Ways) {
    let setup = Setup::with_faults(seed, Faults::None);
    if setup.geometry.conventional_zones > setup.geometry.zone_count / 2 {
        // A crash can tear the header of a conventional zone, which is then counted as lost: nothing tells it from one that
        // was damaged. Such drives have no checkpoints to compare.
        return;
    }
    let all = operations(seed, &setup);
    if let Err(sentence) = super::shrink::run(&setup, &all) {
        let (shortest, sentence) = super::shrink::shrink(&setup, all, sentence);
        panic!("seed {seed}: {sentence}: {setup:?}: {shortest:#?}");
    }
    let mut world = World::new(setup);
    all.iter().take(450).for_each(|operation| world.step(operation));
    if seed.is_multiple_of(2) {
        world.drive.crash(seed).expect("a crash");
    } else {
        world.restart(true);
    }
    let first = world.mount_and_look();
    if let Some(newest) = world.store().checkpointing.newest_slot() {
        ways.newest += 1;
        world.damage_slot(newest);
        assert_eq!(first, world.mount_and_look(), "seed {seed}: by the checkpoint before the newest");
        if let Some(before) = world.store().checkpointing.newest_slot() {
            ways.one_before += 1;
            world.damage_slot(before);
        }
    }
    assert_eq!(first, world.mount_and_look(), "seed {seed}: by footers");
    assert_eq!(world.store().checkpointing.newest_slot(), None);
    ways.footers += 1;
    world.damage_footers();
    assert_eq!(first, world.mount_and_look(), "seed {seed}: record by record");
    ways.records += 1;
}

#[test]
fn four_ways_of_mounting_give_the_same_index() {
    let mut ways = Ways::default();
    (0..DRIVES).for_each(|seed| compare(seed, &mut ways));
    println!("mounts that gave the same index: {ways:?}");
    assert!(ways.newest > 20 && ways.one_before > 20, "too few checkpoints: {ways:?}");
}
