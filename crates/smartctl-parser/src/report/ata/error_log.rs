//! ATA's log of errors: what failed, and how long ago.
//!
//! The log keeps the power-on hours of each error in 16 bits, so that they wrap at 65,536: seven and a
//! half years. An age is therefore the least that it can be.

use serde::{Deserialize, Serialize};

use crate::field::Field;
use crate::report::device::NAME_BYTES_MAX;

/// At most this many errors are kept: the summary log holds 5, a page of the extended one 4.
const ERRORS_MAX: usize = 64;

/// The log's hours are this wide.
const HOURS_WRAP: u64 = 1 << 16;

/// The log of errors, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorLog {
    /// How many errors there were in the drive's life; the count of the log wraps at 65,536 as well.
    pub count: Option<u64>,
    /// The latest of them.
    pub errors: Vec<LoggedError>,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedError {
    /// What kind.
    pub kinds: ErrorKinds,
    /// The power-on hours at which it happened, modulo 65,536.
    pub at_hours: Option<u64>,
    /// The block.
    pub lba: Option<u64>,
    /// What smartctl says of it.
    pub words: Option<String>,
}

/// The kinds of one error: bits of ATA's error register (ACS-4, 6.3), as far as they concern health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorKinds {
    /// UNC: data could not be read.
    pub unreadable: bool,
    /// ICRC: data were spoilt on the link.
    pub link: bool,
    /// IDNF: the sector was not found.
    pub not_found: bool,
    /// ABRT: the drive refused the command. Alone, that is the host's fault.
    pub aborted: bool,
    /// WP: the drive could not be written.
    pub write_protected: bool,
}

impl ErrorKinds {
    /// Whether the drive only refused a command.
    pub fn is_only_aborted(self) -> bool {
        self == Self { aborted: true, ..Self::default() }
    }

    fn of_words(words: &str) -> Self {
        // Only the names before the place: "Error: ICRC, ABRT at LBA = 0x00000000 = 0".
        let names = words.split(" at ").next().unwrap_or(words);
        let has = |name: &str| names.split([' ', ',', ':']).any(|word| word == name);
        Self {
            unreadable: has("UNC"),
            link: has("ICRC"),
            not_found: has("IDNF"),
            aborted: has("ABRT"),
            write_protected: has("WP"),
        }
    }

    fn of_register(error: u8) -> Self {
        let bit = |bit: u32| error & (1 << bit) != 0;
        Self { unreadable: bit(6), link: bit(7), not_found: bit(4), aborted: bit(2), write_protected: false }
    }
}

impl LoggedError {
    /// How many power-on hours ago it happened, at least, where the drive has been on for `power_on_hours`.
    /// None where the two contradict each other.
    pub fn age_hours(&self, power_on_hours: u64) -> Option<u64> {
        hours_since(self.at_hours?, power_on_hours)
    }
}

/// The least number of hours from `at_hours`, which wraps at 65,536, to `power_on_hours`, which does not.
/// An entry that lies one hour ahead is rounded: the two counters do not tick together. One that lies
/// further ahead on a drive that has not wrapped contradicts it.
pub(crate) fn hours_since(at_hours: u64, power_on_hours: u64) -> Option<u64> {
    let at_hours = at_hours % HOURS_WRAP;
    if let Some(age) = power_on_hours.checked_sub(at_hours) {
        return Some(age % HOURS_WRAP);
    }
    (at_hours - power_on_hours == 1).then_some(0)
}

impl ErrorLog {
    /// The log in a report, the extended one where it holds any; none where the report has neither.
    pub(crate) fn read(report: Field<'_>) -> Option<Self> {
        let log = report.at("ata_smart_error_log");
        // Some drives keep but one of the two, and answer for the other with an empty one.
        let [extended, summary] = ["extended", "summary"].map(|name| log.at(name).there());
        let holds_errors = |log: &Field<'_>| log.at("table").items(1).next().is_some();
        let log = extended.filter(holds_errors).or(summary).or(extended)?;
        Some(Self {
            count: log.at("count").number(),
            errors: log.at("table").items(ERRORS_MAX).map(LoggedError::read).collect(),
        })
    }
}

impl LoggedError {
    fn read(error: Field<'_>) -> Self {
        let words = error.at("error_description").owned(NAME_BYTES_MAX);
        let registers = error.at("completion_registers");
        let of_register = || registers.at("error").small().map(ErrorKinds::of_register).unwrap_or_default();
        let of_words =
            words.as_deref().map(ErrorKinds::of_words).filter(|kinds| *kinds != ErrorKinds::default());
        Self {
            kinds: of_words.unwrap_or_else(of_register),
            at_hours: error.at("lifetime_hours").number(),
            lba: registers.at("lba").number(),
            words,
        }
    }
}
