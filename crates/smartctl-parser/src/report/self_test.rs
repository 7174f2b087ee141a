//! Self-tests, of all three command sets.

use serde::{Deserialize, Serialize};

use super::ata::hours_since;
use super::device::NAME_BYTES_MAX;
use crate::field::Field;

/// At most this many self-tests are kept. ATA's log holds 21 (extended: 19 a page), SCSI's 20, NVMe's 20.
const TESTS_MAX: usize = 64;

/// The drive's log of self-tests, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTestLog {
    /// The tests.
    pub tests: Vec<SelfTest>,
}

/// One self-test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Which test, as smartctl names it.
    pub kind: Option<String>,
    /// How it ended.
    pub result: SelfTestResult,
    /// The power-on hours at its end. In ATA's log 16 bits wide: see [`SelfTest::age_hours`]. In SCSI's, which has no
    /// larger number, 65,535 is no time.
    pub at_hours: Option<u64>,
    /// The first block that could not be read.
    pub first_bad_lba: Option<u64>,
    /// Whether the log is ATA's, whose hours wrap at 65,536.
    pub hours_wrap: bool,
}

/// How a self-test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfTestResult {
    /// Without an error.
    Passed,
    /// It was stopped by the host, a reset or a format: nothing is known.
    Stopped,
    /// It runs.
    Running,
    /// It failed: the part is not known, or a fatal error ended it.
    Failed,
    /// It failed in the electrical part.
    FailedElectrical,
    /// It failed in the servo or seek part.
    FailedServo,
    /// It failed to read.
    FailedRead,
    /// It failed, and handling damage is suspected.
    FailedHandling,
    /// The report does not say, in words or numbers that are known.
    NotKnown,
}

impl SelfTestResult {
    /// Whether the drive failed the test.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Failed
                | Self::FailedElectrical
                | Self::FailedServo
                | Self::FailedRead
                | Self::FailedHandling
        )
    }

    /// Of ATA's status byte: its upper half (ACS-4, 9.5.2.3, "self-test execution status").
    fn of_ata(status: u8) -> Self {
        match status >> 4 {
            0 => Self::Passed,
            1 | 2 => Self::Stopped,
            3 | 4 => Self::Failed,
            5 => Self::FailedElectrical,
            6 => Self::FailedServo,
            7 => Self::FailedRead,
            8 => Self::FailedHandling,
            15 => Self::Running,
            _ => Self::NotKnown,
        }
    }

    /// Of SCSI's result field (SPC-5, 7.3.19, table "self-test results").
    fn of_scsi(result: u64) -> Self {
        match result {
            0 => Self::Passed,
            1 | 2 => Self::Stopped,
            3..=7 => Self::Failed,
            15 => Self::Running,
            _ => Self::NotKnown,
        }
    }

    /// Of NVMe's result field (NVM Express Base 2.0, figure "self-test result data structure").
    fn of_nvme(result: u64) -> Self {
        match result {
            0 => Self::Passed,
            1..=4 | 8 | 9 => Self::Stopped,
            5..=7 => Self::Failed,
            _ => Self::NotKnown,
        }
    }

    /// Of smartctl's words, where there is no number. The words are those of its function `ataPrintSmartSelfTestEntry`.
    fn of_words(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        let has = |part: &str| words.contains(part);
        match () {
            () if has("without error") => Self::Passed,
            () if has("aborted") || has("interrupted") => Self::Stopped,
            () if has("in progress") => Self::Running,
            () if has("read failure") => Self::FailedRead,
            () if has("servo") => Self::FailedServo,
            () if has("electrical") => Self::FailedElectrical,
            () if has("handling damage") => Self::FailedHandling,
            () if has("unknown failure") || has("fatal") => Self::Failed,
            () => Self::NotKnown,
        }
    }
}

impl SelfTest {
    /// How many power-on hours ago the test ended, where the drive has been on for `power_on_hours`. Where
    /// the log's hours wrap, that is the least that it can be. None where the two contradict each other.
    pub fn age_hours(&self, power_on_hours: u64) -> Option<u64> {
        let at_hours = self.at_hours?;
        if self.hours_wrap {
            hours_since(at_hours, power_on_hours)
        } else {
            power_on_hours.checked_sub(at_hours)
        }
    }
}

impl SelfTestLog {
    /// The log in a report; none where the report has none.
    pub(crate) fn read(report: Field<'_>) -> Option<Self> {
        let ata = report.at("ata_smart_self_test_log");
        // Some drives keep but one of the two, and answer for the other with an empty one.
        let [extended, standard] = ["extended", "standard"].map(|name| ata.at(name).there());
        let holds_tests = |log: &Field<'_>| log.at("table").items(1).next().is_some();
        if let Some(log) = extended.filter(holds_tests).or(standard).or(extended) {
            return Some(Self { tests: log.at("table").items(TESTS_MAX).filter_map(ata_test).collect() });
        }
        let scsi = report.numbered("scsi_self_test_", TESTS_MAX);
        if !scsi.is_empty() {
            return Some(Self { tests: scsi.into_iter().map(|(_, test)| scsi_test(test)).collect() });
        }
        let nvme = report.at("nvme_self_test_log").there()?;
        Some(Self { tests: nvme.at("table").items(TESTS_MAX).map(nvme_test).collect() })
    }
}

fn ata_test(test: Field<'_>) -> Option<SelfTest> {
    let status = test.at("status");
    let result = match (status.at("value").small(), status.at("string").text(), status.at("passed").truth()) {
        (Some(value), _, _) => SelfTestResult::of_ata(value),
        (None, Some(words), _) => SelfTestResult::of_words(words),
        (None, None, Some(true)) => SelfTestResult::Passed,
        (None, None, Some(false)) => SelfTestResult::Failed,
        (None, None, None) => return None,
    };
    Some(SelfTest {
        kind: test.at("type").at("string").owned(NAME_BYTES_MAX),
        result,
        at_hours: test.at("lifetime_hours").number(),
        first_bad_lba: test.at("lba").number().filter(|_| result.is_failure()),
        hours_wrap: true,
    })
}

/// SCSI's log has 16 bits for the hours, and stops at this number (SPC-5, 7.3.19, "timestamp"): a test then, or later.
const SCSI_HOURS_MAX: u64 = 0xffff;

fn scsi_test(test: Field<'_>) -> SelfTest {
    let result =
        test.at("result").at("value").number().map_or(SelfTestResult::NotKnown, SelfTestResult::of_scsi);
    SelfTest {
        kind: test.at("code").at("string").owned(NAME_BYTES_MAX),
        result,
        at_hours: test.at("power_on_time").at("hours").number().filter(|hours| *hours < SCSI_HOURS_MAX),
        first_bad_lba: test.at("lba_first_failure").wide("value").filter(|_| result.is_failure()),
        hours_wrap: false,
    }
}

fn nvme_test(test: Field<'_>) -> SelfTest {
    let result = test.at("self_test_result").at("value").number();
    let result = result.map_or(SelfTestResult::NotKnown, SelfTestResult::of_nvme);
    SelfTest {
        kind: test.at("self_test_code").at("string").owned(NAME_BYTES_MAX),
        result,
        at_hours: test.at("power_on_hours").number(),
        first_bad_lba: test.wide("lba").filter(|_| result.is_failure()),
        hours_wrap: false,
    }
}
