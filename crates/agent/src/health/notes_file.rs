//! The firmware notes that the node judges by: those that are compiled in, and an administrator's in their place.
//!
//! - Believed is root's file alone, which nobody else can write: notes silence questions and refuse drives. The agent of a
//!   node runs as root; one that does not, on a laptop, believes no more.
//! - The administrator's may be exchanged while the agent runs. They are looked at every [`LOOK_INTERVAL`], and read again
//!   where a file has come, gone or changed.
//! - What is refused is named, and leaves what was there before: a note its earlier version, a file its notes, and a folder
//!   that cannot be read all of them. What is taken away is gone.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use imbrex_api::health::{NotesState, RefusedNote};
use imbrex_health::notes::{Notes, TrustRule};

use super::{Book, now_unix_s};

/// The administrator's notes are looked at this often: some `stat` calls.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// At most so many files of a folder are looked at: of one with more than 1,000 notes none is taken.
const LOOKED_AT_MAX: usize = 1_001;

/// The notes, and what is told of them.
#[derive(Debug)]
pub(crate) struct LoadedNotes {
    /// All of them.
    pub(super) notes: Notes,
    pub(super) state: NotesState,
    /// The administrator's.
    own: Notes,
    look: Look,
}

impl LoadedNotes {
    /// The compiled-in notes, with those of the file or folder at `path` where there is one.
    pub(crate) fn load(path: &Path) -> Self {
        Self::read(path, Look::at(path), &Notes::default())
    }

    /// The notes as they are now; `None` where nothing has changed since these were read. May wait for the disk.
    pub(super) fn read_again(&self, path: &Path) -> Option<Self> {
        // The look comes first: what changes after it is found by the next one.
        let look = Look::at(path);
        (look != self.look).then(|| Self::read(path, look, &self.own))
    }

    fn read(path: &Path, look: Look, earlier: &Notes) -> Self {
        let loaded_at_unix_s = Some(now_unix_s());
        let compiled_in = Notes::compiled_in();
        if look == Look::Nothing {
            let state = NotesState {
                count: compiled_in.all().len() as u64,
                loaded_at_unix_s,
                ..NotesState::default()
            };
            return Self { notes: compiled_in, state, own: Notes::default(), look };
        }
        let (loaded, bad) = Notes::load(path, TrustRule::ROOT);
        let own = loaded.keeping(earlier, &bad);
        let notes = compiled_in.replaced_by(own.clone());
        let refused = bad.into_iter().map(|note| RefusedNote { name: note.name, reason: note.reason });
        let state = NotesState {
            count: notes.all().len() as u64,
            path: Some(path.display().to_string()),
            from_path: own.all().iter().map(|note| note.id.clone()).collect(),
            refused: refused.collect(),
            loaded_at_unix_s,
        };
        Self { notes, state, own, look }
    }

    /// Says in the log what was read.
    pub(crate) fn tell(&self) {
        let NotesState { count, path, from_path, refused, .. } = &self.state;
        for note in refused {
            tracing::warn!("firmware note {} is refused: {}", note.name, note.reason);
        }
        match path {
            Some(path) => tracing::info!(
                count,
                refused = refused.len(),
                "firmware notes are read; of {path}: {}",
                if from_path.is_empty() { "none".to_owned() } else { from_path.join(", ") }
            ),
            None => tracing::info!(count, "the firmware notes are those that are compiled in"),
        }
    }
}

/// Looks after the notes at `path` for ever.
pub(crate) async fn run(book: Arc<Book>, path: PathBuf) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let (present, path) = (book.notes(), path.clone());
        // A disk that hangs costs a thread for what may block, and no answer.
        let read = tokio::task::spawn_blocking(move || present.read_again(&path)).await;
        match read {
            Ok(Some(notes)) => {
                notes.tell();
                book.set_notes(notes);
            }
            Ok(None) => {}
            Err(error) => tracing::error!("the firmware notes could not be read again: {error}"),
        }
    }
}

/// What can be seen of the files without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// There is nothing.
    Nothing,
    /// It cannot be looked at.
    Hidden(ErrorKind),
    /// The file, or the folder and its files.
    Files(Vec<Seen>),
}

/// One file. Its change time moves with its contents, its owner and its mode, and nobody can set it (inode(7)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    path: PathBuf,
    /// Device, inode, length in bytes, mode, owner, and the times of the last write and the last change in seconds and nanoseconds;
    /// `None` for one that cannot be looked at.
    what: Option<[i128; 9]>,
}

impl Look {
    fn at(path: &Path) -> Self {
        match Self::files(path) {
            Ok(files) => Self::Files(files),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Nothing,
            Err(error) => Self::Hidden(error.kind()),
        }
    }

    fn files(path: &Path) -> Result<Vec<Seen>, Error> {
        let metadata = fs::metadata(path)?;
        let mut files = Vec::new();
        if metadata.is_dir() {
            for entry in fs::read_dir(path)?.take(LOOKED_AT_MAX) {
                let path = entry?.path();
                let what = fs::metadata(&path).ok().map(|metadata| numbers(&metadata));
                files.push(Seen { path, what });
            }
        }
        files.push(Seen { path: path.to_owned(), what: Some(numbers(&metadata)) });
        files.sort();
        Ok(files)
    }
}

fn numbers(of: &fs::Metadata) -> [i128; 9] {
    [
        of.dev().into(),
        of.ino().into(),
        of.len().into(),
        of.mode().into(),
        of.uid().into(),
        of.mtime().into(),
        of.mtime_nsec().into(),
        of.ctime().into(),
        of.ctime_nsec().into(),
    ]
}

#[cfg(test)]
#[path = "notes_file_tests.rs"]
mod tests;
