//! The one thing to do next.

use serde::{Deserialize, Serialize};

/// The one thing to do next. Greater is more pressing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    #[default]
    None,
    /// Find out why there are no data.
    CheckMonitor,
    /// Look whether the drive is plugged in and has power.
    CheckPresence,
    /// Look again in some days.
    Watch,
    /// Look at cable, backplane and adapter; the drive is not to blame.
    CheckLink,
    /// Cool it.
    Cool,
    /// Let the scrub read all of it, and rewrite what it finds.
    Scrub,
    /// Give it another firmware.
    UpdateFirmware,
    /// Put no data on it, and move away what it holds: a firmware note refuses it.
    Refuse,
    /// Order its successor.
    PlanReplacement,
    /// Write the blocks that it cannot answer for anew, from their copies.
    RestoreBlocks,
    /// Move its blocks away and replace it.
    Replace,
}

impl Action {
    /// Its name, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CheckMonitor => "check-monitor",
            Self::CheckPresence => "check-presence",
            Self::Watch => "watch",
            Self::CheckLink => "check-link",
            Self::Cool => "cool",
            Self::Scrub => "scrub",
            Self::UpdateFirmware => "update-firmware",
            Self::Refuse => "refuse",
            Self::PlanReplacement => "plan-replacement",
            Self::RestoreBlocks => "restore-blocks",
            Self::Replace => "replace",
        }
    }

    /// What to do, in words for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "Nothing to do.",
            Self::CheckMonitor => {
                "Find out why there are no data: run smartctl by hand, look at the adapter."
            }
            Self::CheckPresence => "Look whether the drive is plugged in and has power.",
            Self::Watch => "Watch it; look again in a week.",
            Self::CheckLink => "Check the cable, the backplane and the adapter before the drive.",
            Self::Cool => "Check fans and airflow: the drive is too hot.",
            Self::Scrub => {
                "Scrub the whole drive so that bad sectors are found and rewritten, then look again."
            }
            Self::UpdateFirmware => "Update the drive's firmware.",
            Self::Refuse => "Put no data on this drive, and drain what it holds: a firmware note refuses it.",
            Self::PlanReplacement => "Order a replacement and drain the drive at a quiet time.",
            Self::RestoreBlocks => {
                "Some blocks are not answered for: compare the drive's list with what it should hold, and restore what is \
                 missing from other copies."
            }
            Self::Replace => "Drain the drive now and replace it.",
        }
    }
}
