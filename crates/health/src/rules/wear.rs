//! The life that flash has left.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::Context;
use crate::last_report::Part;
use crate::level::Axis;
use crate::observation::Source;

/// From here on the drive has written what its maker promised that it would, in percent.
const USED_MAX: u64 = 100;

/// From here on it is worth telling, in percent.
const USED_NOTE: u64 = 90;

/// Where the threshold is higher, in percent, there is no way down to it to speak of (some drives say 99 of 100): only
/// below it is bad.
const SPARE_THRESHOLD_MAX: u8 = 50;

/// SATA has no attribute for it that is the same everywhere. These are the names that smartctl's database gives to
/// those whose normalized value is what is left, in percent (smartmontools, drivedb.h).
const LEFT_NAMES: [&str; 11] = [
    "life_left",
    "lifetime_left",
    "life_remain",
    "lifetime_remain",
    "remaining_lifetime",
    "remaining_life",
    "drivelife_remaining",
    "perc_rated_life_used",
    "percent_lifetime_used",
    "media_wearout_indicator",
    "wear_leveling_count",
];

/// Of one maker this number, though so named, counts upward from 1.
const COUNTS_UP: u8 = 230;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    if context.notes.ignores_wear().is_some() {
        return;
    }
    if let Some((used, at_unix_s)) = used_percent(context) {
        let (what, value) = ("part of the promised life that is used", format!("{used} %"));
        if used >= USED_MAX {
            let clue = Clue::degraded(Axis::Wear, Action::PlanReplacement, Source::Smart, what, value);
            clues.push(clue.since(Some(at_unix_s)));
        } else if used >= USED_NOTE {
            clues.push(Clue::note(Axis::Wear, Source::Smart, what, value).since(Some(at_unix_s)));
        }
    }
    spare(context, clues);
}

fn spare(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(since) = context.told_unix_s(Part::Nvme) else { return };
    let Some(nvme) = context.report().and_then(|report| report.nvme.as_ref()) else { return };
    let told = nvme.available_spare_percent.zip(nvme.available_spare_threshold_percent);
    // Both 0: the drive does not tell.
    let Some((spare, threshold)) = told.filter(|told| *told != (0, 0)) else { return };
    let (what, value) = ("spare blocks that are left", format!("{spare} % (threshold {threshold} %)"));
    // The same as bit 0 of the critical warning says, for a drive that does not set it.
    if spare < threshold {
        clues.push(Clue::failing(Axis::Wear, Source::Smart, what, value).since(Some(since)).explicit());
    } else if threshold <= SPARE_THRESHOLD_MAX && u16::from(spare) * 2 < 100 + u16::from(threshold) {
        // More than half of the way from full to the threshold.
        let clue = Clue::degraded(Axis::Wear, Action::PlanReplacement, Source::Smart, what, value);
        clues.push(clue.since(Some(since)));
    }
}

/// How much of its life a drive of flash says that it has used, in percent, and when it said so.
pub(crate) fn used_percent(context: &Context<'_>) -> Option<(u64, u64)> {
    let report = context.report()?;
    let of_nvme = || {
        let used = report.nvme.as_ref()?.percentage_used.map(u64::from)?;
        Some((used, context.told_unix_s(Part::Nvme)?))
    };
    let of_scsi = || Some((report.scsi.as_ref()?.percentage_used?, context.told_unix_s(Part::Scsi)?));
    // ACS-4, 9.5.9 "Solid State Device Statistics": percentage used endurance indicator.
    let of_ata = || {
        let statistic = report.ata.as_ref()?.statistic(7, 8)?;
        Some((u64::try_from(statistic.value).ok()?, context.told_unix_s(Part::Statistics)?))
    };
    let of_smartctl = || Some((report.endurance_used_percent?, context.told_unix_s(Part::Endurance)?));
    of_nvme().or_else(of_scsi).or_else(of_ata).or_else(of_smartctl).or_else(|| of_attribute(context))
}

fn of_attribute(context: &Context<'_>) -> Option<(u64, u64)> {
    let (attributes, at_unix_s) = context.attributes()?;
    let left = attributes.iter().find_map(|attribute| {
        let name = attribute.name.as_deref()?.to_ascii_lowercase();
        let is_life = attribute.id != COUNTS_UP && LEFT_NAMES.iter().any(|part| name.contains(part));
        // 0 is no normalized value (ACS-4), and more than 100 no percentage.
        attribute.value.filter(|value| is_life && (1..=100).contains(value))
    })?;
    // 1 is the lowest that there is: nothing is left.
    let used = if left == 1 { 100 } else { 100 - u64::from(left) };
    Some((used, at_unix_s))
}
