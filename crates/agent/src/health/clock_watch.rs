//! Steps of the node's clock, which may be years wrong until it has found a time server.
//!
//! What was recorded before a step has the wrong time. After a step forward it is old, so that every drive is asked
//! anew; after one back it is yet to come, which no rule can use: its times are set back as far.

use std::time::Instant;

/// A difference this large between the clock and the time that passed is a step, in seconds. Smaller ones matter to no
/// rule: they count by days.
const STEP_S: u64 = 3600;

/// What the clock did since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It went on.
    None,
    /// It was set forward.
    Forward,
    /// It was set back, by so many seconds.
    Back(u64),
}

/// Compares the clock with the time that passes.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    last: Option<(Instant, u64)>,
}

impl ClockWatch {
    /// What the clock did since the last look.
    pub(super) fn look(&mut self, now: Instant, now_unix_s: u64) -> Step {
        let Some((then, then_unix_s)) = self.last.replace((now, now_unix_s)) else { return Step::None };
        let expected = then_unix_s.saturating_add(now.saturating_duration_since(then).as_secs());
        if now_unix_s > expected.saturating_add(STEP_S) {
            Step::Forward
        } else if now_unix_s.saturating_add(STEP_S) < expected {
            Step::Back(expected - now_unix_s)
        } else {
            Step::None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_step_is_told_from_time_that_passes() {
        let (mut watch, start) = (ClockWatch::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(watch.look(at(0), 1_000_000), Step::None);
        assert_eq!(watch.look(at(90_000), 1_090_000), Step::None, "a day has passed");
        assert_eq!(watch.look(at(90_030), 1_091_000), Step::None, "a small step");
        assert_eq!(watch.look(at(90_060), 1_700_000_000), Step::Forward);
        assert_eq!(watch.look(at(90_090), 1_700_000_030), Step::None);
        assert_eq!(watch.look(at(90_120), 1_600_000_000), Step::Back(100_000_060));
    }
}
