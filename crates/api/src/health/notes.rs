//! The firmware notes of a node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The firmware notes that the node judges by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotesState {
    /// How many there are.
    pub count: u64,
    /// The file or folder from which some of them were read; `null` where all are compiled in.
    pub path: Option<String>,
    /// The ids of those that are from there, in force now.
    #[serde(default)]
    pub from_path: Vec<String>,
    /// Notes that were refused. What was there before under the same id, or from the same file, stays in force.
    pub refused: Vec<RefusedNote>,
    /// When they were last read, in seconds since 1970; `null` where a node of an earlier version does not say. A file that
    /// changes is read again within some seconds.
    #[serde(default)]
    pub loaded_at_unix_s: Option<u64>,
}

/// A firmware note that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedNote {
    /// The note's name, or the file and the note's place in it.
    pub name: String,
    /// What is wrong with it, as a phrase.
    pub reason: String,
}
