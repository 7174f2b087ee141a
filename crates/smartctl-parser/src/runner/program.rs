//! The smartctl program.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::child::{self, Ended, Kill};
use super::{Answer, Failure, FailureKind, Question, Smartctl};
use crate::report::exit_status;
use crate::{REPORT_BYTES_MAX, Report};

/// smartctl may take this long: a disk that recovers a sector answers within some ten seconds, one that
/// spins up within thirty.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs the smartctl program.
#[derive(Debug)]
pub struct SmartctlProgram {
    program: PathBuf,
    deadline: Duration,
    kill: Kill,
    /// By drive, not by device file: that may have become another drive's.
    busy: Mutex<BTreeMap<String, Busy>>,
}

/// Why a drive cannot be asked now.
#[derive(Debug)]
enum Busy {
    /// It is being asked.
    Asking,
    /// A child was left behind that asks it under this device file.
    Left { child: Child, device: String },
}

impl SmartctlProgram {
    /// Will run the program at `path`, for at most 30 seconds a question.
    pub fn new(path: &Path) -> Self {
        Self { program: path.to_owned(), deadline: DEADLINE, kill: child::kill_group, busy: Mutex::default() }
    }

    /// Will run it for at most `deadline` a question.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<String, Busy>> {
        // No code that holds the lock can leave an entry half changed.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the drive for a question, or tells why it cannot be asked.
    fn take(&self, drive: &str, device: &str) -> Result<(), Failure> {
        let mut busy = self.busy();
        forget_ended(&mut busy);
        let sentence = match busy.get(drive) {
            None => {
                busy.insert(drive.to_owned(), Busy::Asking);
                return Ok(());
            }
            Some(Busy::Asking) => format!("smartctl is asking {device} already"),
            Some(Busy::Left { child, device }) => format!(
                "an earlier smartctl (process {}) still hangs on {device}, so no other is started",
                child.id()
            ),
        };
        Err(Failure { kind: FailureKind::Busy, sentence })
    }

    fn run(&self, device: &str, question: Question) -> (Answer, Option<Child>) {
        let mut command = Command::new(&self.program);
        command.args(question.arguments()).arg(device);
        let seconds = self.deadline.as_secs_f32();
        let (kind, sentence) = match child::run(&mut command, self.deadline, self.kill) {
            Ended::Itself(output, status) => return (judge(&output, status), None),
            Ended::NotStarted(error) => {
                (FailureKind::NotStarted, format!("{} could not be run: {error}", self.program.display()))
            }
            Ended::Flooded => {
                let mebibytes = REPORT_BYTES_MAX / (1024 * 1024);
                (
                    FailureKind::Flooded,
                    format!("smartctl wrote more than {mebibytes} MiB, which no report is"),
                )
            }
            Ended::Late => {
                (FailureKind::Late, format!("smartctl did not end within {seconds} s and was killed"))
            }
            Ended::Stuck(child) => {
                let sentence = format!(
                    "smartctl on {device} hangs in the kernel and cannot be killed: the drive does not answer"
                );
                return (failed(FailureKind::Stuck, sentence), Some(child));
            }
        };
        (failed(kind, sentence), None)
    }
}

impl Smartctl for SmartctlProgram {
    fn ask_drive(&self, drive: &str, device: &str, question: Question) -> Answer {
        if !device.starts_with("/dev/") {
            return failed(FailureKind::NotStarted, format!("{device:?} is not a device file"));
        }
        if let Err(failure) = self.take(drive, device) {
            return Answer::Failed(failure);
        }
        let (answer, left) = self.run(device, question);
        let mut busy = self.busy();
        match left {
            None => busy.remove(drive),
            Some(child) => busy.insert(drive.to_owned(), Busy::Left { child, device: device.to_owned() }),
        };
        answer
    }

    fn left_behind(&self) -> usize {
        let mut busy = self.busy();
        forget_ended(&mut busy);
        busy.values().filter(|busy| matches!(busy, Busy::Left { .. })).count()
    }
}

/// Reaps the children that have ended since they were left behind.
fn forget_ended(busy: &mut BTreeMap<String, Busy>) {
    busy.retain(|_, busy| match busy {
        Busy::Asking => true,
        Busy::Left { child, .. } => matches!(child.try_wait(), Ok(None)),
    });
}

fn failed(kind: FailureKind, sentence: String) -> Answer {
    Answer::Failed(Failure { kind, sentence })
}

/// What `output` and the exit status together say. The program's own status counts, not the one that it wrote.
fn judge(output: &[u8], status: ExitStatus) -> Answer {
    if let Some(signal) = status.signal() {
        return failed(FailureKind::Killed, format!("smartctl died by signal {signal}"));
    }
    let mut report = match Report::parse(output) {
        Ok(report) => report,
        Err(error) => return failed(FailureKind::NoReport, error.to_string()),
    };
    let Some(exit) = status.code().and_then(|code| u8::try_from(code).ok()).map(exit_status::ExitStatus)
    else {
        return failed(FailureKind::Killed, format!("smartctl ended strangely: {status}"));
    };
    report.exit = Some(exit);
    if report.asleep == Some(true) {
        return Answer::Asleep;
    }
    if exit.no_data() {
        let words = report.messages.join("; ");
        let facts = || exit.facts().next().unwrap_or("no data").to_owned();
        let sentence = if words.is_empty() { facts() } else { words };
        return failed(FailureKind::NoData, sentence);
    }
    Answer::Report(Box::new(report))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // One test alone starts children here: a script that was just written cannot be run while another thread's child, not
    // yet its own program, has it open.

    /// A child that hangs in the kernel cannot be made in a test: to this one the signal that kills is not sent.
    fn unkillable(script: &str) -> (SmartctlProgram, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("smartctl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let smartctl = SmartctlProgram { kill: |_| {}, ..SmartctlProgram::new(&path) };
        (smartctl.with_deadline(Duration::from_millis(100)), folder)
    }

    fn kind(answer: &Answer) -> FailureKind {
        match answer {
            Answer::Failed(failure) => failure.kind,
            Answer::Report(_) | Answer::Asleep => panic!("{answer:?}"),
        }
    }

    #[test]
    fn a_child_that_cannot_be_killed_is_left_behind_and_its_drive_alone_is_not_asked_until_it_ends() {
        // It hangs on the first device only.
        let (smartctl, _folder) =
            unkillable("for last; do :; done; [ $last = /dev/sda ] && exec sleep 600; exit 0");
        let ask = |drive: &str, device: &str| smartctl.ask_drive(drive, device, Question::Light);
        let answer = ask("wwn-1", "/dev/sda");
        assert_eq!(kind(&answer), FailureKind::Stuck, "{answer:?}");
        assert_eq!(smartctl.left_behind(), 1);
        for device in ["/dev/sda", "/dev/sdz"] {
            let answer = ask("wwn-1", device);
            let Answer::Failed(failure) = &answer else { panic!("{answer:?}") };
            assert!(failure.sentence.contains("still hangs on /dev/sda"), "{failure}");
            assert_eq!(kind(&answer), FailureKind::Busy, "under whatever name it comes back");
        }
        assert_eq!(smartctl.left_behind(), 1, "no second one was started");
        // Another drive has come under the name of the one that hangs, and others are there.
        for (drive, device) in [("wwn-2", "/dev/sda"), ("wwn-3", "/dev/sdb")] {
            let answer = ask(drive, device);
            assert_ne!(kind(&answer), FailureKind::Busy, "{drive} is asked: {answer:?}");
        }
        // When they have ended, the drive is asked again.
        for left in smartctl.busy().values_mut() {
            let Busy::Left { child, .. } = left else { panic!("a question runs: {left:?}") };
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(smartctl.left_behind(), 0);
        let smartctl = SmartctlProgram { program: "/bin/true".into(), ..smartctl };
        assert_ne!(kind(&smartctl.ask_drive("wwn-1", "/dev/sda", Question::Light)), FailureKind::Busy);
    }
}
