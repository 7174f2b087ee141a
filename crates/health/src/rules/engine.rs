//! What the drive's engine saw: errors by class, spoilt data, zones that the drive gave up, and how it stands itself.
//!
//! - One unreadable record may be a sector that a passing shock spoilt: it is evidence for a week. Errors in several
//!   places of time are a drive that goes on failing.
//! - A drive may lose a few zones, or one head, and go on with the rest: that is degraded, and never failing alone.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, DAY_S, GROWTH_S, HELD_S, LATE_S};
use crate::happenings::Happening;
use crate::level::Axis;
use crate::observation::Source;

/// So many errors within 30 days count, though none of them was in the last week.
const ERRORS_IN_MONTH_MIN: u64 = 3;

/// Errors are strong evidence where they came in so many different ten minutes of the last week.
const STRONG_SLOTS_MIN: usize = 3;

/// So many failures to open a device within a day.
const OPEN_ERRORS_MIN: u64 = 3;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    errors(context, clues);
    zones(context, clues);
    unknown_zones(context, clues);
    checkpoints(context, clues);
    scrub(context, clues);
}

fn errors(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let rules: [(&[Happening], Action, &str); 5] = [
        (&[Happening::ReadError], Action::Scrub, "reads that the drive failed"),
        (
            &[Happening::WriteError, Happening::ResetError],
            Action::PlanReplacement,
            "writes and resets that the drive failed",
        ),
        (
            &[Happening::FlushError],
            Action::PlanReplacement,
            "flushes that failed: data that the drive had taken may be gone",
        ),
        (
            &[Happening::ChecksumFailure],
            Action::PlanReplacement,
            "reads that the drive called good and that were wrong",
        ),
        (&[Happening::ScrubFinding], Action::Scrub, "records that the scrub found bad or lost"),
    ];
    for (happenings, action, what) in rules {
        let (week, month) = (context.tally(happenings, HELD_S), context.tally(happenings, GROWTH_S));
        if month.count == 0 {
            continue;
        }
        let value = format!("{} in 7 days, {} in 30", week.count, month.count);
        let clue = if week.count > 0 || month.count >= ERRORS_IN_MONTH_MIN {
            Clue::degraded(Axis::Media, action, Source::Engine, what, value)
        } else {
            Clue::note(Axis::Media, Source::Engine, what, value)
        };
        let clue = clue.since(month.since_unix_s);
        clues.push(if week.slots >= STRONG_SLOTS_MIN { clue.strong() } else { clue });
    }
    let open = context.tally(&[Happening::OpenError], DAY_S);
    if open.count >= OPEN_ERRORS_MIN {
        let what = "times within a day that the device could not be opened";
        let clue = Clue::degraded(Axis::Link, Action::CheckLink, Source::Engine, what, open.count);
        clues.push(clue.since(open.since_unix_s));
    }
}

/// The drive itself takes a zone out of service: read-only or offline (ZBC-2, ZNS), each for a head or a surface that
/// it has lost. It says so to everybody, so that this is strong, and it stays so.
fn zones(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let history = context.history;
    let struck_out = context.cleared();
    for (zones, struck_out, what) in [
        (
            &history.zones_read_only,
            struck_out.map_or(0, |cleared| cleared.zones_read_only),
            "zones that the drive has made read-only",
        ),
        (
            &history.zones_offline,
            struck_out.map_or(0, |cleared| cleared.zones_offline),
            "zones that the drive has taken offline",
        ),
    ] {
        let Some(zones) = zones.as_ref().filter(|zones| zones.at_unix_s <= context.now_unix_s) else {
            continue;
        };
        let count = zones.what.saturating_sub(struck_out);
        if count > 0 {
            let clue = Clue::degraded(Axis::Media, Action::PlanReplacement, Source::Engine, what, count);
            clues.push(clue.since(Some(zones.at_unix_s)).strong());
        }
    }
}

/// Blocks may have stood there of which nothing else tells. That is not the medium's state alone but the data's: whoever
/// has copies has to look now.
fn unknown_zones(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let zones = context.history.zones_unknown.as_ref().filter(|zones| zones.at_unix_s <= context.now_unix_s);
    let Some(zones) = zones else { return };
    let count = zones.what.saturating_sub(context.cleared().map_or(0, |cleared| cleared.zones_unknown));
    if count > 0 {
        let what =
            "zones that cannot be read: blocks of these are not answered for, repair them from their copies";
        let clue = Clue::degraded(Axis::Media, Action::RestoreBlocks, Source::Engine, what, count);
        clues.push(clue.since(Some(zones.at_unix_s)));
    }
}

/// No illness: nothing is lost, and the next mount takes long.
fn checkpoints(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let keeps =
        context.history.keeps_checkpoints.as_ref().filter(|keeps| keeps.at_unix_s <= context.now_unix_s);
    if let Some(keeps) = keeps.filter(|keeps| !keeps.what) {
        let what = "checkpoints of the index: without them the next mount takes long";
        let clue = Clue::note(Axis::Media, Source::Engine, what, "none; the drive's entry says why");
        clues.push(clue.since(Some(keeps.at_unix_s)));
    }
}

/// What was not read for longer than the scrub's period may be bad and nobody knows. That the engine is late makes the
/// drive no worse. What an engine said that has been silent since is no news.
fn scrub(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let is_fresh = |at_unix_s: u64| {
        at_unix_s <= context.now_unix_s && context.now_unix_s.saturating_sub(at_unix_s) <= LATE_S
    };
    let told = context.history.scrub.as_ref().filter(|told| is_fresh(told.at_unix_s));
    let Some(scrub) = told.map(|told| told.what) else { return };
    let Some(oldest_unix_s) = scrub.oldest_unix_s else { return };
    let age_s = context.now_unix_s.saturating_sub(oldest_unix_s);
    if age_s > scrub.period_s {
        let value = format!(
            "last read {} days ago (period {} days); {} of {} zones are due",
            age_s / DAY_S,
            scrub.period_s / DAY_S,
            scrub.due_zones,
            scrub.zones
        );
        let what = "the scrub is overdue: data that it has not read within its period";
        let clue = Clue::note(Axis::Media, Source::Engine, what, value).asks(Action::Scrub);
        clues.push(clue.since(Some(oldest_unix_s.saturating_add(scrub.period_s))));
    }
}
