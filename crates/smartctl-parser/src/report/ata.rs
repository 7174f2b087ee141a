//! What ATA drives say of themselves: attributes, statistics, the error log.

use serde::{Deserialize, Serialize};

use super::device::NAME_BYTES_MAX;
use crate::field::Field;

mod attribute;
mod error_log;

pub use attribute::{Attribute, AttributeFailed};
pub(crate) use error_log::hours_since;
pub use error_log::{ErrorKinds, ErrorLog, LoggedError};

/// An ATA drive has 30 attributes at most (the table's size); some bridges give more.
const ATTRIBUTES_MAX: usize = 64;

/// At most this many statistics are kept: ACS-4 defines about 70.
const STATISTICS_MAX: usize = 256;

/// At most this many counters of the link are kept: SATA defines 12, vendors add some.
const PHY_COUNTERS_MAX: usize = 64;

/// What an ATA drive says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ata {
    /// The SMART attributes, in the drive's order.
    pub attributes: Vec<Attribute>,
    /// The error log.
    pub error_log: Option<ErrorLog>,
    /// Device statistics that the drive calls valid.
    pub statistics: Vec<Statistic>,
    /// Sectors in the pending defects log (ACS-4, log 0Ch).
    pub pending_defects: Option<u64>,
    /// Counters of the SATA link since the last reset of the counters.
    pub phy_counters: Vec<PhyCounter>,
}

/// One device statistic (ACS-4, log 04h).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistic {
    /// The page.
    pub page: u8,
    /// The offset in the page, in bytes.
    pub offset_bytes: u16,
    /// Its name, as smartctl gives it.
    pub name: String,
    /// Its value.
    pub value: i64,
    /// Whether a condition that the drive monitors has been met.
    pub condition_met: bool,
}

/// One counter of the SATA link (SATA 3.4, log 11h).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhyCounter {
    /// Its number.
    pub id: u16,
    /// Its name, as smartctl gives it.
    pub name: String,
    /// Its value; it stops at its largest.
    pub value: u64,
}

impl Ata {
    /// The attribute with this number.
    pub fn attribute(&self, id: u8) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.id == id)
    }

    /// The statistic at this page and offset.
    pub fn statistic(&self, page: u8, offset_bytes: u16) -> Option<&Statistic> {
        self.statistics
            .iter()
            .find(|statistic| (statistic.page, statistic.offset_bytes) == (page, offset_bytes))
    }

    /// What a report says; none where it has nothing of ATA's.
    pub(crate) fn read(report: Field<'_>) -> Option<Self> {
        let attributes = report.at("ata_smart_attributes").at("table").items(ATTRIBUTES_MAX);
        let counters = report.at("sata_phy_event_counters").at("table").items(PHY_COUNTERS_MAX);
        let ata = Self {
            attributes: attributes.filter_map(Attribute::read).collect(),
            error_log: ErrorLog::read(report),
            statistics: statistics(report),
            pending_defects: report.at("ata_pending_defects_log").at("count").number(),
            phy_counters: counters.filter_map(phy_counter).collect(),
        };
        (ata != Self::default()).then_some(ata)
    }
}

fn statistics(report: Field<'_>) -> Vec<Statistic> {
    let pages = report.at("ata_device_statistics").at("pages").items(usize::from(u8::MAX));
    let statistics = pages.flat_map(|page| {
        let number = page.at("number").small();
        page.at("table").items(STATISTICS_MAX).filter_map(move |entry| {
            let flags = entry.at("flags");
            flags.at("valid").truth().filter(|valid| *valid)?;
            Some(Statistic {
                page: number?,
                offset_bytes: entry.at("offset").small()?,
                name: entry.at("name").owned(NAME_BYTES_MAX)?,
                value: entry.at("value").signed()?,
                condition_met: flags.at("monitored_condition_met").truth().unwrap_or(false),
            })
        })
    });
    statistics.take(STATISTICS_MAX).collect()
}

fn phy_counter(counter: Field<'_>) -> Option<PhyCounter> {
    Some(PhyCounter {
        id: counter.at("id").small()?,
        name: counter.at("name").owned(NAME_BYTES_MAX)?,
        value: counter.at("value").number()?,
    })
}
