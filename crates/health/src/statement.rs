//! What a drive says of itself outright: no count, no guess.
//!
//! A report and the exit status of the same run say the same. Where they do not, neither is believed.

use serde::{Deserialize, Serialize};
use smartctl_parser::{Attribute, AttributeFailed, ExitStatus, Report};

/// Something that the drive says of itself outright: no count, no guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statement {
    /// Its overall status is "failing".
    StatusFailing,
    /// A prefailure attribute is at or below its threshold.
    PrefailureNow,
    /// It predicts its failure (SCSI sense 5Dh).
    PredictsFailure,
    /// It warns (SCSI sense 0Bh) of something other than heat.
    Warns,
    /// It is too hot, by its own measure.
    TooHot,
    /// Its spare is below its threshold (NVMe).
    SpareLow,
    /// Its reliability is degraded (NVMe).
    Unreliable,
    /// It can only be read (NVMe).
    ReadOnly,
    /// Its volatile memory is no longer backed up (NVMe).
    BackupFailed,
    /// Its persistent memory region can only be read, or is unreliable (NVMe).
    MemoryRegionFailed,
    /// smartctl contradicts itself: the drive's status is passed in its report and failing in its exit status.
    Contradicted,
}

impl Statement {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::StatusFailing,
        Self::PrefailureNow,
        Self::PredictsFailure,
        Self::Warns,
        Self::TooHot,
        Self::SpareLow,
        Self::Unreliable,
        Self::ReadOnly,
        Self::BackupFailed,
        Self::MemoryRegionFailed,
        Self::Contradicted,
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Statements, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statements(u16);

impl Statements {
    /// Whether the drive says this.
    #[must_use]
    pub const fn has(self, statement: Statement) -> bool {
        self.0 & statement.bit() != 0
    }

    /// What the drive says in a report.
    pub(crate) fn of(report: &Report) -> Self {
        statements(report)
    }

    /// Adds a statement.
    pub const fn add(&mut self, statement: Statement) {
        self.0 |= statement.bit();
    }

    /// What either says.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the drive says outright. smartctl calls an NVMe drive with any critical warning failed, and a SCSI drive
/// with any informational exception: there the code itself is heeded, and "failed" only where it says no more.
fn statements(report: &Report) -> Statements {
    let mut statements = Statements::default();
    let mut say = |holds: bool, statement| {
        if holds {
            statements.add(statement);
        }
    };
    let warning = report.nvme.as_ref().and_then(|nvme| nvme.critical_warning).unwrap_or_default();
    say(warning.spare_low(), Statement::SpareLow);
    say(warning.temperature(), Statement::TooHot);
    say(warning.reliability_degraded(), Statement::Unreliable);
    say(warning.read_only(), Statement::ReadOnly);
    say(warning.backup_failed(), Statement::BackupFailed);
    say(warning.persistent_memory(), Statement::MemoryRegionFailed);
    let sense = report.scsi.as_ref().and_then(|scsi| scsi.sense.as_ref());
    let explained = sense.is_some_and(|sense| matches!(sense.asc, 0x0b | 0x5d)) || warning.0 & 0x3f != 0;
    if let Some(sense) = sense {
        // SPC-5, annex F: 0Bh/01h is "specified temperature exceeded".
        let hot = sense.is_warning() && sense.ascq == 1;
        say(sense.predicts_failure(), Statement::PredictsFailure);
        say(hot, Statement::TooHot);
        say(sense.is_warning() && !hot, Statement::Warns);
    }
    // smartctl makes its exit status of the same answers as its report: where a part of the report is lost, it tells.
    let exit = report.exit.filter(|exit| !exit.no_data());
    let failing = exit.is_some_and(ExitStatus::drive_failing);
    let told = report.smart_passed.map_or(failing, |passed| !passed);
    say(told && !explained, Statement::StatusFailing);
    // Which of the two is right nobody can say.
    say(report.smart_passed == Some(true) && failing && !explained, Statement::Contradicted);
    let lacks_attributes = report.ata.as_ref().is_none_or(|ata| ata.attributes.is_empty());
    let below = exit.is_some_and(ExitStatus::attribute_below_threshold);
    say(below && lacks_attributes, Statement::PrefailureNow);
    let prefailure = |attribute: &Attribute| {
        attribute.failed == Some(AttributeFailed::Now) && attribute.prefailure == Some(true)
    };
    say(
        report.ata.as_ref().is_some_and(|ata| ata.attributes.iter().any(prefailure)),
        Statement::PrefailureNow,
    );
    statements
}
