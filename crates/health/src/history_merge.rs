//! Two histories of one drive become one: what a node recorded, and what was kept elsewhere of the time before it booted.
//!
//! - The order does not matter, and to do it twice is to do it once.
//! - The later of two facts counts. What both counted in one slot of time was the same: the greater count stands.

use crate::asleep::Asleep;
use crate::history::{At, History};

impl History {
    /// Takes what `other` has and this one has not. Its identity stays: it is the one that is seen now.
    pub fn merge(&mut self, other: Self) {
        self.first_seen_unix_s = earlier(self.first_seen_unix_s, other.first_seen_unix_s);
        self.smart_answered_unix_s = self.smart_answered_unix_s.max(other.smart_answered_unix_s);
        self.engine_seen_unix_s = self.engine_seen_unix_s.max(other.engine_seen_unix_s);
        self.report = match (self.report.take(), other.report) {
            (Some(own), Some(other)) => Some(own.with(other)),
            (own, other) => own.or(other),
        };
        later(&mut self.error_log, other.error_log);
        later(&mut self.self_tests, other.self_tests);
        later(&mut self.smart_failure, other.smart_failure);
        later_state(&mut self.zones_read_only, other.zones_read_only);
        later_state(&mut self.zones_offline, other.zones_offline);
        later_state(&mut self.zones_unknown, other.zones_unknown);
        later_state(&mut self.keeps_checkpoints, other.keeps_checkpoints);
        later_state(&mut self.holds_blocks, other.holds_blocks);
        later(&mut self.scrub, other.scrub);
        later(&mut self.latency, other.latency);
        later(&mut self.present, other.present);
        later(&mut self.step, other.step);
        later(&mut self.cleared, other.cleared);
        self.happenings.merge(other.happenings);
        for reading in other.readings {
            self.put_reading(reading);
        }
        let awake_unix_s = self.readings.last().map_or(0, |newest| newest.at_unix_s);
        let asleep = [self.asleep, other.asleep].into_iter().flatten();
        self.asleep = asleep.filter(|asleep| asleep.since_unix_s > awake_unix_s).reduce(Asleep::and);
    }

    /// The latest time of anything in it, in seconds since 1970; `None` where there is nothing.
    #[must_use]
    pub fn newest_unix_s(&self) -> Option<u64> {
        let of_reading = self.readings.last().map(|reading| reading.at_unix_s);
        let of_step = self.step.as_ref().map(|step| step.at_unix_s);
        let others = [
            self.first_seen_unix_s,
            self.smart_answered_unix_s,
            self.engine_seen_unix_s,
            self.happenings.newest_unix_s(),
            of_reading,
            of_step,
            self.present.as_ref().map(|present| present.at_unix_s),
            self.cleared.as_ref().map(|cleared| cleared.at_unix_s),
            self.asleep.map(|asleep| asleep.last_unix_s),
        ];
        others.into_iter().flatten().max()
    }
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn later<T>(own: &mut Option<At<T>>, other: Option<At<T>>) {
    let is_later = |other: &At<T>| own.as_ref().is_none_or(|own| own.at_unix_s < other.at_unix_s);
    if let Some(other) = other.filter(is_later) {
        *own = Some(other);
    }
}

/// The later of two states; one that was the same before has been so since then.
fn later_state<T: PartialEq>(own: &mut Option<At<T>>, other: Option<At<T>>) {
    match (own.as_mut(), &other) {
        (Some(own), Some(other)) if own.what == other.what => {
            own.at_unix_s = own.at_unix_s.min(other.at_unix_s);
        }
        _ => later(own, other),
    }
}
