//! What the node is told by the machine itself, and tells it: watchdog, power button, clock, the last crash.

use super::{HelperKind, Node, Source, console, platform, power_button};
use crate::boot::Stage;
use crate::supervisor::State;
use crate::watchdog::Watchdog;
use std::path::Path;

/// How long the collection of pstore may take, in milliseconds.
pub(super) const PSTORE_DEADLINE_MS: u64 = 30_000;
/// How often a shutdown says what it waits for, in milliseconds.
pub(super) const COUNTDOWN_MS: u64 = 5_000;
/// The most lines of the last crash that are kept.
const CRASH_LINES_MAX: usize = 16;

impl Node {
    /// Takes a watchdog and power buttons that have appeared.
    pub(super) fn look_at_machine(&mut self, now_ms: u64) {
        // Not before the drivers had their turn, among them the one that makes a watchdog leave a trace.
        let drivers_sought = self.drivers_sought && !self.boot.late(Stage::Modules);
        if drivers_sought || !std::mem::take(&mut self.dirty.machine) {
            return;
        }
        if self.watchdog.is_none() {
            match Watchdog::find(Path::new(platform::SYSFS), self.command_line.watchdog_s, now_ms) {
                Ok(Some(watchdog)) => {
                    self.announce(&watchdog.describe());
                    self.watchdog = Some(watchdog);
                }
                Ok(None) => {}
                Err(error) => self.announce(&error),
            }
        }
        let known = self.sources.values().filter_map(|source| match source {
            Source::Button { name, .. } => Some(name.clone()),
            _ => None,
        });
        for (name, file) in power_button::find(Path::new(platform::SYSFS), &known.collect::<Vec<_>>()) {
            self.record(&format!("power button {name}"));
            self.watch(Source::Button { name, file });
        }
    }

    /// Feeds the watchdog, as long as every service that matters makes progress. A machine that it
    /// resets has said why on the console and in the kernel's log, which pstore keeps.
    pub(super) fn feed_watchdog(&mut self, now_ms: u64) {
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.starved.is_none()) else {
            return;
        };
        let Some(reason) = self.supervisor.overdue(now_ms) else { return watchdog.feed(now_ms) };
        let line = format!("watchdog: not fed any more: {reason}");
        watchdog.starved = Some(reason);
        console::kernel_log(&line);
        self.announce(&line);
    }

    /// Says on the console what a shutdown still waits for, and for how long.
    pub(super) fn count_down(&mut self, now_ms: u64) {
        if self.countdown_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        let waiting = self.supervisor.services().iter().filter_map(|(name, service)| match service.state {
            State::Stopping { press_ms, .. } if !service.stuck => Some((press_ms, name.as_str())),
            _ => None,
        });
        let mut waiting: Vec<(u64, &str)> = waiting.collect();
        waiting.sort_unstable();
        if let Some((press_ms, _)) = waiting.last() {
            let left_s = press_ms.saturating_sub(now_ms).div_ceil(1_000);
            let names: Vec<&str> = waiting.iter().take(8).map(|(_, name)| *name).collect();
            let count = waiting.len();
            self.announce(&format!("waiting for {count} to stop, {left_s} s at most: {}", names.join(", ")));
        }
        self.countdown_ms = Some(now_ms + COUNTDOWN_MS);
    }

    /// Somebody has set the clock.
    pub(super) fn clock_was_set(&mut self) {
        if let Some(step_ms) = self.clock.stepped(platform::now_ms()) {
            self.record(&format!("the clock was stepped by {step_ms} ms"));
        }
    }

    /// pstore was collected: what it told is published.
    pub(super) fn pstore_collected(&mut self) {
        let ring = self.logs.get(HelperKind::Pstore.log());
        let told = ring.map(|ring| ring.last(CRASH_LINES_MAX)).unwrap_or_default();
        for line in told.iter().filter(|line| !self.last_crash.contains(line)).cloned().collect::<Vec<_>>() {
            self.announce(&format!("before this boot: {line}"));
        }
        self.last_crash = told;
    }
}
