//! One reading: what a report of smartctl's says, in the few numbers that the rules ask for over time.
//!
//! - What the report does not say is `None`, and stays it.
//! - Numbers are as the drive gave them. What a note says of them is heeded when a verdict is made, so that a
//!   better note mends old history too.

use serde::{Deserialize, Serialize};
use smartctl_parser::{Ata, Attribute, AttributeFailed, ExitStatus, Report, Scsi};

/// A count that only grows over a drive's life, or (pending) falls when bad sectors are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// ATA attribute 5: sectors that were given another place.
    Remapped,
    /// ATA attribute 197, or SCSI's pending defects: sectors that could not be read and wait to be written.
    Pending,
    /// ATA attribute 198: sectors that the drive's own scan could not read.
    OfflineUnreadable,
    /// ATA attribute 187 or statistic 4/8, SCSI's uncorrected errors, NVMe's media errors: what the drive
    /// had to tell a host that it could not read.
    ToldUnreadable,
    /// ATA attribute 184: data spoilt on their way through the drive.
    EndToEnd,
    /// SCSI's grown defects.
    GrownDefects,
    /// ATA attribute 199: data spoilt on the link.
    LinkCrc,
    /// SAS: errors of the phys, all kinds and phys together.
    PhyErrors,
    /// ATA attribute 10: times that the motor needed more than one try.
    SpinRetries,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Remapped,
        Self::Pending,
        Self::OfflineUnreadable,
        Self::ToldUnreadable,
        Self::EndToEnd,
        Self::GrownDefects,
        Self::LinkCrc,
        Self::PhyErrors,
        Self::SpinRetries,
    ];

    /// The ATA attribute that it is taken from, where there is one.
    #[must_use]
    pub const fn attribute(self) -> Option<u8> {
        match self {
            Self::Remapped => Some(5),
            Self::Pending => Some(197),
            Self::OfflineUnreadable => Some(198),
            Self::ToldUnreadable => Some(187),
            Self::EndToEnd => Some(184),
            Self::LinkCrc => Some(199),
            Self::SpinRetries => Some(10),
            Self::GrownDefects | Self::PhyErrors => None,
        }
    }
}

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
}

impl Statement {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::StatusFailing,
        Self::PrefailureNow,
        Self::PredictsFailure,
        Self::Warns,
        Self::TooHot,
        Self::SpareLow,
        Self::Unreliable,
        Self::ReadOnly,
        Self::BackupFailed,
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

/// One reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When it was taken, in seconds since 1970.
    pub at_unix_s: u64,
    /// Hours that the drive was on.
    pub power_on_hours: Option<u64>,
    /// Degrees Celsius.
    pub temperature_celsius: Option<i16>,
    /// What the drive says outright.
    pub statements: Statements,
    /// The counters, in the order of [`Counter::ALL`].
    counters: [Option<u64>; Counter::ALL.len()],
}

impl Reading {
    /// The reading in a report; `None` where the report says nothing of the drive's health.
    #[must_use]
    pub fn of(report: &Report, at_unix_s: u64) -> Option<Self> {
        let statements = statements(report);
        // smartctl that could not open the drive says nothing of it, whatever else its report holds.
        let is_told = report.has_health_data() && !report.exit.is_some_and(ExitStatus::no_data);
        if !is_told && statements == Statements::default() {
            return None;
        }
        let mut reading = Self {
            at_unix_s,
            power_on_hours: report.power_on_hours,
            temperature_celsius: report.temperature_celsius,
            statements,
            counters: [None; Counter::ALL.len()],
        };
        for counter in Counter::ALL {
            let of_ata = report.ata.as_ref().and_then(|ata| of_ata(ata, counter));
            let of_scsi = report.scsi.as_ref().and_then(|scsi| of_scsi(scsi, counter));
            let of_nvme = report.nvme.as_ref().filter(|_| counter == Counter::ToldUnreadable);
            reading.set(counter, of_ata.or(of_scsi).or(of_nvme.and_then(|nvme| nvme.media_errors)));
        }
        Some(reading)
    }

    /// A counter, as the drive gave it.
    #[must_use]
    pub const fn counter(&self, counter: Counter) -> Option<u64> {
        self.counters[counter as usize]
    }

    /// Takes from an earlier reading what this one does not say: a light question asks for less than a heavy one.
    pub(crate) fn fill_from(&mut self, earlier: &Self) {
        self.power_on_hours = self.power_on_hours.or(earlier.power_on_hours);
        self.temperature_celsius = self.temperature_celsius.or(earlier.temperature_celsius);
        for (own, of_earlier) in self.counters.iter_mut().zip(earlier.counters) {
            *own = own.or(of_earlier);
        }
    }

    /// Sets a counter.
    pub const fn set(&mut self, counter: Counter, count: Option<u64>) {
        self.counters[counter as usize] = count;
    }

    /// Whether nothing but the drive's clock and temperature could tell this from `other`.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        (self.statements, self.counters) == (other.statements, other.counters)
    }
}

fn of_ata(ata: &Ata, counter: Counter) -> Option<u64> {
    let attribute = counter.attribute().and_then(|id| ata.attribute(id));
    let of_attribute = attribute.filter(|attribute| tells_of(counter, attribute)).and_then(Attribute::count);
    // ACS-4, 9.5: what a drive without such an attribute may tell by its statistics (page, offset).
    let statistic = match counter {
        Counter::Remapped => Some((3, 32)),
        Counter::ToldUnreadable => Some((4, 8)),
        Counter::LinkCrc => Some((6, 24)),
        _ => None,
    };
    let of_statistic = || {
        let statistic = statistic.and_then(|(page, offset_bytes)| ata.statistic(page, offset_bytes));
        statistic.and_then(|statistic| u64::try_from(statistic.value).ok())
    };
    let of_log = || ata.pending_defects.filter(|_| counter == Counter::Pending);
    of_attribute.or_else(of_statistic).or_else(of_log)
}

/// Whether an attribute means what its number means on most drives. smartctl's database knows models on which it does
/// not (smartmontools, drivedb.h: on some solid-state drives 184 counts the bad blocks that they were made with, and
/// 197 to 199 what was read and written).
fn tells_of(counter: Counter, attribute: &Attribute) -> bool {
    let words: &[&str] = match counter {
        Counter::Pending => &["pend"],
        Counter::OfflineUnreadable => &["uncor", "unc_"],
        Counter::ToldUnreadable => &["uncor", "unc_", "_ue_"],
        Counter::EndToEnd => &["end-to-end", "e2e", "io_error_detect"],
        Counter::LinkCrc => &["crc"],
        Counter::SpinRetries => &["spin", "retr"],
        Counter::Remapped | Counter::GrownDefects | Counter::PhyErrors => return true,
    };
    let Some(name) = attribute.name.as_deref().map(str::to_ascii_lowercase) else { return true };
    name.starts_with("unknown") || words.iter().any(|word| name.contains(word))
}

fn of_scsi(scsi: &Scsi, counter: Counter) -> Option<u64> {
    match counter {
        Counter::Pending => scsi.pending_defects,
        Counter::GrownDefects => scsi.grown_defects.map(|defects| defects.count),
        Counter::ToldUnreadable => [&scsi.read, &scsi.write, &scsi.verify]
            .into_iter()
            .filter_map(|counters| counters.as_ref()?.uncorrected)
            .reduce(u64::saturating_add),
        Counter::PhyErrors => scsi
            .phys
            .iter()
            .flat_map(|phy| {
                [phy.invalid_words, phy.disparity_errors, phy.synchronization_losses, phy.reset_problems]
            })
            .flatten()
            .reduce(u64::saturating_add),
        _ => None,
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
    say(warning.backup_failed() || warning.persistent_memory(), Statement::BackupFailed);
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
    let told = report.smart_passed == Some(false) || exit.is_some_and(ExitStatus::drive_failing);
    say(told && !explained, Statement::StatusFailing);
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
