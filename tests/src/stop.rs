//! A node's stop as its console tells it, whoever ordered it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::command::until;
use xtask::node::Node;

/// What init promises for a node with drives that never answer (issue: 30 s when well, 90 s so).
pub const STOP_TIME_MAX: Duration = Duration::from_secs(90);

/// A node whose drives are well stops within 30 s (issue, as above); on a machine that is translated and busy it may take
/// three times as long here, and each test prints what it took.
pub const WELL_STOP_TIME_MAX: Duration = Duration::from_secs(90);

/// How long the console is watched: longer than the promise, so that a broken one is told with its figure.
const WATCH_TIME_MAX: Duration = Duration::from_secs(180);

/// A stop that has come to its end.
#[derive(Clone, Debug)]
pub struct Stop {
    /// What the console said from the order on.
    pub lines: Vec<String>,
    /// From the order to the last step, by the node's own clock.
    pub took: Duration,
}

impl Stop {
    /// Watches a node's stop to the moment at which init lets go of the machine. `verb` is what it was told to do, in
    /// init's words; `ordered_ms` is the node's uptime at the order.
    ///
    /// # Errors
    /// Where it does not come to its end, or not in the order in which every stop goes.
    pub fn watch(node: &mut Node, verb: &str, ordered_ms: u64) -> Result<Self> {
        let (begin, end) = (format!("imbrex: stopping to {verb}"), format!("imbrex: {verb} after "));
        let console = node.machine().console.clone();
        let over = until(WATCH_TIME_MAX, || console.text().contains(&end).then(|| console.text()));
        let text =
            over.with_context(|| format!("the node does not stop; {}", node.machine().last_words()))?;
        let lines: Vec<String> = text
            .lines()
            .map(str::trim_end)
            .skip_while(|line| !line.starts_with(&begin))
            .map(str::to_owned)
            .collect();
        let last = lines.iter().find_map(|line| line.strip_prefix(&end));
        let last = last.with_context(|| format!("it ended without having begun with {begin:?}"))?;
        let ended_ms: u64 = last.split(' ').next().unwrap_or_default().parse().context("a time")?;
        let stop = Self { lines, took: Duration::from_millis(ended_ms.saturating_sub(ordered_ms)) };
        stop.position("are asked to flush")?;
        Ok(stop)
    }

    /// Whether a line of it contains these words.
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        self.lines.iter().any(|line| line.contains(words))
    }

    /// Checks that services stopped in this order: no line on one comes after a line on the next.
    ///
    /// # Errors
    /// Where one did not stop, or not in its turn.
    pub fn in_order(&self, services: &[&str]) -> Result<()> {
        let mut last = 0;
        for service in services {
            let position = self.position(&format!("{service} stopped: "))?;
            ensure!(position >= last, "{service} stopped before its turn:\n{}", self.lines.join("\n"));
            last = position;
        }
        Ok(())
    }

    fn position(&self, words: &str) -> Result<usize> {
        let position = self.lines.iter().position(|line| line.contains(words));
        position.with_context(|| format!("no line has {words:?}:\n{}", self.lines.join("\n")))
    }
}
