//! Where in its life a drive is.

use serde::{Deserialize, Serialize};

/// Where in its life a drive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Fresh from its box: less than a day of power.
    #[default]
    New,
    /// In its first thirty days of power, in which drives die of what they were born with.
    BurnIn,
    /// In service.
    InService,
    /// In service, with something wrong.
    Suspect,
    /// Its blocks are being moved away.
    Draining,
    /// Given up.
    Failed,
    /// Gone for longer than a day.
    Removed,
}

impl Life {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::BurnIn => "burn-in",
            Self::InService => "in-service",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
            Self::Failed => "failed",
            Self::Removed => "removed",
        }
    }
}
