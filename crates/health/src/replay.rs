//! The rules, run over a fleet's recorded history: what they would have said, and how often they were right.
//!
//! - The rules are those of [`judge`](crate::judge), on a [`History`](crate::History) that is fed one day after
//!   another; nothing of a later day is known on an earlier one.
//! - A drive counts as found where its level was reached on any day up to the one on which it failed. All drives that
//!   did not fail within the file are well, though some of them failed later.

mod fleet;
mod score;

pub use fleet::{BadFleet, Fleet};
pub use score::{Row, Share, score};
