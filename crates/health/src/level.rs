//! How bad it is, and of what.

use serde::{Deserialize, Serialize};

/// How a drive, or one axis of it, is. Greater is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// There are data, they are fresh, and nothing is wrong.
    Healthy,
    /// There are no data, or they are too old, or they contradict each other.
    #[default]
    Unknown,
    /// Something is wrong. The drive may go on.
    Degraded,
    /// The drive is failing, or about to.
    Failing,
}

impl Level {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Unknown, Self::Degraded, Self::Failing];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }

    /// Whether something is known to be wrong.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self >= Self::Degraded
    }
}

/// What of a drive a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The medium: sectors, blocks, zones.
    Media,
    /// Motor, heads, helium, heat, and a drive that has become slow.
    Mechanics,
    /// Cable, backplane, adapter.
    Link,
    /// The life that flash has left.
    Wear,
    /// The drive's program.
    Firmware,
    /// The asking itself.
    Monitor,
}

impl Axis {
    /// All of them, in the order in which verdicts list them.
    pub const ALL: [Self; 6] =
        [Self::Media, Self::Mechanics, Self::Link, Self::Wear, Self::Firmware, Self::Monitor];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Mechanics => "mechanics",
            Self::Link => "link",
            Self::Wear => "wear",
            Self::Firmware => "firmware",
            Self::Monitor => "monitor",
        }
    }
}
