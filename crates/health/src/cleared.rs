//! What was known of a drive when a person struck it out: it was looked at and is well, or was repaired.
//!
//! - Counters, logs and zones never fall, so that what they said then is taken off what they say later.
//! - What is told anew counts, also where it is the same again: a test that fails once more, an error more.

use serde::{Deserialize, Serialize};
use smartctl_parser::{
    AttributeFailed, ErrorLog, LoggedError, Report, SelfTest, SelfTestLog, SelfTestResult,
};

use crate::reading::Reading;

/// The drive's own count of its errors has 16 bits (ACS-4, 9.2, "device error count").
const ERRORS_WRAP: u64 = 1 << 16;

/// What was known of a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cleared {
    /// The last reading.
    pub(crate) reading: Option<Reading>,
    /// How many errors its log had counted.
    pub(crate) errors: Option<u64>,
    /// The last self-test that had ended.
    pub(crate) self_test: Option<SelfTest>,
    /// Attributes that had been at their thresholds in the past; a report has few.
    pub(crate) past_attributes: Vec<u8>,
    /// Zones that it had made read-only, and taken offline, and those that could not be read.
    pub(crate) zones_read_only: u64,
    pub(crate) zones_offline: u64,
    pub(crate) zones_unknown: u64,
}

impl Cleared {
    /// Takes note of a report and its logs.
    pub(crate) fn note(
        &mut self,
        report: Option<&Report>,
        errors: Option<&ErrorLog>,
        tests: Option<&SelfTestLog>,
    ) {
        let attributes = report.and_then(|report| report.ata.as_ref()).map(|ata| ata.attributes.as_slice());
        let past = attributes.unwrap_or_default().iter();
        let past = past.filter(|attribute| attribute.failed == Some(AttributeFailed::Past));
        self.past_attributes = past.map(|attribute| attribute.id).collect();
        self.errors = errors.and_then(|log| log.count);
        self.self_test = tests.and_then(last_ended).cloned();
    }

    /// Whether the error at `index` of a log that was told later (the newest is the first) was struck out.
    pub(crate) fn strikes_out(
        &self,
        log: &ErrorLog,
        index: usize,
        error: &LoggedError,
        hours: Option<u64>,
    ) -> bool {
        if let (Some(then), Some(now)) = (self.errors, log.count) {
            let new = (now % ERRORS_WRAP + ERRORS_WRAP - then % ERRORS_WRAP) % ERRORS_WRAP;
            return index as u64 >= new;
        }
        // The log did not tell how many: its hours do.
        let then = self.reading.and_then(|reading| reading.power_on_hours);
        let age = hours.and_then(|hours| error.age_hours(hours));
        let since = hours.zip(then).map(|(hours, then)| hours.saturating_sub(then));
        age.zip(since).is_some_and(|(age, since)| age > since)
    }
}

/// The newest test that ended.
pub(crate) fn last_ended(log: &SelfTestLog) -> Option<&SelfTest> {
    let ended = |result: SelfTestResult| result == SelfTestResult::Passed || result.is_failure();
    log.tests.iter().find(|test| ended(test.result))
}

/// Whether the test at `index` of a log that was told later (the newest is the first) was struck out: those that had ended
/// then are that one and all after it.
pub(crate) fn strikes_out_test(cleared: &Cleared, log: &SelfTestLog, index: usize) -> bool {
    let newest = cleared.self_test.as_ref();
    let newest = newest.and_then(|newest| log.tests.iter().position(|test| test == newest));
    newest.is_some_and(|newest| index >= newest)
}
