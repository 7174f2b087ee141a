//! What one drive's history is kept under.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Identity;

/// What a drive is known by: its WWN and its serial, never the name of a device file, which another drive
/// may bear after the next boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DriveKey {
    /// World-wide name.
    pub wwn: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
}

impl DriveKey {
    /// The key of a drive; `None` where neither WWN nor serial is known: such a drive has no history.
    #[must_use]
    pub fn of(identity: &Identity) -> Option<Self> {
        let known = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let key = Self { wwn: known(&identity.wwn), serial: known(&identity.serial) };
        (key.wwn.is_some() || key.serial.is_some()).then_some(key)
    }
}

impl fmt::Display for DriveKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.wwn, &self.serial) {
            (Some(wwn), Some(serial)) => write!(formatter, "{wwn} ({serial})"),
            (Some(only), None) | (None, Some(only)) => formatter.write_str(only),
            (None, None) => formatter.write_str("a drive without a name"),
        }
    }
}
