//! What is in the image: `image/contents.toml`, read and checked.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The list of what stays of Debian.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Files and folders.
    pub debian: Vec<Group>,
    /// Kernel modules, by what they are for.
    pub modules: BTreeMap<String, Vec<String>>,
    /// What must not be there.
    pub forbidden: Forbidden,
}

/// Files that are there for one reason.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Absolute paths in the Debian tree.
    pub paths: Vec<String>,
    /// The reason.
    pub why: String,
}

/// What must not be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    /// Names of files, without folders.
    pub names: Vec<String>,
}

impl Contents {
    /// Reads the list.
    ///
    /// # Errors
    /// Where it cannot be read, or has a key or a value that it should not.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a list of contents", path.display()))
    }

    /// Every kernel module that is named.
    pub fn module_names(&self) -> impl Iterator<Item = &str> {
        self.modules.values().flatten().map(String::as_str)
    }
}
