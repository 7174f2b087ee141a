//! `cargo xtask test`: every step of CI, and one line that counts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::binaries;
use crate::image;
use crate::step::Step;
use crate::workspace::Workspace;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
}

/// Runs every step; a step that fails does not keep the others from running.
///
/// # Errors
/// Where a step failed, a test failed, or a step that has tests ran none.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut total = Count::default();
    let mut complaints = Vec::new();
    let lint = Step::begin("Formatting and lints (ci/lint.sh)");
    match script(workspace, "ci/lint.sh") {
        Ok(_) => drop(lint.done("")),
        Err(error) => {
            lint.failed("");
            complaints.push(format!("{error:#}"));
        }
    }
    for path in ["ci/unit.sh", "ci/shuttle.sh", "ci/fuzz.sh", "ci/end-to-end.sh"] {
        if path == "ci/end-to-end.sh" {
            // Built here for its progress lines; the script builds nothing anew.
            let built = binaries::build(workspace).and_then(|()| image::build(workspace));
            if let Err(error) = built {
                complaints.push(format!("the image: {error:#}"));
                continue;
            }
        }
        let step = Step::begin(format!("Tests ({path})"));
        let (count, outcome) = tests(workspace, path);
        total.passed += count.passed;
        total.failed += count.failed;
        let summary = format!("{} passed, {} failed", count.passed, count.failed);
        if outcome.is_ok() && count.failed == 0 {
            step.done(&summary)
        } else {
            step.failed(&summary)
        };
        match outcome {
            Err(error) => complaints.push(format!("{error:#}")),
            Ok(()) if count.passed + count.failed == 0 => complaints.push(format!("{path} ran no test")),
            Ok(()) => {}
        }
    }
    for complaint in &complaints {
        eprintln!("✗ {complaint}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    ensure!(complaints.is_empty() && total.failed == 0, "not everything passed: see the lines with ✗ above");
    Ok(())
}

fn script(workspace: &Workspace, path: &str) -> Result<()> {
    let status = Command::new(workspace.root().join(path))
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {path}"))?;
    ensure!(status.success(), "{path} failed ({status})");
    Ok(())
}

/// Runs a script of tests: its output is shown as it comes, and its results are counted.
fn tests(workspace: &Workspace, path: &str) -> (Count, Result<()>) {
    let mut count = Count::default();
    let outcome = counted(workspace, path, &mut count);
    (count, outcome)
}

fn counted(workspace: &Workspace, path: &str, count: &mut Count) -> Result<()> {
    let mut child = Command::new(workspace.root().join(path))
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {path}"))?;
    let output = child.stdout.take().with_context(|| format!("cannot hear {path}"))?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what {path} says"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        add(count, &line);
    }
    let status = child.wait().with_context(|| format!("cannot wait for {path}"))?;
    if !status.success() {
        bail!("{path} failed ({status})");
    }
    Ok(())
}

/// Adds what a line of cargo's says, if it is a result.
fn add(count: &mut Count, line: &str) {
    let Some((_, result)) = line.split_once("test result: ") else { return };
    let number = |word: &str| -> u64 {
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
    };
    count.passed += number("passed");
    count.failed += number("failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_other_lines_are_not() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "5 passed; 7 failed",
        ] {
            add(&mut count, line);
        }
        assert_eq!(count, Count { passed: 15, failed: 2 });
    }
}
