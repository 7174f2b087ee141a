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
    /// smartctl contradicts itself: its report says well what its exit status calls failing or at its threshold.
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
    let attributes = report.ata.as_ref().map_or(&[][..], |ata| &ata.attributes);
    let below = exit.is_some_and(ExitStatus::attribute_below_threshold);
    let has_failed = attributes.iter().any(|attribute| predicts_failure(attribute, below));
    say(has_failed || (below && attributes.is_empty()), Statement::PrefailureNow);
    // The table lacks rows, or contradicts the exit status.
    say(below && !has_failed && !attributes.is_empty(), Statement::Contradicted);
    statements
}

/// Whether an attribute that predicts failure is at its threshold. Its numbers tell too, where smartctl's word for it is
/// missing, or its exit status says that there is such an attribute (`is_known`).
fn predicts_failure(attribute: &Attribute, is_known: bool) -> bool {
    let at_threshold = || {
        let numbers = attribute.value.zip(attribute.threshold);
        numbers.is_some_and(|(value, threshold)| (1..=threshold).contains(&value))
    };
    let is_now = match attribute.failed {
        Some(AttributeFailed::Now) => true,
        None => at_threshold(),
        Some(AttributeFailed::Never | AttributeFailed::Past) => is_known && at_threshold(),
    };
    is_now && attribute.prefailure == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(exit_status: u8, rows: &str) -> Statements {
        let text = format!(
            r#"{{"smartctl":{{"version":[7,4],"exit_status":{exit_status}}},"device":{{"type":"sat","protocol":"ATA"}},
            "smart_status":{{"passed":true}},"ata_smart_attributes":{{"table":[{rows}]}}}}"#
        );
        Statements::of(&Report::parse(text.as_bytes()).expect("a report"))
    }

    fn row(value: u8, when_failed: &str) -> String {
        format!(
            r#"{{"id":5,"name":"Reallocated_Sector_Ct","value":{value},"worst":{value},"thresh":10,{when_failed}
            "flags":{{"prefailure":true}},"raw":{{"value":1,"string":"1"}}}}"#
        )
    }

    #[test]
    fn an_attribute_at_its_threshold_is_said_whoever_says_it() {
        let never = r#""when_failed":"","#;
        assert!(said(0, &row(5, r#""when_failed":"now","#)).has(Statement::PrefailureNow));
        assert!(said(0, &row(5, "")).has(Statement::PrefailureNow), "by its numbers");
        assert!(said(16, &row(5, never)).has(Statement::PrefailureNow), "by two of three");
        assert!(said(16, "").has(Statement::PrefailureNow), "by the exit status alone");
        assert_eq!(said(0, &row(5, never)), Statements::default());
        assert_eq!(said(0, &row(100, "")), Statements::default());
    }

    #[test]
    fn an_exit_status_that_no_attribute_bears_out_contradicts_the_table() {
        let said = said(16, &row(100, r#""when_failed":"","#));
        assert!(said.has(Statement::Contradicted) && !said.has(Statement::PrefailureNow));
    }
}
