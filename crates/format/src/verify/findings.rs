//! What was found so far, and whether to go on.

use imbrex_zoned::DeviceError;

use crate::key::Key;
use crate::verify::VerifyError;
use crate::verify::finding::{Finding, FindingKind};

/// How many findings a report lists. The others are counted.
const FINDINGS_MAX: usize = 10_000;

/// Why the verifier stops before the end.
#[derive(Debug)]
pub(super) enum Halt {
    /// A lie was found, and the first was asked for.
    FirstLie,
    /// The drive cannot be verified.
    Refused(VerifyError),
}

impl From<DeviceError> for Halt {
    fn from(error: DeviceError) -> Self {
        Self::Refused(VerifyError::Device(error))
    }
}

/// A place on the drive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At {
    pub(super) zone: Option<u32>,
    pub(super) unit: Option<u32>,
    pub(super) key: Option<Key>,
}

impl At {
    pub(super) fn zone(zone: u32) -> Self {
        Self { zone: Some(zone), ..Self::default() }
    }

    pub(super) fn unit(zone: u32, unit: u32) -> Self {
        Self { unit: Some(unit), ..Self::zone(zone) }
    }

    pub(super) fn key(self, key: Key) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// See the module.
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    pub(super) left_out: u64,
    pub(super) lies: u64,
    pub(super) damage: u64,
    pub(super) unsure: u64,
    /// What nothing on the drive can tell.
    pub(super) cannot_tell: Vec<String>,
    pub(super) notes: Vec<String>,
    stops_at_lie: bool,
}

impl Findings {
    pub(super) fn new(stops_at_lie: bool) -> Self {
        Self {
            list: Vec::new(),
            left_out: 0,
            lies: 0,
            damage: 0,
            unsure: 0,
            cannot_tell: Vec::new(),
            notes: Vec::new(),
            stops_at_lie,
        }
    }

    /// Adds a finding; [`Halt::FirstLie`] where it is a lie at which to stop.
    pub(super) fn add(&mut self, kind: FindingKind, at: At, what: impl Into<String>) -> Result<(), Halt> {
        let is_lie = kind.is_lie();
        if is_lie {
            self.lies += 1;
        } else if kind.is_sure() {
            self.damage += 1;
        } else {
            self.unsure += 1;
        }
        if self.list.len() < FINDINGS_MAX {
            let key = at.key.map(|key| key.to_string());
            self.list.push(Finding { kind, is_lie, zone: at.zone, unit: at.unit, key, what: what.into() });
        } else {
            self.left_out += 1;
        }
        if is_lie && self.stops_at_lie { Err(Halt::FirstLie) } else { Ok(()) }
    }

    /// Adds a finding where `holds` is false.
    pub(super) fn expect(
        &mut self,
        holds: bool,
        kind: FindingKind,
        at: At,
        what: impl FnOnce() -> String,
    ) -> Result<(), Halt> {
        if holds { Ok(()) } else { self.add(kind, at, what()) }
    }

    /// Adds something that a person may want to know, and that is not wrong.
    pub(super) fn note(&mut self, what: impl Into<String>) {
        if self.notes.len() < FINDINGS_MAX {
            self.notes.push(what.into());
        }
    }
}
