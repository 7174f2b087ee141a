//! Drive health: the answer first (level, one action), what it rests on below.
//!
//! - A level is never better than what is known: no data, late or contradictory data are `unknown`.
//! - Every piece of evidence says what it is about, its value, what it was, since when, and who says so.
//! - Times are in seconds since 1970 by the node's clock.

mod notes;
mod polling;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use notes::{NotesState, RefusedNote};
pub use polling::{PollOrder, Polling};

/// A word in JSON for every member of an enum, and `unknown` for one that this version has no name for.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $member:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $member,)+
            /// Not known, or one that this version has no name for.
            #[default]
            #[serde(rename = "unknown", other)]
            Unknown,
        }

        impl $name {
            /// Every member, in the order of this page.
            pub const ALL: &[Self] = &[$(Self::$member,)+ Self::Unknown];

            /// The word for it in JSON, in metrics and in tables.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $word,)+
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

words! {
    /// How a drive, or one axis of it, is. `unknown`: there are no data, or they are late, or they contradict each
    /// other.
    Level {
        /// There are data, they are fresh, and nothing is wrong.
        Healthy = "healthy",
        /// Something is wrong. The drive may go on.
        Degraded = "degraded",
        /// The drive is failing, or about to.
        Failing = "failing",
    }
}

words! {
    /// What of a drive a verdict is about.
    Axis {
        /// The medium: sectors, blocks, zones.
        Media = "media",
        /// Motor, heads, helium, heat, and a drive that has become slow.
        Mechanics = "mechanics",
        /// Cable, backplane, adapter.
        Link = "link",
        /// The life that flash has left.
        Wear = "wear",
        /// The drive's program.
        Firmware = "firmware",
        /// The asking itself.
        Monitor = "monitor",
    }
}

words! {
    /// The one thing to do next.
    Action {
        /// Nothing.
        None = "none",
        /// Find out why there are no data.
        CheckMonitor = "check-monitor",
        /// Look whether the drive is plugged in and has power.
        CheckPresence = "check-presence",
        /// Look again in some days.
        Watch = "watch",
        /// Look at cable, backplane and adapter; the drive is not to blame.
        CheckLink = "check-link",
        /// Cool it.
        Cool = "cool",
        /// Let the scrub read all of it, and rewrite what it finds.
        Scrub = "scrub",
        /// Give it another firmware.
        UpdateFirmware = "update-firmware",
        /// Put no more data on it.
        Refuse = "refuse",
        /// Order its successor.
        PlanReplacement = "plan-replacement",
        /// Write the blocks that it cannot answer for anew, from their copies.
        RestoreBlocks = "restore-blocks",
        /// Move its blocks away and replace it.
        Replace = "replace",
    }
}

words! {
    /// Where in its life a drive is.
    Life {
        /// Fresh from its box: less than a day of power.
        New = "new",
        /// In its first thirty days of power.
        BurnIn = "burn-in",
        /// In service.
        InService = "in-service",
        /// In service, with something wrong.
        Suspect = "suspect",
        /// Its blocks are being moved away.
        Draining = "draining",
        /// Given up.
        Failed = "failed",
        /// Gone for longer than a day.
        Removed = "removed",
    }
}

words! {
    /// Who saw it.
    Source {
        /// The drive itself, through smartctl.
        Smart = "smart",
        /// The drive's engine: its reads and writes.
        Engine = "engine",
        /// The kernel's log.
        Kernel = "kernel",
        /// The slot: what is plugged in.
        Enclosure = "enclosure",
        /// What is known of the model and firmware.
        Notes = "notes",
    }
}

words! {
    /// What keeps drives from being drained by themselves.
    Guard {
        /// One drive at a time.
        OneAtATime = "one-at-a-time",
        /// Several drives went bad together.
        CommonCause = "common-cause",
        /// Several drives of one model and firmware are gone already.
        SameFirmware = "same-firmware",
        /// There would be too little free space.
        FreeSpace = "free-space",
    }
}

words! {
    /// What came of asking a drive by smartctl.
    PollOutcome {
        /// A report.
        Report = "report",
        /// The drive sleeps and was left asleep.
        Asleep = "asleep",
        /// No report; the reason says why.
        Failed = "failed",
        /// It was not asked: a firmware note says that asking harms it.
        Masked = "masked",
    }
}

/// Answer of `GET /v1/drives/{id}/health`: how the drive is, how that is known, since when, and what to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriveHealth {
    /// The drive's ID.
    pub id: String,
    /// How it is.
    pub level: Level,
    /// The one thing to do next.
    pub action: Action,
    /// The same in words, for people.
    pub advice: String,
    /// Seconds since the drive last told of itself; `null` where it never has.
    pub data_age_s: Option<u64>,
    /// Where in its life it is.
    pub life: Life,
    /// Since when the node has recorded how it is: what came before is not known here, unless it was restored. `null`
    /// where nothing is recorded.
    #[serde(default)]
    pub watched_since_unix_s: Option<u64>,
    /// Whether the evidence would do to drain it without a person's word: an explicit failure status, or two
    /// independent sources. The node's guards have their say after this.
    pub drain_without_person: bool,
    /// The axes, each once.
    pub axes: Vec<AxisHealth>,
    /// The firmware notes that match it.
    pub notes: Vec<MatchedNote>,
    /// When it is asked, and what came of it.
    pub polling: Polling,
    /// The adapter behind which it sits: its driver and its place, for example `mpt3sas 0000:3b:00.0`.
    pub adapter: Option<String>,
    /// World-wide name.
    pub wwn: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
}

/// What is said of one axis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AxisHealth {
    /// The axis.
    pub axis: Axis,
    /// How it is.
    pub level: Level,
    /// What that rests on, the worst first; at most 16.
    pub evidence: Vec<Evidence>,
}

/// One piece of evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// What it would make of the drive, alone.
    pub level: Level,
    /// What it is about, in words.
    pub what: String,
    /// What it is now.
    pub value: String,
    /// What it was before; `null` where that is not known.
    pub was: Option<String>,
    /// Since when, as far as what is recorded reaches; `null` where nobody knows.
    pub since_unix_s: Option<u64>,
    /// Whether it may have been so before that: nothing older is recorded.
    #[serde(default)]
    pub since_at_least: bool,
    /// Who says so.
    pub source: Source,
}

/// A firmware note that matches a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatchedNote {
    /// Its name.
    pub id: String,
    /// What happens, in one sentence.
    pub title: String,
    /// What a person should do.
    pub advice: String,
    /// Where that is known from.
    pub source: String,
}

/// Answer of `GET /v1/drives/{id}/history`, and body of `PUT /v1/drives/{id}/history`: all that was recorded of a drive,
/// to be kept where it outlives the node. A node that boots from memory forgets what it is not given back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptHistory {
    /// The version of what follows; a node takes its own.
    pub version: u32,
    /// The history. Whoever keeps it need not understand it.
    #[schema(value_type = Object)]
    pub history: serde_json::Value,
}

/// Body of `POST /v1/drives/{id}/life`: a step in the drive's life that a person, or the control plane, has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LifeOrder {
    /// The step.
    pub step: LifeStep,
}

/// A step in a drive's life. The node keeps it as evidence, and for its guards; it moves no block for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LifeStep {
    /// Its blocks are being moved away: no other drive is offered for a drain meanwhile.
    DrainStarted,
    /// The drain was called off.
    DrainStopped,
    /// It is given up.
    Failed,
    /// It was looked at and found well, or repaired: what was recorded before counts no longer.
    Cleared,
}

/// Answer of `GET /v1/health`: every drive in short, and what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeHealth {
    /// The worst level of any drive, `unknown` counted between `healthy` and `degraded`; `unknown` where there is no
    /// drive.
    pub level: Level,
    /// When this was said.
    pub at_unix_s: u64,
    /// How many drives are at each level.
    pub counts: LevelCounts,
    /// What several bad drives have in common, in one sentence that begins with "common cause".
    pub common_cause: Option<String>,
    /// The guards that hold a drain back.
    pub guards: Vec<HeldGuard>,
    /// The ID of the one drive that may be drained now without a person. The node itself drains nothing: it
    /// publishes this for the control plane.
    pub drain: Option<String>,
    /// Every drive, by ID.
    pub drives: Vec<DriveInShort>,
    /// The firmware notes.
    pub notes: NotesState,
    /// smartctl processes that cannot be killed, each on a drive that does not answer the kernel.
    pub smartctl_left_behind: u64,
    /// Why the kernel's log is not read; `null` where it is.
    pub kernel_log_reason: Option<String>,
}

/// How many drives are at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LevelCounts {
    /// Healthy ones.
    pub healthy: u64,
    /// Those of which nobody knows.
    pub unknown: u64,
    /// Degraded ones.
    pub degraded: u64,
    /// Failing ones.
    pub failing: u64,
}

/// A guard that holds a drain back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldGuard {
    /// Which guard.
    pub guard: Guard,
    /// Why, in one sentence.
    pub why: String,
}

/// One drive's verdict in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DriveInShort {
    /// The drive's ID.
    pub id: String,
    /// How it is.
    pub level: Level,
    /// The one thing to do next.
    pub action: Action,
    /// The worst evidence, in words; `null` where nothing is wrong.
    pub because: Option<String>,
    /// Since when; `null` where nobody knows.
    pub since_unix_s: Option<u64>,
    /// Seconds since the drive last told of itself; `null` where it never has.
    pub data_age_s: Option<u64>,
    /// Where in its life it is.
    pub life: Life,
    /// Serial number.
    pub serial: Option<String>,
    /// Model.
    pub model: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_one_of_another_version_is_unknown() {
        for level in Level::ALL {
            assert_eq!(serde_json::to_string(level).unwrap(), format!("{:?}", level.as_str()));
        }
        for action in Action::ALL {
            let json = serde_json::to_string(action).unwrap();
            assert_eq!(json, format!("{:?}", action.as_str()));
            assert_eq!(serde_json::from_str::<Action>(&json).unwrap(), *action);
        }
        assert_eq!(serde_json::from_str::<Level>("\"splendid\"").unwrap(), Level::Unknown);
    }

    #[test]
    fn an_order_to_ask_names_no_field_that_is_not_known() {
        assert_eq!(serde_json::from_str::<PollOrder>("{}").unwrap(), PollOrder::default());
        assert!(serde_json::from_str::<PollOrder>(r#"{"heavy":true}"#).is_err());
    }
}
