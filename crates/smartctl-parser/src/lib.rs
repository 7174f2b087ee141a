//! Typed reports from `smartctl --json`, and smartctl itself, run under a deadline.
//!
//! Rules that hold throughout:
//!
//! - What a report does not say is `None` or empty. No missing, misshapen or impossible value becomes a number.
//! - No bytes make the parser panic, and a part that has an unexpected shape costs that part alone.
//! - Every list that is kept has a bound.
//! - This crate judges nothing: it says what smartctl said.

#![forbid(unsafe_code)]

mod field;
mod parse_error;
mod report;
mod runner;

pub use parse_error::ParseError;
pub use report::ata::{
    Ata, Attribute, AttributeFailed, ErrorKinds, ErrorLog, LoggedError, PhyCounter, Statistic,
};
pub use report::device::{Device, Identity, Protocol};
pub use report::exit_status::ExitStatus;
pub use report::nvme::{CriticalWarning, NvmeHealth};
pub use report::scsi::{ErrorCounters, GrownDefects, SasPhy, Scsi, ScsiSense, ZonedStatistics};
pub use report::self_test::{SelfTest, SelfTestLog, SelfTestResult};
pub use report::{REPORT_BYTES_MAX, Report};
pub use runner::{Answer, Failure, FailureKind, FakeSmartctl, Question, Smartctl, SmartctlProgram};
