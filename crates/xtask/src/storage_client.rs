//! `imbrexctl`, run as a person runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::agent_client::AgentClient;
use crate::command::wait;
use crate::workspace::Workspace;

/// What `put --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct PutReport {
    /// Each path that was stored.
    pub items: Vec<PutItem>,
    /// What each drive got.
    pub drives: Vec<DriveShare>,
}

/// One path that was stored.
#[derive(Clone, Debug, Deserialize)]
pub struct PutItem {
    /// The path.
    pub path: String,
    /// The key of its manifest.
    pub key: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What one drive got.
#[derive(Clone, Debug, Deserialize)]
pub struct DriveShare {
    /// The drive's name on its node.
    pub id: String,
    /// Blocks stored on it.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `imbrexctl` for one node.
#[derive(Clone, Debug)]
pub struct StorageClient {
    program: PathBuf,
    url: String,
    fingerprint: String,
    time_max: Duration,
}

impl StorageClient {
    /// For the node of that agent; no command may take longer than `time_max`.
    #[must_use]
    pub fn new(workspace: &Workspace, agent: &AgentClient, time_max: Duration) -> Self {
        Self {
            program: workspace.program("imbrexctl"),
            url: agent.url(),
            fingerprint: agent.fingerprint().to_owned(),
            time_max,
        }
    }

    /// Stores a path.
    ///
    /// # Errors
    /// Where imbrexctl fails or what it prints is not its report.
    pub fn put(&self, path: &Path) -> Result<PutReport> {
        let mut command = self.command(&["--json", "put"]);
        command.arg(path);
        let output = self.run(command)?;
        serde_json::from_slice(&output).with_context(|| {
            format!("imbrexctl put prints something else: {}", String::from_utf8_lossy(&output))
        })
    }

    /// Reads a manifest's files into `path`, and returns how long it took.
    ///
    /// # Errors
    /// Where imbrexctl fails.
    pub fn get(&self, key: &str, path: &Path) -> Result<Duration> {
        let started = Instant::now();
        let mut command = self.command(&["get", key, "-o"]);
        command.arg(path);
        self.run(command)?;
        Ok(started.elapsed())
    }

    /// Formats a drive, named with its serial number.
    ///
    /// # Errors
    /// Where imbrexctl fails.
    pub fn format(&self, drive: &str, serial: &str) -> Result<()> {
        self.run(self.command(&["format", drive, "--serial", serial])).map(drop)
    }

    /// The start of a command line for people.
    #[must_use]
    pub fn command_line(&self) -> String {
        format!("{} --node {} --fingerprint {}", self.program.display(), self.url, self.fingerprint)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--node", &self.url, "--fingerprint", &self.fingerprint]).args(words);
        command
    }

    fn run(&self, mut command: Command) -> Result<Vec<u8>> {
        let output = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        let file = output.reopen().context("cannot open a temporary file")?;
        // Standard error stays the terminal's: progress bars and sentences are for the person.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let status = wait(&mut child, self.time_max, || {})?;
        let printed = std::fs::read(output.path()).context("cannot read what imbrexctl printed")?;
        match status {
            Some(status) if status.success() => Ok(printed),
            Some(status) => bail!("imbrexctl failed ({status}) {}", String::from_utf8_lossy(&printed).trim()),
            None => bail!("imbrexctl took longer than {} s and was stopped", self.time_max.as_secs()),
        }
    }
}
