//! The life that flash has left.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::Context;
use crate::level::Axis;
use crate::observation::Source;

/// From here on the drive has written what its maker promised that it would, in percent.
const USED_MAX: u64 = 100;

/// From here on it is worth telling, in percent.
const USED_NOTE: u64 = 90;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(report) = context.history.report.as_ref() else { return };
    if context.notes.ignores_wear().is_some() {
        return;
    }
    let since = Some(report.at_unix_s);
    if let Some(used) = used_percent(context) {
        let (what, value) = ("part of the promised life that is used", format!("{used} %"));
        if used >= USED_MAX {
            let clue = Clue::degraded(Axis::Wear, Action::PlanReplacement, Source::Smart, what, value);
            clues.push(clue.since(since));
        } else if used >= USED_NOTE {
            clues.push(Clue::note(Axis::Wear, Source::Smart, what, value).since(since));
        }
    }
    let nvme = report.what.nvme.as_ref();
    let spare =
        nvme.and_then(|nvme| nvme.available_spare_percent.zip(nvme.available_spare_threshold_percent));
    if let Some((spare, threshold)) = spare {
        let what = "spare blocks that are left";
        let value = format!("{spare} % (threshold {threshold} %)");
        // The same as bit 0 of the critical warning says, for a drive that does not set it.
        if spare < threshold {
            clues.push(Clue::failing(Axis::Wear, Source::Smart, what, value).since(since).explicit());
        } else if u16::from(spare) * 2 < 100 + u16::from(threshold) {
            // More than half of the way from full to the threshold.
            let clue = Clue::degraded(Axis::Wear, Action::PlanReplacement, Source::Smart, what, value);
            clues.push(clue.since(since));
        }
    }
}

/// How much of its life a drive of flash says that it has used, in percent.
pub(crate) fn used_percent(context: &Context<'_>) -> Option<u64> {
    let report = context.report()?;
    let of_nvme = report.nvme.as_ref().and_then(|nvme| nvme.percentage_used).map(u64::from);
    let of_scsi = report.scsi.as_ref().and_then(|scsi| scsi.percentage_used);
    // ACS-4, 9.5.9 "Solid State Device Statistics": percentage used endurance indicator.
    let of_ata = report.ata.as_ref().and_then(|ata| ata.statistic(7, 8));
    of_nvme.or(of_scsi).or(of_ata.and_then(|statistic| u64::try_from(statistic.value).ok()))
}
