//! `cargo xtask test`: every step of CI, and one line that counts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::binaries;
use crate::image;
use crate::step::Step;
use crate::test_output::{Count, TestOutput};
use crate::workspace::Workspace;

/// How many guest tests that failed are run once more: a guest is emulated, and has the time that this machine leaves
/// it. Where more fail it was no accident.
const SECOND_TRIES_MAX: usize = 2;

/// The step whose tests run in guests.
const GUESTS: &str = "ci/end-to-end.sh";

/// Runs every step; a step that fails does not keep the others from running.
///
/// # Errors
/// Where a step failed, a test failed, or a step that has tests ran none.
pub fn run(workspace: &Workspace) -> Result<()> {
    let mut total = Count::default();
    let mut remarks = Remarks::default();
    let lint = Step::begin("Formatting and lints (ci/lint.sh)");
    match script(workspace, "ci/lint.sh") {
        Ok(_) => drop(lint.done("")),
        Err(error) => {
            lint.failed("");
            remarks.complaints.push(format!("{error:#}"));
        }
    }
    for path in ["ci/unit.sh", "ci/shuttle.sh", "ci/fuzz.sh", GUESTS] {
        if path == GUESTS {
            // Built here for its progress lines; the script builds nothing anew.
            let built = binaries::build(workspace).and_then(|()| image::build(workspace));
            if let Err(error) = built {
                remarks.complaints.push(format!("the image: {error:#}"));
                continue;
            }
        }
        let count = step(workspace, path, &mut remarks);
        total.passed += count.passed;
        total.failed += count.failed;
    }
    let Remarks { complaints, unsteady } = remarks;
    for complaint in &complaints {
        eprintln!("✗ {complaint}");
    }
    for name in &unsteady {
        eprintln!("⚠ unsteady: {name} failed, and passed when it was run again");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    ensure!(complaints.is_empty() && total.failed == 0, "not everything passed: see the lines with ✗ above");
    Ok(())
}

/// What is to be said at the end.
#[derive(Default)]
struct Remarks {
    /// Why not everything passed.
    complaints: Vec<String>,
    /// Tests that passed only when they were run again.
    unsteady: Vec<String>,
}

/// Runs a step that has tests.
fn step(workspace: &Workspace, path: &str, remarks: &mut Remarks) -> Count {
    let step = Step::begin(format!("Tests ({path})"));
    let (mut output, mut outcome) = tests(workspace, path, &[]);
    if path == GUESTS && outcome.is_err() && passed_when_run_again(workspace, path, &output) {
        outcome = Ok(());
        output.count.passed += std::mem::take(&mut output.count.failed);
        remarks.unsteady.extend(std::mem::take(&mut output.failed));
    }
    let Count { passed, failed } = output.count;
    let summary = format!("{passed} passed, {failed} failed");
    if outcome.is_ok() && failed == 0 {
        step.done(&summary)
    } else {
        step.failed(&summary)
    };
    if outcome.is_err() {
        let said = |words: &String| format!("{path}: before a failure was said:\n{words}");
        remarks.complaints.extend(output.last_words.iter().map(said));
    }
    match outcome {
        Err(error) => remarks.complaints.push(format!("{error:#}")),
        Ok(()) if passed + failed == 0 => remarks.complaints.push(format!("{path} ran no test")),
        Ok(()) => {}
    }
    output.count
}

/// Runs the tests that failed once more, where they are few and every program told its results: one that died has not.
fn passed_when_run_again(workspace: &Workspace, path: &str, output: &TestOutput) -> bool {
    let names: Vec<&str> = output.failed.iter().map(String::as_str).collect();
    if output.begun != output.ended || !(1..=SECOND_TRIES_MAX).contains(&names.len()) {
        return false;
    }
    for words in &output.last_words {
        eprintln!("⚠ {path}: before a failure was said:\n{words}");
    }
    eprintln!("⚠ Failed, and run once more alone: {}", names.join(", "));
    let (second, outcome) = tests(workspace, path, &names);
    outcome.is_ok() && second.count.passed == output.count.failed
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

/// Runs a script of tests, all or those of these names: its output is shown as it comes, and its results are counted.
fn tests(workspace: &Workspace, path: &str, names: &[&str]) -> (TestOutput, Result<()>) {
    let mut output = TestOutput::default();
    let outcome = heard(workspace, path, names, &mut output);
    (output, outcome)
}

fn heard(workspace: &Workspace, path: &str, names: &[&str], output: &mut TestOutput) -> Result<()> {
    let mut child = Command::new(workspace.root().join(path))
        .args(names)
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {path}"))?;
    let said = child.stdout.take().with_context(|| format!("cannot hear {path}"))?;
    for line in BufReader::new(said).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what {path} says"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        output.take(&line);
    }
    let status = child.wait().with_context(|| format!("cannot wait for {path}"))?;
    if !status.success() {
        bail!("{path} failed ({status})");
    }
    Ok(())
}
