//! One note.

use std::path::Path;

use serde::Serialize;
use toml::value::Date;

use super::criteria::Criteria;
use super::effect::Effect;
use crate::Identity;

/// What is known of some drives, and what follows from it.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its name: lower-case words and hyphens, unique.
    pub id: String,
    /// What happens, in one sentence.
    pub title: String,
    /// What a person should do, in one or a few sentences.
    pub advice: String,
    /// Where that is known from.
    pub source: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// When a person last held it against its source.
    pub reviewed_on: Date,
    /// From this day on it must be reviewed again.
    pub expires_on: Date,
    /// What it does: at least one effect.
    pub effects: Vec<Effect>,
    pub(super) criteria: Criteria,
    /// The file from which it was read; `None` where it was compiled in.
    pub(super) file: Option<String>,
}

/// How sure a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The fact and the drives that it is about stand in a public source.
    Verified,
    /// The symptom stands in a public source; which drives or versions exactly is less sure.
    Reported,
    /// From memory. Such a note only advises.
    Remembered,
}

impl Note {
    /// Whether the note is about this drive. What is not known of the drive fulfils no criterion.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        self.criteria.hold(identity)
    }

    /// Whether something that was refused under `name` was to take its place.
    pub(super) fn is_meant_by(&self, name: &str) -> bool {
        let is_of_file = self.file.as_deref().is_some_and(|file| {
            let rest = name.strip_prefix(file);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(", note "))
                || Path::new(file).parent().is_some_and(|folder| folder == Path::new(name))
        });
        self.id == name || is_of_file
    }

    /// Whether it was to be reviewed before `today`.
    #[must_use]
    pub fn is_expired(&self, today: Date) -> bool {
        self.expires_on <= today
    }
}
