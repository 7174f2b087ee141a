//! Where faults come from: what was ordered by hand, and chance.
//!
//! Invariant: each kind has a stream of its own, made from the one seed. So a kind that is switched off leaves the
//! moments and the places of all others as they were.

use std::collections::BTreeSet;

use crate::simulated::faults::counts::FaultCounts;
use crate::simulated::faults::kind::{FaultKind, KINDS};
use crate::simulated::faults::rates::FaultRates;
use crate::simulated::random::Random;

/// The source of a drive's faults.
pub(crate) struct FaultSource {
    pub(crate) rates: FaultRates,
    pub(crate) counts: FaultCounts,
    /// Whether chance is on. What was ordered by hand comes all the same.
    pub(crate) on: bool,
    pub(crate) streams: [Random; KINDS],
    /// What was ordered by hand: the kind, and the zone that it shall strike.
    ordered: BTreeSet<(FaultKind, u32)>,
    /// Whether the next flush shall fail.
    pub(crate) flush_fails: bool,
    /// The zones in which no fault destroys data.
    pub(crate) spared: BTreeSet<u32>,
}

impl FaultSource {
    /// A source from which nothing comes.
    pub(crate) fn silent() -> Self {
        Self {
            rates: FaultRates::none(),
            counts: FaultCounts::default(),
            on: false,
            streams: streams(0),
            ordered: BTreeSet::new(),
            flush_fails: false,
            spared: BTreeSet::new(),
        }
    }

    /// Begins anew from `seed`, with `rates`. Counts, orders and spared zones stay.
    pub(crate) fn begin(&mut self, seed: u64, rates: FaultRates) {
        self.streams = streams(seed);
        self.rates = rates;
        self.on = true;
    }

    /// Whether `kind` strikes now. The caller counts it, once it has struck.
    pub(crate) fn strikes(&mut self, kind: FaultKind) -> bool {
        let one_in = self.rates.one_in(kind);
        self.on && one_in != 0 && self.stream(kind).one_in(u64::from(one_in))
    }

    /// Whether `kind` strikes `zone` now, by order or by chance.
    pub(crate) fn strikes_zone(&mut self, kind: FaultKind, zone: u32) -> bool {
        self.ordered.remove(&(kind, zone)) || self.strikes(kind)
    }

    /// Orders `kind` to strike `zone` once.
    pub(crate) fn order(&mut self, kind: FaultKind, zone: u32) {
        self.ordered.insert((kind, zone));
    }

    /// What decides the details of `kind`.
    pub(crate) fn stream(&mut self, kind: FaultKind) -> &mut Random {
        &mut self.streams[kind as usize]
    }
}

fn streams(seed: u64) -> [Random; KINDS] {
    let mut seeds = Random::new(seed);
    std::array::from_fn(|_| Random::new(seeds.next()))
}
