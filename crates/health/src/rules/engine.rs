//! What the drive's engine saw: errors by class, spoilt data, zones that the drive gave up.
//!
//! - One unreadable record may be a sector that a passing shock spoilt: it is evidence for a week. Errors in several
//!   places of time are a drive that goes on failing.
//! - A drive may lose a few zones, or one head, and go on with the rest: that is degraded, and never failing alone.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, DAY_S, GROWTH_S, HELD_S};
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
