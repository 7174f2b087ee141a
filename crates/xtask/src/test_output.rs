//! What tests say as they run: how many passed, which failed, and what was said just before.

use std::collections::{BTreeSet, VecDeque};

/// How many of the lines before a failure are kept for the end.
const LINES_KEPT: usize = 60;
/// For how many failures they are kept.
const FAILURES_KEPT: usize = 5;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
}

/// The output of one step, as far as it was read.
#[derive(Debug, Default)]
pub struct TestOutput {
    /// The results so far.
    pub count: Count,
    /// How many test programs began, and how many of them told their results.
    pub begun: u64,
    /// See [`Self::begun`].
    pub ended: u64,
    /// The names of the tests that failed.
    pub failed: BTreeSet<String>,
    /// What was said before each of the first failures.
    pub last_words: Vec<String>,
    recent: VecDeque<String>,
    is_list: bool,
}

impl TestOutput {
    /// Takes the next line.
    pub fn take(&mut self, line: &str) {
        if self.recent.len() == LINES_KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(line.to_owned());
        // libtest lists the names twice: first with what each test said, then alone, indented.
        match line.strip_prefix("    ").filter(|name| self.is_list && !name.contains(' ')) {
            Some(name) => _ = self.failed.insert(name.to_owned()),
            None => self.is_list = line == "failures:" || (self.is_list && line.is_empty()),
        }
        let begins = line.starts_with("running ") && (line.ends_with(" test") || line.ends_with(" tests"));
        self.begun += u64::from(begins);
        if let Some((_, result)) = line.split_once("test result: ") {
            self.add(result);
        }
    }

    fn add(&mut self, result: &str) {
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        let number = |word: &str| -> u64 {
            words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
        };
        self.ended += 1;
        self.count.passed += number("passed");
        self.count.failed += number("failed");
        if number("failed") > 0 && self.last_words.len() < FAILURES_KEPT {
            self.last_words.push(self.recent.make_contiguous().join("\n"));
        }
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> TestOutput {
        let mut output = TestOutput::default();
        lines.iter().for_each(|line| output.take(line));
        output
    }

    #[test]
    fn results_are_summed_and_other_lines_are_not() {
        let output = heard(&[
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "5 passed; 7 failed",
        ]);
        assert_eq!(output.count, Count { passed: 15, failed: 2 });
        assert_eq!((output.begun, output.ended), (1, 2));
    }

    #[test]
    fn the_names_of_failed_tests_and_what_was_said_before_are_kept() {
        let output = heard(&[
            "test a ... ok",
            "test result: ok. 1 passed; 0 failed",
            "the reason",
            "failures:",
            "",
            "---- parts::b stdout ----",
            "    indented",
            "failures:",
            "    parts::b",
            "    c",
            "",
            "test result: FAILED. 0 passed; 2 failed",
            "    d",
        ]);
        assert_eq!(output.failed.iter().map(String::as_str).collect::<Vec<_>>(), ["c", "parts::b"]);
        assert_eq!(output.last_words.len(), 1);
        assert!(output.last_words[0].starts_with("the reason\nfailures:"), "{:?}", output.last_words);
    }
}
