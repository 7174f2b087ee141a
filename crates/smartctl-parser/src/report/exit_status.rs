//! The exit status of smartctl, by its bits.

use serde::{Deserialize, Serialize};

/// The exit status of smartctl: eight facts, of which only the first two mean that there are no data
/// (smartctl(8), "EXIT STATUS").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExitStatus(pub u8);

impl ExitStatus {
    const NAMES: [&str; 8] = [
        "command line not understood",
        "device not opened, or asleep",
        "a command to the drive failed, or a checksum was wrong",
        "the drive says that it is failing",
        "an attribute is at or below its threshold now",
        "an attribute was at or below its threshold in the past",
        "the error log has entries",
        "the self-test log has failures",
    ];

    fn bit(self, bit: u32) -> bool {
        self.0 & (1 << bit) != 0
    }

    /// Bit 0: the command line was not understood.
    pub fn command_line_failed(self) -> bool {
        self.bit(0)
    }

    /// Bit 1: the device could not be opened or identified, or is asleep and was left so.
    pub fn open_failed(self) -> bool {
        self.bit(1)
    }

    /// Bit 2: some command to the drive failed, or a structure's checksum was wrong. The rest of the report stands.
    pub fn some_command_failed(self) -> bool {
        self.bit(2)
    }

    /// Bit 3: the drive's own status is "failing".
    pub fn drive_failing(self) -> bool {
        self.bit(3)
    }

    /// Bit 4: a prefailure attribute is at or below its threshold now.
    pub fn attribute_below_threshold(self) -> bool {
        self.bit(4)
    }

    /// Bit 5: an attribute (of any type) was at or below its threshold at some time in the past.
    pub fn attribute_was_below_threshold(self) -> bool {
        self.bit(5)
    }

    /// Bit 6: the drive's error log has entries, of whatever age and kind.
    pub fn error_log_has_entries(self) -> bool {
        self.bit(6)
    }

    /// Bit 7: the self-test log has failures that no later success of the same test has made obsolete.
    pub fn self_test_log_has_failures(self) -> bool {
        self.bit(7)
    }

    /// Whether the status says that there are no data at all: bit 0 or 1.
    pub fn no_data(self) -> bool {
        self.command_line_failed() || self.open_failed()
    }

    /// What each bit that is set means, lowest first.
    pub fn facts(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().zip(0..).filter(move |(_, bit)| self.bit(*bit)).map(|(name, _)| name)
    }
}
