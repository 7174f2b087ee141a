//! The end of an engine, in order or not, and what the next one must find.

use std::sync::Arc;

use imbrex_zoned::Device;
use imbrex_zoned::simulated::FaultKind;

use super::counts::UNENDED;
use super::drive::FailingPower;
use super::model::key;
use super::operation::Concealed;
use super::setup::Faults;
use super::world::{Pending, World};
use crate::command::{Command, Reply};
use crate::engine::Engine;
use crate::location::Location;
use crate::publish::Published;
use crate::request::State;

/// How often a drive is opened again that faults keep from being mounted.
const MOUNTS_MAX: u32 = 100;

/// Within how many operations after a flush has failed the power does.
const CUT_OPERATIONS: u64 = 4;

/// How many turns an engine that was told to end has.
const TURNS_MAX: u32 = 20_000;

impl World {
    /// Ends the engine when everything is answered, and starts it again.
    pub(super) fn restart(&mut self, stop: bool) {
        self.settle();
        if stop {
            self.stop();
        }
        self.counts.add("restart");
        self.start(None);
    }

    fn stop(&mut self) {
        let (reply, _answer) = Reply::new(None);
        self.turn(Some(Command::Stop(reply)));
        for _ in 0..TURNS_MAX {
            if self.engine.is_finished() {
                self.counts.add("clean stop");
                return;
            }
            self.turn(None);
        }
        let sentence = self.engine.describe();
        assert!(self.is_without_room(), "an engine that was told to end never does: {sentence}");
        self.counts.add(UNENDED);
    }

    /// Cuts the power with whatever is under way, and starts again.
    pub(super) fn cut_power(&mut self, seed: u64, in_mount: Option<u32>, concealed: Concealed) {
        self.counts.add("power cut");
        self.drive.crash(seed).expect("a crash");
        self.cut_off();
        self.conceal(concealed);
        self.start(in_mount.map(|waits| (waits, seed.rotate_left(17))));
    }

    /// Where flushes fail often, half of the failures are followed by a power cut, some operations later: what was under way
    /// then stands on the drive, and what the flush has lost is not written again yet.
    pub(super) fn cut_power_where_flushes_fail(&mut self) {
        if self.is_over || !self.setup.is_cut_where_flushes_fail {
            return;
        }
        let failed = self.drive.fault_counts().of(FaultKind::LateFlushError);
        if std::mem::replace(&mut self.flushes_failed, failed) < failed {
            self.cut_in_operations =
                Some(failed % (2 * CUT_OPERATIONS)).filter(|count| *count < CUT_OPERATIONS);
        }
        match self.cut_in_operations {
            Some(0) => {
                self.cut_in_operations = None;
                self.cut_power(self.setup.seed ^ failed, None, Concealed::Nothing);
            }
            Some(count) => self.cut_in_operations = Some(count - 1),
            None => {}
        }
    }

    /// The drive has gone: it is opened again.
    pub(super) fn reopen(&mut self) {
        self.counts.add("reopened");
        self.cut_off();
        self.start(None);
    }

    /// What was asked and not answered may have been done or not.
    fn cut_off(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Put { key, content, places, .. } => {
                    self.counts.add("operation cut off");
                    if self.model.may_be_absent(key) || self.may_replace(&places) {
                        self.model.may_become(key, Some(content));
                    }
                }
                Pending::Delete { key, .. } => {
                    self.counts.add("operation cut off");
                    self.model.may_become(key, None);
                }
                Pending::Get { .. } | Pending::Head { .. } => {}
            }
        }
        self.busy.clear();
        self.left.clear();
        self.listing = None;
    }

    pub(super) fn count_stats(&mut self) {
        let stats = self.engine.stats();
        let is_clean = stats.scrub_structure_errors == 0 || self.setup.faults != Faults::None;
        assert!(is_clean, "the scrub finds damage where none is: {}", self.engine.describe());
        for (thing, count) in [
            ("zones sealed", stats.zones_sealed),
            ("zones fenced", stats.zones_fenced),
            ("zones reset", stats.zones_reset),
            ("zones reclaimed", stats.zones_reclaimed),
            ("blocks moved", stats.moved_blocks),
            ("blocks written elsewhere", stats.rewritten_blocks),
            ("tombstones carried", stats.carried_tombstones),
            ("checkpoints", stats.checkpoints),
            ("checkpoints given up", stats.checkpoints_failed),
            ("slots of checkpoints moved", stats.slots_moved),
            ("label renewed by a mount", stats.labels_renewed),
            ("records scrubbed", stats.scrubbed_records),
            ("damaged records found by the scrub", stats.scrub_errors),
            ("damaged structures found by the scrub", stats.scrub_structure_errors),
        ] {
            self.counts.add_many(thing, count);
        }
    }

    /// Starts an engine; with `power`, the power fails once more after so many waits.
    fn start(&mut self, power: Option<(u32, u64)>) {
        self.count_stats();
        self.busy.clear();
        let places: Vec<Vec<Location>> =
            self.model.keys().map(|number| self.engine.places_of(&key(number))).collect();
        let mut power = power;
        for _ in 0..MOUNTS_MAX {
            self.mount(power.take());
            self.drive.reveal();
            self.labels_are_concealed = false;
            if *self.engine.state() == State::Serving {
                self.model.mounted();
                self.spare_a_label();
                self.check_mounted(&places);
                return;
            }
            self.counts.add("mount refused");
        }
        assert!(
            self.setup.faults == Faults::Destroying,
            "the drive cannot be mounted: {:?}",
            self.engine.state()
        );
        self.counts.add("drive lost");
        self.is_over = true;
    }

    pub(super) fn mount(&mut self, power: Option<(u32, u64)>) {
        // The old engine's memory goes back before the next one takes any.
        self.engine.give_up();
        self.power_fails = power.is_some();
        if self.setup.is_verified && !self.labels_are_concealed {
            self.verify();
        }
        let device = self.drive.open(self.pool.clone());
        let device: Box<dyn Device> = match power {
            None => Box::new(device),
            Some((waits_left, seed)) => {
                self.counts.add("power cut in a mount");
                Box::new(FailingPower { device, drive: self.drive.clone(), waits_left, seed })
            }
        };
        let published = Arc::new(Published::new(0));
        let clock = Arc::clone(&self.clock);
        self.engine = Engine::new(device, clock, published, &self.setup.options);
        assert_eq!(self.pool.bytes_free(), self.pool.bytes_total(), "an engine kept memory");
        self.engine.mount();
        let is_allowed = power.is_some() || self.setup.faults != Faults::None || self.labels_are_concealed;
        let state = self.engine.state();
        assert!(is_allowed || *state == State::Serving, "the drive is not mounted: {state:?}");
    }

    /// What was acknowledged is indexed, what was deleted is not. Where the drive has destroyed what says so, it is counted.
    fn check_mounted(&mut self, places_before: &[Vec<Location>]) {
        if let Some(store) = self.engine.store() {
            store.check_books();
            let is_one_lost = store.zones.iter().any(|(_, entry)| entry.is_lost_life);
            assert!(
                !is_one_lost || self.setup.faults == Faults::Destroying,
                "a zone that the engine has reset is called lost: {}",
                self.engine.describe()
            );
            if is_one_lost {
                self.counts.add("mount that found a zone empty, and what lived in it lost");
            }
            if store.checkpointing.newest_slot().is_some() {
                self.counts.add("mount by checkpoint");
            }
            if store.zones.unknown_count() > 0 {
                self.counts.add("mount that left zones in doubt");
            }
            let is_told = store.lost_records > 0;
            assert!(
                !is_told || self.setup.faults != Faults::None || self.setup.may_tear_headers(),
                "a drive without faults is told to have lost something: {}",
                self.engine.describe()
            );
            if is_told {
                self.counts.add("mount that found losses");
            }
        }
        for (number, before) in self.model.keys().zip(places_before) {
            let places = self.engine.places_of(&key(number));
            let (may_be_absent, may_be_there) =
                (self.model.may_be_absent(number), self.model.may_be_there(number));
            if places.is_empty() && !may_be_absent {
                self.check_loss(number, before);
            }
            let came_back = !places.is_empty() && !may_be_there && !self.haunted.contains(&number);
            if !places.is_empty() && places != *before && self.has_destroyed() {
                // What killed an older copy is lost with the newer one.
                self.haunted.insert(number);
            } else if came_back || places.len() > 1 {
                assert!(
                    self.has_destroyed(),
                    "key {number} was deleted, or stands once, and came back at {places:?}; before {before:?}; {}",
                    self.engine.describe()
                );
                self.counts.add("deleted block brought back by damage");
                self.haunted.insert(number);
            }
        }
    }

    fn check_loss(&mut self, number: u64, before: &[Location]) {
        let is_explained = self.setup.faults == Faults::Destroying
            && (self.haunted.contains(&number)
                || (before.is_empty() && self.has_destroyed())
                || before.iter().any(|place| self.zone_is_damaged(place.zone)));
        let possible = self.model.possible(number);
        assert!(
            is_explained,
            "key {number} is lost: {possible:?}; it was at {before:?}; {}",
            self.engine.describe()
        );
        self.counts.add("block lost by a mount");
        let is_told = self
            .engine
            .store()
            .is_some_and(|store| store.lost_records > 0 || store.zones.unknown_count() > 0);
        // What a drive has changed without a word can take a commit, and nothing tells that from a group that a crash tore.
        let is_silent = {
            let counts = self.drive.fault_counts();
            [FaultKind::BitFlip, FaultKind::LostWrite, FaultKind::MisdirectedWrite]
                .into_iter()
                .any(|kind| counts.of(kind) > 0)
        };
        assert!(
            is_told || is_silent,
            "key {number} is lost, and the drive says nothing: {possible:?}; it was at {before:?}; {}",
            self.engine.describe()
        );
        if !is_told {
            self.counts.add("block lost by a mount to silent damage, and not counted");
        }
        self.model.may_become(number, None);
    }

    fn zone_is_damaged(&self, zone: u32) -> bool {
        let unit_count = u32::try_from(self.setup.geometry.zone_size_bytes / 4096).expect("a small zone");
        self.place_is_damaged(Location { zone, unit_offset: 0, unit_count })
    }

    /// Whether the drive has destroyed anything that it had acknowledged.
    pub(super) fn has_destroyed(&self) -> bool {
        let counts = self.drive.fault_counts();
        self.setup.faults == Faults::Destroying && FaultKind::ALL.into_iter().any(|kind| counts.of(kind) > 0)
    }
}
