//! Errors as JSON: problem details after RFC 9457, sent as `application/problem+json`.
//!
//! The `type` of every problem is [`TYPE_PREFIX`] followed by a kind in kebab case, for example
//! `urn:imbrex:problem:block-corrupt`. The kind is stable and is what a program decides on; `title`
//! and `detail` are for people and may change. The data API's kinds are those that its table of
//! answers names (`block-corrupt`, `media-error`, ...); the management API's are listed in its
//! OpenAPI document.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What stands before the kind in a problem's `type`.
pub const TYPE_PREFIX: &str = "urn:imbrex:problem:";

/// The media type of a problem's body.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One error, as a body of an HTTP answer (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is: `urn:imbrex:problem:` and a kind in kebab case.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The kind in a few words; the same for every problem of this type.
    pub title: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// One sentence about this very case, with what to do about it.
    pub detail: String,
    /// The state of the drive or node that explains the refusal, for example `draining`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The key of the block in question, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The ID of the drive in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drive: Option<String>,
}

impl Problem {
    /// A problem of `kind` (kebab case, without the prefix) with its HTTP `status`, a `title` for the
    /// kind and a `detail` for this case.
    pub fn new(kind: &str, status: u16, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            problem_type: format!("{TYPE_PREFIX}{kind}"),
            title: title.into(),
            status,
            detail: detail.into(),
            state: None,
            key: None,
            drive: None,
        }
    }

    /// The same problem with the state that explains it.
    #[must_use]
    pub fn with_state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// The same problem with the key of the block in question.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same problem with the ID of the drive in question.
    #[must_use]
    pub fn with_drive(mut self, drive: impl Into<String>) -> Self {
        self.drive = Some(drive.into());
        self
    }

    /// The kind: the `type` without its prefix, or the whole `type` where it has another one.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.problem_type.strip_prefix(TYPE_PREFIX).unwrap_or(&self.problem_type)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_as_rfc_9457_names_its_members() {
        let problem =
            Problem::new("draining", 503, "Draining", "The drive is stopping.").with_state("draining");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:imbrex:problem:draining",
                "title": "Draining",
                "status": 503,
                "detail": "The drive is stopping.",
                "state": "draining",
            })
        );
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap().kind(), "draining");
    }
}
