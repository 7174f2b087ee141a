//! What is said of a drive.

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::level::{Axis, Level};
use crate::life::Life;
use crate::observation::Source;

/// What is said of a drive: the answer first, what it rests on below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How the drive is.
    pub level: Level,
    /// The one thing to do next.
    pub action: Action,
    /// Whether the drive may be drained without a person's word: an explicit failure status, or two
    /// independent sources. The node's guards have their say after this.
    pub drain_without_person: bool,
    /// Seconds since the drive last told of itself; `None` where it never has.
    pub data_age_s: Option<u64>,
    /// Where in its life it is.
    pub life: Life,
    /// The axes, each in the order of [`Axis::ALL`].
    pub axes: [AxisVerdict; 6],
}

/// What is said of one axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AxisVerdict {
    /// The axis.
    pub axis: Axis,
    /// How it is.
    pub level: Level,
    /// What that rests on, the worst first. At most [`EVIDENCE_MAX`].
    pub evidence: Vec<Evidence>,
}

/// At most this much evidence is kept for an axis: one line for each rule that can speak, and then some.
pub const EVIDENCE_MAX: usize = 16;

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it would make of the drive, alone.
    pub level: Level,
    /// What it is about, in words.
    pub what: String,
    /// What it is now.
    pub value: String,
    /// What it was before, where that is known.
    pub was: Option<String>,
    /// Since when, in seconds since 1970, as far as the history reaches; `None` where nobody knows.
    pub since_unix_s: Option<u64>,
    /// Whether it may have been so before that: nothing older is recorded.
    #[serde(default)]
    pub since_at_least: bool,
    /// Who says so.
    pub source: Source,
}

impl Verdict {
    /// The verdict on one axis.
    #[must_use]
    pub fn axis(&self, axis: Axis) -> &AxisVerdict {
        &self.axes[Axis::ALL.iter().position(|other| *other == axis).unwrap_or(0)]
    }

    /// All evidence, the worst first, each with its axis.
    #[must_use]
    pub fn evidence(&self) -> Vec<(Axis, &Evidence)> {
        let mut all: Vec<_> = self
            .axes
            .iter()
            .flat_map(|axis| axis.evidence.iter().map(move |evidence| (axis.axis, evidence)))
            .collect();
        all.sort_by_key(|(_, evidence)| std::cmp::Reverse(evidence.level));
        all
    }
}
