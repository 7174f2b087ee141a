//! What a rule says: a piece of evidence, its axis, and what it would have done.

use std::fmt::Display;

use crate::action::Action;
use crate::level::{Axis, Level};
use crate::observation::Source;
use crate::verdict::Evidence;

/// What a rule says.
#[derive(Clone, Debug)]
pub(crate) struct Clue {
    pub(crate) axis: Axis,
    pub(crate) evidence: Evidence,
    pub(crate) action: Action,
    /// Whether the drive itself says outright that it is failing.
    pub(crate) is_explicit: bool,
    /// Whether it is strong enough to make, with a strong one from an independent source, a failing drive.
    pub(crate) is_strong: bool,
}

impl Clue {
    /// Something worth to be told that makes no drive worse.
    pub(crate) fn note(axis: Axis, source: Source, what: impl Into<String>, value: impl Display) -> Self {
        Self::new(axis, Level::Healthy, Action::None, source, what, value)
    }

    /// Something that makes a drive degraded.
    pub(crate) fn degraded(
        axis: Axis,
        action: Action,
        source: Source,
        what: impl Into<String>,
        value: impl Display,
    ) -> Self {
        Self::new(axis, Level::Degraded, action, source, what, value)
    }

    /// Something that makes a drive failing.
    pub(crate) fn failing(axis: Axis, source: Source, what: impl Into<String>, value: impl Display) -> Self {
        Self::new(axis, Level::Failing, Action::Replace, source, what, value)
    }

    /// Something that nobody can know.
    pub(crate) fn unknown(axis: Axis, source: Source, what: impl Into<String>, value: impl Display) -> Self {
        Self::new(axis, Level::Unknown, Action::CheckMonitor, source, what, value)
    }

    fn new(
        axis: Axis,
        level: Level,
        action: Action,
        source: Source,
        what: impl Into<String>,
        value: impl Display,
    ) -> Self {
        let evidence = Evidence {
            level,
            what: what.into(),
            value: value.to_string(),
            was: None,
            since_unix_s: None,
            since_at_least: false,
            source,
        };
        Self { axis, evidence, action, is_explicit: false, is_strong: false }
    }

    /// With this to be done, whatever its level.
    pub(crate) fn asks(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    /// With what it was before.
    pub(crate) fn was(mut self, was: impl Display) -> Self {
        self.evidence.was = Some(was.to_string());
        self
    }

    /// Since when it is so.
    pub(crate) fn since(mut self, since_unix_s: Option<u64>) -> Self {
        self.evidence.since_unix_s = since_unix_s;
        self
    }

    /// The drive itself says so outright.
    pub(crate) fn explicit(mut self) -> Self {
        self.is_explicit = true;
        self
    }

    /// Strong enough to corroborate.
    pub(crate) fn strong(mut self) -> Self {
        self.is_strong = true;
        self
    }
}
