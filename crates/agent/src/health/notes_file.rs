//! The firmware notes that the node judges by: those that are compiled in, and an administrator's in their place.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use imbrex_api::health::{NotesState, RefusedNote};
use imbrex_health::notes::{Notes, TrustRule};

/// The notes, and what is told of them.
#[derive(Debug)]
pub(crate) struct LoadedNotes {
    pub(super) notes: Notes,
    pub(super) state: NotesState,
}

impl LoadedNotes {
    /// The compiled-in notes, with those of the file or folder at `path` where there is one. What is bad there is
    /// refused by its name, said in the log and told by the API; the rest is taken.
    ///
    /// Believed is what belongs to the user as whom the agent runs, which on a node is root, and what nobody else can
    /// write.
    pub(crate) fn load(path: &Path) -> Self {
        let notes = Notes::compiled_in();
        if !path.exists() {
            let count = notes.all().len() as u64;
            return Self { notes, state: NotesState { count, ..NotesState::default() } };
        }
        let trust =
            std::fs::metadata("/proc/self").map_or(TrustRule::ROOT, |own| TrustRule { owner_uid: own.uid() });
        let (loaded, bad) = Notes::load(path, trust);
        for note in &bad {
            tracing::warn!("firmware note {} is refused: {}", note.name, note.reason);
        }
        let notes = notes.replaced_by(loaded);
        let refused = bad.into_iter().map(|note| RefusedNote { name: note.name, reason: note.reason });
        let state = NotesState {
            count: notes.all().len() as u64,
            path: Some(path.display().to_string()),
            refused: refused.collect(),
        };
        Self { notes, state }
    }
}
