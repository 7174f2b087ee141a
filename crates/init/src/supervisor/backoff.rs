//! How long a failed service waits, and when it has failed too often.

use std::collections::VecDeque;

/// The first wait after a failure, in milliseconds.
pub(crate) const DELAY_MS_MIN: u64 = 100;
/// The longest wait, in milliseconds.
pub(crate) const DELAY_MS_MAX: u64 = 60_000;
/// A run of this length was a good one: the next failure waits the shortest time again.
pub(crate) const GOOD_RUN_MS: u64 = 60_000;
/// So many failures ...
pub(crate) const FAILURES_MAX: usize = 5;
/// ... within this time are a crash loop.
pub(crate) const FAILURES_WINDOW_MS: u64 = 600_000;

/// Numbers that nobody needs to guess badly: they only keep restarts from falling together.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts the sequence; the same seed gives the same sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number (xorshift64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// One service's record of failures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    step: u32,
    failures_ms: VecDeque<u64>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start again at this time, in milliseconds since boot.
    Retry(u64),
    /// Failed [`FAILURES_MAX`] times within [`FAILURES_WINDOW_MS`].
    CrashLoop,
}

impl Backoff {
    /// Counts a failure at `now_ms` after a run of `run_ms`.
    pub(crate) fn fail(&mut self, now_ms: u64, run_ms: u64, random: &mut Random) -> Verdict {
        if run_ms >= GOOD_RUN_MS {
            self.step = 0;
        }
        let over = |then_ms: &mut u64| now_ms.saturating_sub(*then_ms) > FAILURES_WINDOW_MS;
        while self.failures_ms.pop_front_if(over).is_some() {}
        self.failures_ms.push_back(now_ms);
        if self.failures_ms.len() >= FAILURES_MAX {
            self.failures_ms.pop_front();
            return Verdict::CrashLoop;
        }
        Verdict::Retry(now_ms.saturating_add(self.delay_ms(random)))
    }

    /// The next wait: doubled each time, with a quarter of jitter either way, within the bounds.
    pub(crate) fn delay_ms(&mut self, random: &mut Random) -> u64 {
        let doubled_ms =
            DELAY_MS_MIN.checked_shl(self.step.min(16)).unwrap_or(DELAY_MS_MAX).min(DELAY_MS_MAX);
        self.step = self.step.saturating_add(1);
        let jitter_ms = random.next() % (doubled_ms / 2 + 1);
        (doubled_ms - doubled_ms / 4 + jitter_ms).clamp(DELAY_MS_MIN, DELAY_MS_MAX)
    }

    /// A person has cleared it: nothing is remembered.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_a_tenth_of_a_second_to_a_minute() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(7));
        let mut nominal_ms = DELAY_MS_MIN;
        for _ in 0..20 {
            let delay_ms = backoff.delay_ms(&mut random);
            assert!((DELAY_MS_MIN..=DELAY_MS_MAX).contains(&delay_ms));
            assert!(delay_ms >= nominal_ms - nominal_ms / 4 && delay_ms <= nominal_ms + nominal_ms / 4 + 1);
            nominal_ms = (nominal_ms * 2).min(DELAY_MS_MAX);
        }
    }

    #[test]
    fn a_good_run_brings_the_shortest_wait_back() {
        let (mut backoff, mut random) = (Backoff::default(), Random::new(7));
        for _ in 0..3 {
            backoff.fail(0, 0, &mut random);
        }
        let Verdict::Retry(at_ms) = backoff.fail(1_000_000, GOOD_RUN_MS, &mut random) else {
            panic!("too often")
        };
        assert!(at_ms <= 1_000_000 + DELAY_MS_MIN * 5 / 4 + 1, "{at_ms}");
    }

    #[test]
    fn five_failures_in_ten_minutes_are_a_crash_loop_and_in_eleven_are_not() {
        let mut random = Random::new(7);
        let mut loops = |interval_ms: u64| {
            let mut backoff = Backoff::default();
            (0..5).map(|failure| backoff.fail(failure * interval_ms, 0, &mut random)).last().unwrap()
        };
        assert_eq!(loops(FAILURES_WINDOW_MS / 4), Verdict::CrashLoop);
        assert_ne!(loops(FAILURES_WINDOW_MS / 4 + 1), Verdict::CrashLoop);
    }
}
