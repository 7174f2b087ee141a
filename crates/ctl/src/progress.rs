//! Progress bars on standard error; silent when that is no terminal, and with `--json`.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const WITH_TOTAL: &str =
    "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
const WITHOUT_TOTAL: &str = "{prefix} {spinner} {binary_bytes} {binary_bytes_per_sec}";
const TICK: Duration = Duration::from_millis(200);

/// The bar of one command. Clones show the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar that counts bytes, shown where `wanted` and somebody can see it.
    pub(crate) fn new(what: &'static str, wanted: bool) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_style(style(WITHOUT_TOTAL)).with_prefix(what);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Adds to the bytes that there are in all.
    pub(crate) fn add_total(&self, bytes: u64) {
        if self.0.length().is_none() {
            self.0.set_style(style(WITH_TOTAL));
            self.0.set_length(0);
        }
        self.0.inc_length(bytes);
    }

    /// Counts bytes that are done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Tells of a failure without tearing the bar.
    pub(crate) fn complain(&self, sentence: &str) {
        self.0.suspend(|| output::complain(sentence));
    }

    /// Takes the bar away, so that what is printed next stands alone.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// The templates are constants; should one be wrong, a plain bar is better than none.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_well_formed() {
        for template in [WITH_TOTAL, WITHOUT_TOTAL] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
