//! A history on a node whose clock was set back.
//!
//! What was recorded by a clock that went ahead has times that are yet to come, which no rule can use. It is not
//! forgotten: it came as much earlier as the clock was set back. What lies before the new time was recorded by a clock
//! that was right, and is left as it is.

use crate::history::{At, History};

impl History {
    /// The clock was set back by `by_s` seconds, to `now_unix_s`.
    pub fn clock_set_back(&mut self, by_s: u64, now_unix_s: u64) {
        let mend = |at_unix_s: &mut u64| {
            if *at_unix_s > now_unix_s {
                *at_unix_s = at_unix_s.saturating_sub(by_s).min(now_unix_s);
            }
        };
        let times =
            [&mut self.first_seen_unix_s, &mut self.smart_answered_unix_s, &mut self.engine_seen_unix_s];
        times.into_iter().flatten().for_each(mend);
        mend_at(&mut self.error_log, mend);
        mend_at(&mut self.self_tests, mend);
        mend_at(&mut self.smart_failure, mend);
        mend_at(&mut self.zones_read_only, mend);
        mend_at(&mut self.zones_offline, mend);
        mend_at(&mut self.zones_unknown, mend);
        mend_at(&mut self.keeps_checkpoints, mend);
        mend_at(&mut self.holds_blocks, mend);
        mend_at(&mut self.scrub, mend);
        if let Some(oldest) = self.scrub.as_mut().and_then(|scrub| scrub.what.oldest_unix_s.as_mut()) {
            mend(oldest);
        }
        mend_at(&mut self.latency, mend);
        mend_at(&mut self.present, mend);
        mend_at(&mut self.step, mend);
        mend_at(&mut self.cleared, mend);
        if let Some(reading) = self.cleared.as_mut().and_then(|cleared| cleared.what.reading.as_mut()) {
            mend(&mut reading.at_unix_s);
        }
        if let Some(asleep) = &mut self.asleep {
            mend(&mut asleep.since_unix_s);
            mend(&mut asleep.last_unix_s);
        }
        if let Some(report) = &mut self.report {
            report.times().for_each(mend);
        }
        self.happenings.clock_set_back(by_s, now_unix_s);
        for mut reading in std::mem::take(&mut self.readings) {
            mend(&mut reading.at_unix_s);
            self.put_reading(reading);
        }
    }
}

fn mend_at<T>(what: &mut Option<At<T>>, mend: impl Fn(&mut u64)) {
    if let Some(what) = what {
        mend(&mut what.at_unix_s);
    }
}
