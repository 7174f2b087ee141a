//! smartctl as a source of SMART statuses.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use imbrex_api::node::SmartStatus;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::{SmartAnswer, SmartOutcome, SmartSource};

/// smartctl may take this long: a spun-down or recovering disk answers within some ten seconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// A killed child has this long to end. One that waits in the kernel for a dead drive does not.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// Output beyond this is not smartctl's, in bytes.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// Bits of the exit status that mean that there are no data: a bad command line, and a device that
/// could not be opened or is asleep (smartctl(8), "EXIT STATUS").
const EXIT_NO_DATA: i64 = 0b11;

/// Bit of the exit status that means "SMART status check returned DISK FAILING".
const EXIT_FAILING: i64 = 0b1000;

/// Runs the smartctl program.
#[derive(Clone, Debug)]
pub(crate) struct Smartctl {
    program: PathBuf,
    deadline: Duration,
}

/// The part of smartctl's JSON that tells the overall status.
#[derive(Debug, Default, Deserialize)]
struct Report {
    smartctl: Option<Invocation>,
    smart_status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
struct Invocation {
    exit_status: Option<i64>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    string: String,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    passed: Option<bool>,
    scsi: Option<ScsiStatus>,
    nvme: Option<NvmeStatus>,
}

#[derive(Debug, Deserialize)]
struct ScsiStatus {
    ie_string: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NvmeStatus {
    value: Option<u64>,
}

impl Smartctl {
    /// Will run `program`.
    pub(crate) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), deadline: DEADLINE }
    }

    fn start(&self, device: &str) -> Result<Child, SmartAnswer> {
        Command::new(&self.program)
            // -n standby: a sleeping disk is left asleep.
            .args(["--json", "-H", "-i", "-n", "standby", device])
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                SmartAnswer::unknown(format!("{} could not be run: {error}", self.program.display()))
            })
    }

    async fn converse(&self, child: &mut Child) -> SmartAnswer {
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take()
            && let Err(error) = stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut output).await
        {
            return SmartAnswer::unknown(format!("smartctl's output could not be read: {error}"));
        }
        if output.len() as u64 > OUTPUT_BYTES_MAX {
            return SmartAnswer::unknown("smartctl wrote more than 1 MiB, which no report is");
        }
        match child.wait().await {
            Err(error) => SmartAnswer::unknown(format!("smartctl could not be waited for: {error}")),
            Ok(status) if status.code().is_none() => {
                SmartAnswer::unknown(format!("smartctl was killed: {status}"))
            }
            Ok(status) => judge(&output, status.code()),
        }
    }
}

impl SmartSource for Smartctl {
    async fn ask(&self, device: &str) -> SmartOutcome {
        let mut child = match self.start(device) {
            Ok(child) => child,
            Err(answer) => return answer.into(),
        };
        let answer =
            tokio::time::timeout(self.deadline, self.converse(&mut child)).await.unwrap_or_else(|_| {
                SmartAnswer::unknown(format!(
                    "smartctl did not end within {} s and was killed",
                    self.deadline.as_secs()
                ))
            });
        // Where it has ended already this does nothing: its status was taken, so its number is not used.
        child.start_kill().ok();
        if tokio::time::timeout(KILL_GRACE, child.wait()).await.is_ok() {
            return answer.into();
        }
        let reason = format!(
            "smartctl on {device} hangs in the kernel and cannot be killed: the drive does not answer"
        );
        let gone = async move {
            child.wait().await.ok();
        };
        SmartOutcome { answer: SmartAnswer::unknown(reason), gone: Some(Box::pin(gone)) }
    }
}

/// The status in smartctl's `output` and exit status. Where two things contradict each other, or one
/// that is needed is not there, the status is unknown.
fn judge(output: &[u8], exit_code: Option<i32>) -> SmartAnswer {
    let report: Report = match serde_json::from_slice(output) {
        Ok(report) => report,
        Err(error) => return SmartAnswer::unknown(format!("smartctl's output is not a report: {error}")),
    };
    let invocation = report.smartctl.unwrap_or_default();
    let exit_status = exit_code.map(i64::from).or(invocation.exit_status).unwrap_or(0);
    let messages =
        invocation.messages.iter().map(|message| message.string.trim()).collect::<Vec<_>>().join("; ");
    let words = (!messages.is_empty()).then_some(messages);
    if exit_status & EXIT_NO_DATA != 0 {
        return SmartAnswer::unknown(
            words.unwrap_or_else(|| format!("smartctl exited with status {exit_status}")),
        );
    }
    let status = report.smart_status.unwrap_or_default();
    match (status.passed, exit_status & EXIT_FAILING != 0) {
        (Some(true), false) => SmartAnswer { status: SmartStatus::Passed, reason: words },
        (Some(false), _) => SmartAnswer { status: SmartStatus::Failed, reason: status.reason().or(words) },
        (Some(true), true) => SmartAnswer::unknown(
            "smartctl contradicts itself: the status is passed, the exit status says failing",
        ),
        (None, _) => {
            SmartAnswer::unknown(words.unwrap_or_else(|| "smartctl gave no overall status".to_owned()))
        }
    }
}

impl Status {
    fn reason(&self) -> Option<String> {
        let scsi = self.scsi.as_ref().and_then(|scsi| scsi.ie_string.clone());
        let nvme = self.nvme.as_ref().and_then(|nvme| nvme.value);
        scsi.or_else(|| nvme.map(|value| format!("critical warning {value:#04x}")))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    fn program(directory: &tempfile::TempDir, script: &str, deadline: Duration) -> Smartctl {
        let path = directory.path().join("smartctl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Smartctl { program: path, deadline }
    }

    async fn answer_of(script: &str) -> SmartAnswer {
        let directory = tempfile::tempdir().unwrap();
        program(&directory, script, Duration::from_secs(20)).ask("/dev/sda").await.answer
    }

    fn reason_of(answer: &SmartAnswer) -> &str {
        answer.reason.as_deref().unwrap_or_default()
    }

    #[test]
    fn a_report_is_judged_by_status_and_exit_status_together() {
        let passed = br#"{"smartctl":{"exit_status":0},"smart_status":{"passed":true}}"#;
        assert_eq!(judge(passed, Some(0)).status, SmartStatus::Passed);
        assert_eq!(
            judge(passed, Some(64)).status,
            SmartStatus::Passed,
            "an old entry in an error log is no verdict"
        );
        assert_eq!(
            judge(passed, Some(8)).status,
            SmartStatus::Unknown,
            "passed and failing contradict each other"
        );
        assert_eq!(judge(passed, Some(2)).status, SmartStatus::Unknown, "no data");
        let failed = br#"{"smart_status":{"passed":false,"scsi":{"asc":93,"ascq":16,"ie_string":"FAILURE PREDICTION"}}}"#;
        let answer = judge(failed, Some(8));
        assert_eq!((answer.status, reason_of(&answer)), (SmartStatus::Failed, "FAILURE PREDICTION"));
        let warned = br#"{"smart_status":{"passed":false,"nvme":{"value":4}}}"#;
        assert_eq!(reason_of(&judge(warned, Some(8))), "critical warning 0x04");
    }

    #[test]
    fn what_is_missing_or_broken_is_unknown_with_the_reason() {
        let asleep = br#"{"smartctl":{"exit_status":2,"messages":[{"string":"Device is in STANDBY mode, exit(2)","severity":"information"}]}}"#;
        assert_eq!(judge(asleep, Some(2)), SmartAnswer::unknown("Device is in STANDBY mode, exit(2)"));
        assert_eq!(judge(b"{}", Some(0)), SmartAnswer::unknown("smartctl gave no overall status"));
        for broken in [
            &b""[..],
            b"{\"smart_status\":{\"passed\":tr",
            b"Usage: smartctl",
            b"[]",
            b"{\"smart_status\":7}",
        ] {
            let answer = judge(broken, Some(0));
            assert_eq!(answer.status, SmartStatus::Unknown);
            assert!(answer.reason.is_some());
        }
    }

    #[tokio::test]
    async fn smartctl_is_asked_without_waking_the_drive() {
        let answer = answer_of(
            r#"[ "$*" = "--json -H -i -n standby /dev/sda" ] && echo '{"smart_status":{"passed":true}}'"#,
        )
        .await;
        assert_eq!(answer.status, SmartStatus::Passed);
    }

    #[tokio::test]
    async fn a_smartctl_that_is_not_installed_gives_unknown() {
        let answer = Smartctl::new(Path::new("/nonexistent/smartctl")).ask("/dev/sda").await.answer;
        assert_eq!(answer.status, SmartStatus::Unknown);
        assert!(reason_of(&answer).contains("could not be run"), "{answer:?}");
    }

    #[tokio::test]
    async fn a_smartctl_that_hangs_is_killed_at_its_deadline() {
        let started = Instant::now();
        let directory = tempfile::tempdir().unwrap();
        let hanging = program(&directory, "exec sleep 60", Duration::from_secs(1));
        let answer = hanging.ask("/dev/sda").await.answer;
        assert!(reason_of(&answer).contains("did not end within 1 s"), "{answer:?}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_smartctl_that_floods_is_cut_off() {
        let answer = answer_of("exec cat /dev/zero").await;
        assert!(reason_of(&answer).contains("more than 1 MiB"), "{answer:?}");
    }

    #[tokio::test]
    async fn a_smartctl_that_dies_by_a_signal_gives_unknown() {
        let answer = answer_of("kill -SEGV $$").await;
        assert!(reason_of(&answer).contains("was killed"), "{answer:?}");
    }
}
