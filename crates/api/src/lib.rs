//! The types that the APIs of Imbrex share: what a node, a drive and an error look like as JSON.
//!
//! Rules for every type here:
//!
//! - Field names are `snake_case` and end in their unit (`capacity_bytes`, `uptime_ms`).
//! - What is not known is `null` (an [`Option`]) or the word `unknown`; never zero, never a guess.
//! - An enum that may grow has an `unknown` member, so that an older program reads a newer node.
//! - Nothing here acts: no input or output, no clock.

#![forbid(unsafe_code)]

pub mod drive;
pub mod health;
pub mod node;
pub mod problem;
pub mod slot;

pub use problem::Problem;
