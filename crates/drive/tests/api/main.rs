//! The data API over a simulated drive, as a client sees it: section by section, right input and wrong.
#![expect(clippy::unwrap_used, reason = "a test may stop where something cannot be")]

#[path = "../support/mod.rs"]
mod support;

mod deletions;
mod digests;
mod failures;
mod format_orders;
mod limits;
mod listings;
mod puts;
mod quiet;
mod reads;
mod scrubs;
mod status;
mod stopping;
