//! What the kernel's log says. The kernel and the engine see the same orders fail, so that they corroborate SMART,
//! and never one another.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, DAY_S, HELD_S};
use crate::happenings::Happening;
use crate::level::Axis;
use crate::observation::Source;

/// One rule: so many of an event in a time.
struct Limit {
    happening: Happening,
    count_min: u64,
    within_s: u64,
    axis: Axis,
    action: Action,
    what: &'static str,
}

const LIMITS: [Limit; 7] = [
    Limit {
        happening: Happening::MediumError,
        count_min: 1,
        within_s: HELD_S,
        axis: Axis::Media,
        action: Action::Scrub,
        what: "medium errors within a week",
    },
    Limit {
        happening: Happening::HardwareError,
        count_min: 1,
        within_s: HELD_S,
        axis: Axis::Mechanics,
        action: Action::PlanReplacement,
        what: "hardware errors within a week",
    },
    // The kernel does not know why. One or two come with a reset that others caused.
    Limit {
        happening: Happening::IoError,
        count_min: 3,
        within_s: DAY_S,
        axis: Axis::Media,
        action: Action::Watch,
        what: "orders that failed without a reason within a day",
    },
    Limit {
        happening: Happening::Timeout,
        count_min: 3,
        within_s: DAY_S,
        axis: Axis::Mechanics,
        action: Action::Watch,
        what: "orders that the drive did not answer in time, within a day",
    },
    Limit {
        happening: Happening::LinkReset,
        count_min: 3,
        within_s: DAY_S,
        axis: Axis::Link,
        action: Action::CheckLink,
        what: "resets of the link or the drive within a day",
    },
    // A PCIe or SATA link corrects one in a while.
    Limit {
        happening: Happening::LinkError,
        count_min: 10,
        within_s: DAY_S,
        axis: Axis::Link,
        action: Action::CheckLink,
        what: "errors of the link within a day",
    },
    Limit {
        happening: Happening::Offline,
        count_min: 1,
        within_s: DAY_S,
        axis: Axis::Link,
        action: Action::CheckLink,
        what: "times within a day that the kernel gave the drive up",
    },
];

/// Events are strong evidence where they came in so many different ten minutes.
const STRONG_SLOTS_MIN: usize = 3;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    for limit in &LIMITS {
        let tally = context.tally(&[limit.happening], limit.within_s);
        if tally.count == 0 {
            continue;
        }
        let clue = if tally.count >= limit.count_min {
            Clue::degraded(limit.axis, limit.action, Source::Kernel, limit.what, tally.count)
        } else {
            Clue::note(limit.axis, Source::Kernel, limit.what, tally.count)
        };
        let clue = clue.since(tally.since_unix_s);
        clues.push(if tally.slots >= STRONG_SLOTS_MIN { clue.strong() } else { clue });
    }
}
