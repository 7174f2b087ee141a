//! Bad sectors: how many, and how fast they become more.
//!
//! Sources of the figures:
//! - Google (Pinheiro et al., FAST 2007): after its first scan error a drive is 39 times as likely to fail
//!   within 60 days, after its first reallocation 14 times; yet more than half of the drives that fail show
//!   neither, and most of those that show one live on. So one remapped sector is told and makes no drive worse.
//! - Backblaze (2014, "Hard drive SMART stats"): 5, 187, 188, 197 and 198 go with failure; 187 above 0 with a
//!   yearly failure rate of a quarter to a third.
//! - The levels of 5 and 197, and their growth, were held against 25 days of Backblaze's drives; see DESIGN.md.

use smartctl_parser::Attribute;

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, Count, GROWTH_S, Growth};
use crate::level::Axis;
use crate::observation::Source;
use crate::reading::Counter;

/// So many remapped sectors are a surface that goes: makers' spares hold some thousands.
pub(crate) const REMAPPED_MIN: u64 = 256;

/// So many are, also where they may be sectors of 512 bytes: an eighth of them would not be. (Held against the same 25
/// days: it names 8 of 21,917 good drives more.)
const REMAPPED_IN_ANY_UNIT_MIN: u64 = 1_000;

/// So many in a month are one that goes now.
pub(crate) const REMAPPED_GROWTH_MIN: u64 = 32;

/// Remapped sectors with others that wait.
pub(crate) const REMAPPED_WITH_PENDING_MIN: u64 = 16;

/// So many sectors that wait to be written, or so many more in a month.
pub(crate) const PENDING_MIN: u64 = 16;
pub(crate) const PENDING_GROWTH_MIN: u64 = 8;

/// A collapse: so many more in a month, or so many remapped while others wait.
pub(crate) const COLLAPSE_GROWTH_MIN: u64 = 512;
pub(crate) const COLLAPSE_MIN: u64 = 1000;

/// Grown defects of a SCSI drive: it has no count of waiting sectors, and lists what it could not recover.
const GROWN_DEFECTS_MIN: u64 = 5;

/// Of the way from its best value to its threshold, remapping may use this part: one in ten.
const MARGIN_PARTS: u32 = 10;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let remapped = context.highest(Counter::Remapped).filter(|count| count.count > 0);
    let pending = context.highest(Counter::Pending).filter(|count| count.count > 0);
    if let Some(remapped) = remapped {
        clues.push(remapped_level(context, remapped, pending));
    }
    if let Some(pending) = pending {
        clues.push(pending_level(context, pending));
    }
    grows(context, clues);
    collapses(context, remapped, pending, clues);
    told_unreadable(context, clues);
    grown_defects(context, clues);
    margin(context, clues);
}

fn sectors(context: &Context<'_>, count: u64) -> String {
    let unit = context.sector_unit();
    if unit == 1 {
        count.to_string()
    } else {
        format!("{count} ({} of 512 bytes)", count.saturating_mul(unit))
    }
}

fn remapped_level(context: &Context<'_>, remapped: Count, pending: Option<Count>) -> Clue {
    let since = context.since(Counter::Remapped, remapped.count);
    let value = sectors(context, remapped.count);
    let what = "remapped sectors";
    // A thousand is much in any unit.
    let told = remapped.count.saturating_mul(context.sector_unit());
    if remapped.count >= REMAPPED_MIN || told >= REMAPPED_IN_ANY_UNIT_MIN {
        Clue::degraded(Axis::Media, Action::PlanReplacement, Source::Smart, what, value).strong()
    } else if remapped.count >= REMAPPED_WITH_PENDING_MIN && pending.is_some() {
        Clue::degraded(
            Axis::Media,
            Action::Scrub,
            Source::Smart,
            "remapped sectors, while others wait",
            value,
        )
        .strong()
    } else {
        Clue::note(Axis::Media, Source::Smart, what, value)
    }
    .since(since)
}

/// A sector that waits may be read well once it is written again. One that the drive's own scan could not read
/// either (198) is bad.
fn pending_level(context: &Context<'_>, pending: Count) -> Clue {
    let offline = context.highest(Counter::OfflineUnreadable).map_or(0, |count| count.count);
    let value = sectors(context, pending.count);
    let what = "sectors that could not be read and wait to be written";
    // SCSI's list is of that scan.
    let is_scsi = context.report().is_some_and(|report| report.scsi.is_some() && report.ata.is_none());
    if offline > 0 || is_scsi {
        let what = "sectors that could not be read, by the drive's own scan too";
        Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, value).strong()
    } else if pending.count >= PENDING_MIN {
        Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, value).strong()
    } else {
        Clue::note(Axis::Media, Source::Smart, what, value).asks(Action::Scrub)
    }
    .since(context.since(Counter::Pending, pending.count))
}

fn grows(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let rules = [
        (
            Counter::Remapped,
            REMAPPED_GROWTH_MIN,
            Action::PlanReplacement,
            "remapped sectors became more within 30 days",
        ),
        (Counter::Pending, PENDING_GROWTH_MIN, Action::Scrub, "sectors that wait became more within 30 days"),
    ];
    for (counter, growth_min, action, what) in rules {
        if let Some(growth) = context.growth(counter, GROWTH_S).filter(|growth| growth.by() >= growth_min) {
            let clue =
                Clue::degraded(Axis::Media, action, Source::Smart, what, sectors(context, growth.to.count));
            let clue = clue.was(sectors(context, growth.from.count)).since(Some(growth.from.at_unix_s));
            clues.push(clue.strong());
        }
    }
}

/// Both counters are the drive's own, so that a person decides: this is failing, and no word of the drive's.
fn collapses(context: &Context<'_>, remapped: Option<Count>, pending: Option<Count>, clues: &mut Vec<Clue>) {
    let growth = context.growth(Counter::Remapped, GROWTH_S);
    if let Some(growth) = growth.filter(|growth: &Growth| growth.by() >= COLLAPSE_GROWTH_MIN) {
        let what = "the surface is giving way: hundreds of sectors remapped within 30 days";
        let clue = Clue::failing(Axis::Media, Source::Smart, what, sectors(context, growth.to.count));
        clues.push(clue.was(sectors(context, growth.from.count)).since(Some(growth.from.at_unix_s)));
    }
    let defects = context.highest(Counter::GrownDefects).filter(|count| count.count >= COLLAPSE_MIN);
    let unreadable = context.highest(Counter::ToldUnreadable).filter(|count| count.count > 0);
    let remapped = remapped.filter(|count| count.count >= COLLAPSE_MIN);
    if let (Some(bad), Some(wait)) = (remapped.or(defects), pending.or(defects.and(unreadable))) {
        let what = "the surface is giving way: a thousand sectors remapped, and others cannot be read";
        let value = format!("{}, {} unreadable", sectors(context, bad.count), wait.count);
        clues.push(Clue::failing(Axis::Media, Source::Smart, what, value).since(Some(bad.at_unix_s)));
    }
}

fn told_unreadable(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let rules = [
        (Counter::ToldUnreadable, "data that the drive told a host it could not read"),
        (Counter::EndToEnd, "data spoilt on their way through the drive"),
    ];
    for (counter, what) in rules {
        if let Some(count) = context.highest(counter).filter(|count| count.count > 0) {
            let clue = Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, count.count);
            clues.push(clue.since(context.since(counter, count.count)).strong());
        }
    }
    // 198 alone: a scan once found sectors that have been written since.
    let offline = context.highest(Counter::OfflineUnreadable).filter(|count| count.count > 0);
    if let Some(count) = offline {
        let what = "sectors that the drive's own scan could not read";
        let value = sectors(context, count.count);
        let clue = if count.count >= PENDING_MIN {
            Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, what, value)
        } else {
            Clue::note(Axis::Media, Source::Smart, what, value).asks(Action::Scrub)
        };
        clues.push(clue.since(context.since(Counter::OfflineUnreadable, count.count)));
    }
}

fn grown_defects(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(defects) = context.highest(Counter::GrownDefects).filter(|count| count.count > 0) else {
        return;
    };
    let clue = if defects.count >= GROWN_DEFECTS_MIN {
        Clue::degraded(Axis::Media, Action::Scrub, Source::Smart, "grown defects", defects.count).strong()
    } else {
        Clue::note(Axis::Media, Source::Smart, "grown defects", defects.count)
    };
    clues.push(clue.since(context.since(Counter::GrownDefects, defects.count)));
}

/// The maker's own measure of the spare that is left: the way from the best normalized value to the threshold.
fn margin(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some((attributes, _)) = context.attributes() else { return };
    let remaps =
        |attribute: &&Attribute| attribute.id == 5 && attribute.count().is_some_and(|count| count > 0);
    let Some(attribute) = attributes.iter().find(remaps) else { return };
    let Some((used, whole)) = margin_used(attribute) else { return };
    if u32::from(used) * MARGIN_PARTS >= u32::from(whole) {
        let what = "part of the maker's margin for remapped sectors that is used";
        let value = format!("{} %", u32::from(used) * 100 / u32::from(whole));
        let clue = Clue::degraded(Axis::Media, Action::PlanReplacement, Source::Smart, what, value);
        clues.push(clue.since(context.attribute_since(attribute.id)).strong());
    }
}

/// How much of the way from the best value to the threshold is gone, and how long the way is. Makers begin at 100,
/// 200 or 253; a drive that was never above one of them began there. One point is no measure: it is rounded.
fn margin_used(attribute: &Attribute) -> Option<(u8, u8)> {
    let (value, threshold) = (attribute.value?, attribute.threshold.filter(|threshold| *threshold > 0)?);
    let best = [100, 200, 253].into_iter().find(|best| value <= *best)?;
    let used = best - value;
    (used > 1 && best > threshold).then(|| (used, best - threshold))
}
