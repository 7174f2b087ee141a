//! Running other programs: what they say goes to a log, and a failure quotes its end.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::step::Step;

/// Lines of a failed program's log that are shown.
const LOG_LINES_SHOWN: usize = 12;

/// How often a waiting loop looks again.
const POLL: Duration = Duration::from_millis(50);

/// Runs a program to its end with its output in `log`, within `time_max`.
///
/// # Errors
/// Where it cannot be started, fails or takes longer; the sentence has the end of its log.
pub fn run_logged(command: &mut Command, log: &Path, step: &mut Step, time_max: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
    let copy = file.try_clone().with_context(|| format!("cannot use {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let status = wait(&mut child, time_max, || step.still(&last_lines(log, 1)))?;
    let Some(status) = status else {
        bail!(
            "{name} took longer than {} s and was stopped; its output is in {}",
            time_max.as_secs(),
            log.display()
        );
    };
    if !status.success() {
        bail!("{name} failed ({status}); {} ends with:\n{}", log.display(), last_lines(log, LOG_LINES_SHOWN));
    }
    Ok(())
}

/// Runs a program to its end with its output on this one's.
///
/// # Errors
/// Where it cannot be started or fails.
pub fn run_shown(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status}); what it said is above");
    }
    Ok(())
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// Where it cannot be started or fails; the sentence has its standard error.
pub fn output_of(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Waits for a child for at most `time_max`, calling `meanwhile` now and then; kills and reaps it after
/// that and returns `None`.
///
/// # Errors
/// Where the child cannot be waited for.
pub fn wait(
    child: &mut Child,
    time_max: Duration,
    mut meanwhile: impl FnMut(),
) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child process")? {
            return Ok(Some(status));
        }
        if started.elapsed() > time_max {
            // Its end is all that is wanted; that it ended by itself just now is as good.
            let _ = child.kill();
            child.wait().context("cannot wait for a child process")?;
            return Ok(None);
        }
        meanwhile();
        std::thread::sleep(POLL);
    }
}

/// Calls `attempt` until it gives a value, for at most `time_max`.
pub fn until<T>(time_max: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return Some(value);
        }
        if started.elapsed() > time_max {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// The last lines of a text file; empty where there is none.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Whether a program is in the path or where administrators' programs are.
#[must_use]
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_quoted_and_one_that_hangs_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut step = Step::begin("test");
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo the reason; exit 3"]);
        let error = run_logged(&mut failing, &log, &mut step, Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().contains("the reason"), "{error}");

        let mut hanging = Command::new("sleep");
        hanging.arg("60");
        let error = run_logged(&mut hanging, &log, &mut step, Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
    }
}
