//! How far the kernel's log was read, and what it said of devices that are no drives yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use imbrex_health::{Finding, KernelEvent};

use super::entry::Entry;

/// At most this many of the kernel's words about devices that are no drives yet are kept, for so long: a drive may err
/// while it is found.
pub(super) const UNCLAIMED_MAX: usize = 256;
const UNCLAIMED_KEPT: Duration = Duration::from_secs(300);

/// How far the kernel's log was read, and what it said of devices that are no drives yet.
#[derive(Debug, Default)]
pub(super) struct KernelWords {
    next_sequence: u64,
    pub(super) reason: Option<String>,
    unclaimed: VecDeque<Unclaimed>,
}

/// What the kernel said of a device that is no drive yet.
#[derive(Debug)]
struct Unclaimed {
    name: String,
    at_unix_s: u64,
    event: KernelEvent,
    read: Instant,
}

impl KernelWords {
    /// The first record that was not read yet.
    pub(super) const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Records before this one were read before the agent started.
    pub(super) fn begin_at(&mut self, sequence: u64) {
        self.next_sequence = sequence;
    }

    /// Whether a record was not read before; it is from now on.
    pub(super) fn is_new(&mut self, sequence: u64) -> bool {
        let is_new = sequence >= self.next_sequence;
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
        is_new
    }

    /// Keeps an event for a drive that may come.
    pub(super) fn keep(&mut self, name: &str, at_unix_s: u64, event: KernelEvent) {
        if self.unclaimed.len() >= UNCLAIMED_MAX {
            self.unclaimed.pop_front();
        }
        self.unclaimed.push_back(Unclaimed { name: name.to_owned(), at_unix_s, event, read: Instant::now() });
    }

    /// Gives a drive that has come what was said of it before.
    pub(super) fn give_to(&mut self, entry: &mut Entry, now: Instant) {
        self.unclaimed.retain(|said| {
            let is_its = entry.is_called(&said.name);
            if is_its {
                entry.record(said.at_unix_s, Finding::Kernel { event: said.event });
            }
            !is_its && now.saturating_duration_since(said.read) <= UNCLAIMED_KEPT
        });
    }

    /// How many events are kept for drives that may come.
    #[cfg(test)]
    pub(super) fn unclaimed(&self) -> usize {
        self.unclaimed.len()
    }
}
