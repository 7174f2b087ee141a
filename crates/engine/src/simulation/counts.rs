//! How often each thing happened.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use imbrex_zoned::simulated::FaultCounts;

use super::setup::FLUSHES_FAIL;

/// What must happen at least once in a suite: one that never saw it has proved nothing of it.
const MUST_HAPPEN: [&str; 34] = [
    "put",
    "put: already stored",
    "put: conflict",
    "put: too late",
    "put: index full",
    "put: left by its client",
    "get",
    "get: absent",
    "get: damaged",
    "head",
    "deletion",
    "listing",
    "scrub ordered",
    "clean stop",
    "restart",
    "power cut",
    "power cut in a mount",
    "operation cut off",
    "mount by checkpoint",
    "mount that cannot read what is whole",
    "mount that cannot read a label",
    "mount that can read no label",
    "mount that finds only an older label",
    "label zone worn out",
    "checkpoint zone worn out",
    "label renewed by a mount",
    "slots of checkpoints moved",
    "zones sealed",
    "zones fenced",
    "zones reset",
    "blocks moved",
    "tombstones carried",
    "records scrubbed",
    "damaged structures found by the scrub",
];

/// What is forgiven where faults and power cuts have left no zone: operations that are never answered, and an engine that
/// never ends.
pub(super) const UNANSWERED: &str = "no zone left: operations that are never answered";
pub(super) const UNENDED: &str = "no zone left: an end that never comes";

/// How often it is forgiven, and once more for so many operations: some ten times as often as it happens. Flushes that fail
/// often take a zone each.
const FORGIVEN_MAX: u64 = 5;
const OPERATIONS_PER_FORGIVEN: u64 = 100_000;
const OPERATIONS_PER_FORGIVEN_WHERE_FLUSHES_FAIL: u64 = 5_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    things: BTreeMap<&'static str, u64>,
    pub(super) faults: FaultCounts,
    pub(super) operations: u64,
}

impl Counts {
    pub(super) fn add(&mut self, thing: &'static str) {
        self.add_many(thing, 1);
    }

    pub(super) fn add_many(&mut self, thing: &'static str, count: u64) {
        *self.things.entry(thing).or_default() += count;
    }

    /// How often a thing has happened.
    pub(super) fn of(&self, thing: &str) -> u64 {
        self.things.get(thing).copied().unwrap_or(0)
    }

    pub(super) fn assert_little_is_forgiven(&self) {
        let forgiven = self.of(UNANSWERED) + self.of(UNENDED);
        let operations_each = match std::env::var_os(FLUSHES_FAIL) {
            Some(_) => OPERATIONS_PER_FORGIVEN_WHERE_FLUSHES_FAIL,
            None => OPERATIONS_PER_FORGIVEN,
        };
        let forgiven_max = FORGIVEN_MAX + self.operations / operations_each;
        assert!(forgiven <= forgiven_max, "{forgiven} times an engine did not answer, or did not end");
    }

    pub(super) fn assert_everything_happened(&self) {
        let never = |thing: &&str| self.things.get(*thing).is_none_or(|count| *count == 0);
        let missing: Vec<&str> = MUST_HAPPEN.into_iter().filter(never).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }

    pub(super) fn assert_every_fault_struck(&self) {
        assert!(self.faults.never().is_empty(), "faults that never struck: {:?}", self.faults.never());
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        for (thing, count) in &other.things {
            self.add_many(thing, *count);
        }
        self.faults += &other.faults;
        self.operations += other.operations;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} operations", self.operations)?;
        for (thing, count) in &self.things {
            writeln!(f, "  {count:>9}  {thing}")?;
        }
        write!(f, "  faults: {}", self.faults)
    }
}
