//! The rules: each is a pure function of a history at one moment, and says what it sees.
//!
//! - A rule that sees no data says nothing. Nothing said is not "healthy": whether there are data at all is
//!   decided apart, in the verdict.
//! - A rule that compares counts compares counts of the same drive.

mod engine;
mod firmware;
mod kernel;
mod link;
mod logs;
mod mechanics;
mod media;
mod monitor;
mod statements;
mod wear;

use crate::clue::Clue;
use crate::context::Context;

pub(crate) use firmware::stands_still_now;
pub(crate) use monitor::is_absent_since;
pub(crate) use wear::used_percent;

/// A rule.
type Rule = fn(&Context<'_>, &mut Vec<Clue>);

/// All of them.
const RULES: [Rule; 10] = [
    statements::rule,
    media::rule,
    logs::rule,
    mechanics::rule,
    link::rule,
    wear::rule,
    firmware::rule,
    engine::rule,
    kernel::rule,
    monitor::rule,
];

/// What all the rules say.
pub(crate) fn clues(context: &Context<'_>) -> Vec<Clue> {
    let mut clues = Vec::new();
    RULES.iter().for_each(|rule| rule(context, &mut clues));
    clues
}
