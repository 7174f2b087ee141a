//! The program `compare` of the workspace `comparison`: built here, and run once for each figure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::disk_rate::Place;
use crate::command::{last_lines, run_shown, wait};
use crate::step::Step;
use crate::workspace::Workspace;

/// The program, built.
#[derive(Clone, Debug)]
pub struct CompareProgram {
    path: PathBuf,
    folder: PathBuf,
}

/// What one run printed.
#[derive(Clone, Debug)]
pub struct Printed {
    /// Its lines of JSON, in order.
    pub lines: Vec<Value>,
    /// Why it ended early, where it did.
    pub failure: Option<String>,
}

impl CompareProgram {
    /// Builds it: RocksDB is compiled from its source, which takes a quarter of an hour the first time.
    ///
    /// # Errors
    /// Where cargo fails; what it said has been shown.
    pub fn build(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let step = Step::begin("Building the comparison (RocksDB takes a quarter of an hour the first time)");
        let target = workspace.target().join("imbrex/comparison");
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Its workspace has its own lock file. Not --locked: the engine's dependencies are in it too, and theirs may
        // just have changed.
        command.current_dir(workspace.root().join("comparison")).args(["build", "--release", "--quiet"]);
        command.args(["--features", "tokio-uring"]);
        run_shown(command.arg("--target-dir").arg(&target))?;
        step.done("");
        let path = target.join("x86_64-unknown-linux-gnu/release/compare");
        Ok(Self { path, folder: folder.to_owned() })
    }

    /// Runs it in `place` for at most `time_max`. A run that fails leaves the lines that it had printed.
    ///
    /// # Errors
    /// Where it cannot be started, or prints something else than lines of JSON.
    pub fn run(&self, place: &Place, arguments: &[String], time_max: Duration) -> Result<Printed> {
        let (output, errors) = (self.folder.join("compare.out"), self.folder.join("compare.log"));
        let file = |path: &Path| {
            std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))
        };
        let mut command = Command::new(&self.path);
        command.args(arguments);
        let mut command = place.command(&command);
        command.stdin(Stdio::null()).stdout(file(&output)?).stderr(file(&errors)?);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.path.display()))?;
        let status = wait(&mut child, time_max, || ())?;
        let failure = match status {
            None => Some(format!("it took longer than {} s and was stopped", time_max.as_secs())),
            Some(status) if status.success() => None,
            Some(_) => Some(last_lines(&errors, 1).trim_start_matches("✗ ").to_owned()),
        };
        let text = std::fs::read_to_string(&output)?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        Ok(Printed { lines: lines.context("compare printed something else than JSON")?, failure })
    }

    /// Runs it and takes its one line.
    ///
    /// # Errors
    /// Where it fails or prints none.
    pub fn line(&self, place: &Place, arguments: &[String], time_max: Duration) -> Result<Value> {
        let printed = self.run(place, arguments, time_max)?;
        if let Some(failure) = printed.failure {
            anyhow::bail!("{failure}");
        }
        printed.lines.into_iter().next_back().context("compare printed nothing")
    }
}

/// The arguments of a command line, from words and values.
#[must_use]
pub fn arguments(command: &str, options: &[(&str, String)]) -> Vec<String> {
    let mut arguments = vec![command.to_owned()];
    for (name, value) in options {
        arguments.push(format!("--{name}"));
        if !value.is_empty() {
            arguments.push(value.clone());
        }
    }
    arguments
}
