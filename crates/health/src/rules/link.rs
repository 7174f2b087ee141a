//! Cable, backplane and adapter: errors that the drive counts on its link.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, HELD_S};
use crate::level::Axis;
use crate::observation::Source;
use crate::reading::Counter;

/// So many spoilt frames more within a week are a bad link now.
const CRC_GROWTH_MIN: u64 = 100;

/// So many over a drive's life, and at least one in ten hours of power: a link that was never good. Fewer are
/// what is left of a cable that was changed long ago: the count never falls.
const CRC_MIN: u64 = 1000;
const CRC_HOURS: u64 = 10;

/// SAS phys count words, hundreds of them at every reset of the link.
const PHY_GROWTH_MIN: u64 = 10_000;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let growing = [
        (Counter::LinkCrc, CRC_GROWTH_MIN, "frames spoilt on the link became more within a week"),
        (Counter::PhyErrors, PHY_GROWTH_MIN, "errors of the SAS link became more within a week"),
    ];
    for (counter, growth_min, what) in growing {
        if let Some(growth) = context.growth(counter, HELD_S).filter(|growth| growth.by() >= growth_min) {
            let clue = Clue::degraded(Axis::Link, Action::CheckLink, Source::Smart, what, growth.to.count);
            clues.push(clue.was(growth.from.count).since(Some(growth.from.at_unix_s)));
        }
    }
    let Some(count) = context.highest(Counter::LinkCrc).filter(|count| count.count > 0) else { return };
    let hours = context.newest().and_then(|newest| newest.power_on_hours);
    let often = hours.is_none_or(|hours| count.count.saturating_mul(CRC_HOURS) >= hours);
    let what = "frames spoilt on the link over the drive's life";
    let clue = if count.count >= CRC_MIN && often {
        Clue::degraded(Axis::Link, Action::CheckLink, Source::Smart, what, count.count)
    } else {
        Clue::note(Axis::Link, Source::Smart, what, count.count)
    };
    clues.push(clue.since(context.since(Counter::LinkCrc, count.count)));
}
