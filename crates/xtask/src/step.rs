//! Progress: one line when a step starts, one with its duration when it ends.

use std::time::{Duration, Instant};

/// How long a step may be silent before it says that it is still at work.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// A step that a person waits for.
#[derive(Debug)]
pub struct Step {
    name: String,
    started: Instant,
    spoken: Instant,
}

impl Step {
    /// Starts a step and says so.
    #[must_use]
    pub fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        eprintln!("→ {name} ...");
        let now = Instant::now();
        Self { name, started: now, spoken: now }
    }

    /// Says that a step had nothing to do.
    pub fn up_to_date(name: &str) {
        eprintln!("✓ {name}: up to date");
    }

    /// Says that the step is still at work, where it has been silent for long.
    pub fn still(&mut self, detail: &str) {
        if self.spoken.elapsed() >= SILENCE_MAX {
            self.spoken = Instant::now();
            let detail = if detail.is_empty() { "still at work" } else { detail };
            eprintln!("  {:.0} s: {detail}", self.started.elapsed().as_secs_f64());
        }
    }

    /// How long it has taken so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the step and says how long it took, with what came out of it.
    pub fn done(self, outcome: &str) -> Duration {
        self.end('✓', outcome)
    }

    /// Ends the step, which has failed, and says how long it took, with what came out of it.
    pub fn failed(self, outcome: &str) -> Duration {
        self.end('✗', outcome)
    }

    fn end(self, mark: char, outcome: &str) -> Duration {
        let took = self.started.elapsed();
        let separator = if outcome.is_empty() { "" } else { ", " };
        eprintln!("{mark} {} ({:.1} s{separator}{outcome})", self.name, took.as_secs_f64());
        took
    }
}
