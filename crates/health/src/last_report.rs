//! The last report, and of each part that it lacks the last that was told.
//!
//! - A light question asks for less than a heavy one, and a command may fail: a part that is not in an answer is not
//!   gone from the drive. It is kept from the report before, with an age of its own.
//! - The drive's overall status is never kept: what a drive said of itself an hour ago is not what it says.

use serde::{Deserialize, Serialize};
use smartctl_parser::{Attribute, NvmeHealth, Report, Scsi};

/// A part of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// ATA's attributes.
    Attributes,
    /// ATA's statistics, and its counters of defects and of the link.
    Statistics,
    /// SCSI's counters and defects.
    Scsi,
    /// NVMe's health log.
    Nvme,
    /// The part of its life that a drive of flash has used, as smartctl makes it out.
    Endurance,
}

impl Part {
    const ALL: [Self; 5] = [Self::Attributes, Self::Statistics, Self::Scsi, Self::Nvme, Self::Endurance];
}

/// The last report of a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastReport {
    /// When it was made, in seconds since 1970.
    pub(crate) at_unix_s: u64,
    /// The report, with parts that it lacked from earlier ones.
    pub(crate) what: Box<Report>,
    /// When each part was told, in the order of [`Part::ALL`].
    told_unix_s: [Option<u64>; Part::ALL.len()],
    /// Since when each ATA attribute has been as it is: its number, and seconds since 1970.
    #[serde(default)]
    since_unix_s: Vec<(u8, u64)>,
}

impl LastReport {
    pub(crate) fn new(at_unix_s: u64, what: Box<Report>) -> Self {
        let told_unix_s = Part::ALL.map(|part| has(&what, part).then_some(at_unix_s));
        let since_unix_s = attributes(&what).iter().map(|attribute| (attribute.id, at_unix_s)).collect();
        Self { at_unix_s, what, told_unix_s, since_unix_s }
    }

    /// Since when this attribute has stood at the value at which it stands, in seconds since 1970.
    pub(crate) fn attribute_since_unix_s(&self, id: u8) -> Option<u64> {
        self.since_unix_s.iter().find(|(of, _)| *of == id).map(|(_, since)| *since)
    }

    /// When this part was told, in seconds since 1970; `None` where it never was.
    pub(crate) const fn told_unix_s(&self, part: Part) -> Option<u64> {
        self.told_unix_s[part as usize]
    }

    /// Every time in it, to be mended.
    pub(crate) fn times(&mut self) -> impl Iterator<Item = &mut u64> {
        let since = self.since_unix_s.iter_mut().map(|(_, since)| since);
        std::iter::once(&mut self.at_unix_s).chain(self.told_unix_s.iter_mut().flatten()).chain(since)
    }

    /// This report and another one of the same drive: the newer one, and what it lacks of the older.
    pub(crate) fn with(self, other: Self) -> Self {
        let (mut newer, mut older) =
            if self.at_unix_s > other.at_unix_s { (self, other) } else { (other, self) };
        newer.stands_since(&older);
        for part in Part::ALL {
            // A third report that came late may have brought the older of two a part that is newer still.
            if newer.told_unix_s(part) < older.told_unix_s(part) {
                take(part, &mut newer.what, &mut older.what);
                newer.told_unix_s[part as usize] = older.told_unix_s(part);
            }
        }
        fill_identity(&mut newer.what, &older.what);
        newer
    }

    /// An attribute that stood as it does in an older report has done so for longer.
    fn stands_since(&mut self, older: &Self) {
        if attributes(&self.what).is_empty() {
            self.since_unix_s.clone_from(&older.since_unix_s);
        }
        for attribute in attributes(&self.what) {
            let stood = attributes(&older.what).iter().find(|other| other.id == attribute.id);
            let same =
                stood.is_some_and(|other| (other.failed, other.value) == (attribute.failed, attribute.value));
            let Some(before) = older.attribute_since_unix_s(attribute.id).filter(|_| same) else { continue };
            if let Some((_, since)) = self.since_unix_s.iter_mut().find(|(id, _)| *id == attribute.id) {
                *since = before.min(*since);
            }
        }
    }
}

fn attributes(report: &Report) -> &[Attribute] {
    report.ata.as_ref().map_or(&[], |ata| &ata.attributes)
}

fn has(report: &Report, part: Part) -> bool {
    let ata = report.ata.as_ref();
    match part {
        Part::Attributes => ata.is_some_and(|ata| !ata.attributes.is_empty()),
        Part::Statistics => ata.is_some_and(|ata| !ata.statistics.is_empty()),
        // The grown defects come with every answer, the counters with the full ones.
        Part::Scsi => report.scsi.as_ref().is_some_and(|scsi| {
            scsi.read.is_some() || scsi.write.is_some() || scsi.percentage_used.is_some()
        }),
        // The critical warning alone comes with the status, where the log is lost.
        Part::Nvme => report.nvme.as_ref().is_some_and(|nvme| {
            nvme.available_spare_percent.is_some()
                || nvme.percentage_used.is_some()
                || nvme.media_errors.is_some()
        }),
        Part::Endurance => report.endurance_used_percent.is_some(),
    }
}

/// Moves a part from one report to another.
fn take(part: Part, to: &mut Report, from: &mut Report) {
    match part {
        Part::Attributes => {
            let attributes = from.ata.as_mut().map(|ata| std::mem::take(&mut ata.attributes));
            to.ata.get_or_insert_default().attributes = attributes.unwrap_or_default();
        }
        Part::Statistics => {
            let Some(from) = from.ata.as_mut() else { return };
            let to = to.ata.get_or_insert_default();
            to.statistics = std::mem::take(&mut from.statistics);
            to.pending_defects = to.pending_defects.or(from.pending_defects);
            if to.phy_counters.is_empty() {
                to.phy_counters = std::mem::take(&mut from.phy_counters);
            }
        }
        Part::Scsi => {
            let from = from.scsi.take().unwrap_or_default();
            let to = to.scsi.get_or_insert_with(Scsi::default);
            // What the newer one told itself stays: its sense code and its defects.
            (to.read, to.write, to.verify) = (from.read, from.write, from.verify);
            to.grown_defects = to.grown_defects.or(from.grown_defects);
            to.pending_defects = to.pending_defects.or(from.pending_defects);
            to.percentage_used = to.percentage_used.or(from.percentage_used);
            to.zoned = to.zoned.or(from.zoned);
            if to.phys.is_empty() {
                to.phys = from.phys;
            }
        }
        Part::Nvme => {
            // The critical warning is a status: it is not kept, and that of the newer one stays.
            let critical_warning = to.nvme.as_ref().and_then(|log| log.critical_warning);
            to.nvme = from.nvme.take().map(|log| NvmeHealth { critical_warning, ..log });
        }
        Part::Endurance => to.endurance_used_percent = from.endurance_used_percent,
    }
}

/// What a drive is does not change from one report to the next.
fn fill_identity(to: &mut Report, from: &Report) {
    let (own, earlier) = (&mut to.identity, &from.identity);
    own.model = own.model.take().or_else(|| earlier.model.clone());
    own.family = own.family.take().or_else(|| earlier.family.clone());
    own.serial = own.serial.take().or_else(|| earlier.serial.clone());
    own.firmware = own.firmware.take().or_else(|| earlier.firmware.clone());
    own.wwn = own.wwn.take().or_else(|| earlier.wwn.clone());
    own.capacity_bytes = own.capacity_bytes.or(earlier.capacity_bytes);
    own.rotation_rate_rpm = own.rotation_rate_rpm.or(earlier.rotation_rate_rpm);
    own.host_managed_zoned = own.host_managed_zoned.or(earlier.host_managed_zoned);
    to.device.protocol = to.device.protocol.or(from.device.protocol);
    to.power_on_hours = to.power_on_hours.or(from.power_on_hours);
}
