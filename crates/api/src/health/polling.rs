//! When a drive is asked by smartctl.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PollOutcome;

/// When a drive is asked by smartctl, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Polling {
    /// Whether it is being asked now, or an order to ask it waits for its turn.
    pub asking: bool,
    /// What came of the last question; `null` before the first.
    pub outcome: Option<PollOutcome>,
    /// Why there was no report, or smartctl's own words, where there are some.
    pub reason: Option<String>,
    /// When it was last asked; `null` where it never was.
    pub asked_at_unix_s: Option<u64>,
    /// When it was last asked for everything, its logs included; `null` where it never was.
    pub asked_fully_at_unix_s: Option<u64>,
    /// Seconds until it is asked next; `null` where nobody asks it: it is not there, or has no device file.
    pub due_in_s: Option<u64>,
    /// How often its engine has refused a quiet time for the question that is due.
    pub quiet_refusals: u32,
}

/// Body of `POST /v1/drives/{id}/health`: ask the drive now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollOrder {
    /// Whether to ask for its logs too, which takes longer.
    #[serde(default)]
    pub full: bool,
}
