//! smartctl as something to ask: the program itself, or a fake in tests.
//!
//! - A question ends in bounded time, whatever the program does.
//! - One question at a time to a drive. A child that does not die when it is killed waits in the kernel for
//!   its drive: it is left behind and counted, and no second one is started while it lives. Another drive that has since
//!   come under the same device file is asked.
//! - A question never wakes a sleeping drive, and never asks for everything (`-x`): some drives fall over.

mod child;
mod fake;
mod program;

use std::fmt;

use crate::Report;
pub use fake::FakeSmartctl;
pub use program::SmartctlProgram;

/// What to ask a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Status, attributes or counters, temperature: a few short commands, for every half hour.
    Light,
    /// The light set, and the logs of errors, self-tests, statistics, defects and the link: for once a day.
    Heavy,
}

impl Question {
    /// The arguments of smartctl, without the device. All are known to smartctl since 7.0 (smartctl(8)); those
    /// that a drive's command set does not have are passed over by smartctl.
    pub fn arguments(self) -> &'static [&'static str] {
        // -n standby: a sleeping disk is left asleep.
        const LIGHT: [&str; 6] = ["--json", "-n", "standby", "-i", "-H", "-A"];
        const HEAVY: [&str; 22] = [
            "--json",
            "-n",
            "standby",
            "-i",
            "-H",
            "-A",
            "-l",
            "error",
            "-l",
            "selftest",
            "-l",
            "devstat",
            "-l",
            "ssd",
            "-l",
            "defects",
            "-l",
            "sataphy",
            "-l",
            "sasphy",
            "-l",
            "background",
        ];
        match self {
            Self::Light => &LIGHT,
            Self::Heavy => &HEAVY,
        }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A report. It may still say little: see [`Report::has_health_data`].
    Report(Box<Report>),
    /// The drive sleeps and was left asleep.
    Asleep,
    /// No report, and why.
    Failed(Failure),
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind, for programs.
    pub kind: FailureKind,
    /// One sentence, for people.
    pub sentence: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// smartctl could not be started.
    NotStarted,
    /// A question to the same drive runs, or an earlier one's child still hangs: nothing was started.
    Busy,
    /// smartctl did not end in time and was killed.
    Late,
    /// smartctl did not end in time, and cannot be killed: the drive does not answer the kernel either.
    Stuck,
    /// smartctl wrote more than any report has, and was killed.
    Flooded,
    /// smartctl died by a signal.
    Killed,
    /// What smartctl wrote is no report.
    NoReport,
    /// smartctl says that it could not open or understand the drive.
    NoData,
}

impl FailureKind {
    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Stuck => "stuck",
            Self::Flooded => "flooded",
            Self::Killed => "killed",
            Self::NoReport => "no_report",
            Self::NoData => "no_data",
        }
    }
}

/// Where reports come from.
pub trait Smartctl: Send + Sync {
    /// Asks the drive `drive`, which is now behind the device file `device`. Waits for the answer, in bounded time.
    ///
    /// `drive` is what the drive is called whatever its device file is: its WWN, or its serial.
    fn ask_drive(&self, drive: &str, device: &str, question: Question) -> Answer;

    /// The same of a drive of which nothing but its device file is known: that is its name.
    fn ask(&self, device: &str, question: Question) -> Answer {
        self.ask_drive(device, device, question)
    }

    /// Looks after children that were left behind: those that have ended since are gone for good. Gives how
    /// many still live.
    fn left_behind(&self) -> usize;
}
