//! Drive health in the node: evidence is gathered in the background, verdicts are given from memory.
//!
//! - Nobody who asks for a verdict waits for a drive. What is known is in the [`Book`]: one bounded history for each
//!   drive, under its WWN and serial.
//! - Asking harms: a drive is asked by one smartctl at a time, an adapter by two, in a quiet time that the drive's
//!   engine grants, and a sleeping drive is left asleep.
//! - A question that hangs costs its own drive's answer and nobody else's.
//! - The node says which drive may be drained. It drains none: no drive takes such an order.

mod answer;
mod book;
mod changes;
mod clock_watch;
mod engine_mark;
pub(crate) mod engine_watch;
mod entry;
pub(crate) mod kernel_log;
mod kernel_words;
pub(crate) mod notes_file;
mod places;
mod poller;
pub(crate) mod saved;
mod schedule;

pub(crate) use answer::DriveLevels;
pub(crate) use book::{Book, KeepError, OrderError, Reported};
pub(crate) use entry::never_asked;
pub(crate) use notes_file::LoadedNotes;
pub(crate) use poller::run;

use std::time::{SystemTime, UNIX_EPOCH};

/// The node's clock, in seconds since 1970.
pub(crate) fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
