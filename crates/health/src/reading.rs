//! One reading: what a report of smartctl's says, in the few numbers that the rules ask for over time.
//!
//! - What the report does not say is `None`, and stays it.
//! - Numbers are as the drive gave them. What a note says of them is heeded when a verdict is made, so that a
//!   better note mends old history too.

use serde::{Deserialize, Serialize};
use smartctl_parser::{Ata, Attribute, ExitStatus, Report, Scsi};

use crate::statement::Statements;

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
        // smartctl that could not open the drive says nothing of it, whatever else its report holds.
        if report.exit.is_some_and(ExitStatus::no_data) {
            return None;
        }
        let statements = Statements::of(report);
        if !report.has_health_data() && statements == Statements::default() {
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
            // All ones are no count.
            let of_nvme = of_nvme.and_then(|nvme| nvme.media_errors).filter(|count| *count != u64::MAX);
            reading.set(counter, of_ata.or(of_scsi).or(of_nvme));
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
    // "Unknown_SSD_Attribute" and the like say that on such a drive the number is not known to mean that.
    matches!(name.as_str(), "unknown_attribute" | "unknown_hdd_attribute")
        || words.iter().any(|word| name.contains(word))
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
