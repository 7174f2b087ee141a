//! SMART's overall status of every drive: asked in the background, told from memory.
//!
//! Asking a drive costs it time, and a sick drive may never answer. So no request waits for
//! smartctl; a drive is asked seldom, one question at a time, two in the whole node; and whatever
//! goes wrong is `unknown` with the reason.

mod poller;
mod smartctl;
mod table;

use std::future::Future;
use std::pin::Pin;

use imbrex_api::node::{Smart, SmartStatus};

pub(crate) use poller::run;
pub(crate) use smartctl::Smartctl;
pub(crate) use table::SmartTable;

/// The answer to one question: a status and, where there is one, its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmartAnswer {
    /// The status.
    pub(crate) status: SmartStatus,
    /// Why, in smartctl's own words where it gave some.
    pub(crate) reason: Option<String>,
}

impl SmartAnswer {
    /// Nobody can tell, and why.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self { status: SmartStatus::Unknown, reason: Some(reason.into()) }
    }
}

/// What a question leaves behind.
pub(crate) struct SmartOutcome {
    /// The answer.
    pub(crate) answer: SmartAnswer,
    /// Ends when the question's process has ended. Mostly it has; a child that cannot be killed lives on, and
    /// the drive must not be asked again before this ends.
    pub(crate) gone: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl From<SmartAnswer> for SmartOutcome {
    fn from(answer: SmartAnswer) -> Self {
        Self { answer, gone: None }
    }
}

/// Where SMART statuses come from: smartctl, or a fake in tests.
pub(crate) trait SmartSource: Send + Sync + 'static {
    /// Asks the drive behind the device file `device`. Ends in bounded time.
    fn ask(&self, device: &str) -> impl Future<Output = SmartOutcome> + Send;
}

/// What is told of a drive that was never asked.
pub(crate) fn never_asked(reason: &str) -> Smart {
    Smart { status: SmartStatus::Unknown, reason: Some(reason.to_owned()), checked_at_unix_s: None }
}
