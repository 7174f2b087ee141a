//! Notes: what is known of drive models, firmware, kernels and adapters.
//!
//! - A note is data: a TOML file that says which drives it is about, what it does, and where that is known from.
//! - The notes of `firmware-notes/` are compiled in. A file of an administrator's takes the place of those with the
//!   same ids and adds to the others; a note of it that is bad is refused by name, and what was there stays.
//! - A note never makes a drive healthy. It makes a value mean something else, or says what else is wrong.
//!
//! ```
//! use imbrex_health::{Bus, Identity};
//! use imbrex_health::notes::Notes;
//!
//! let notes = Notes::compiled_in();
//! let model = Some("CT1000MX500SSD1".to_owned());
//! let identity = Identity { model, bus: Bus::Sata, ..Identity::default() };
//! assert!(notes.effective(&identity).ignores_raw(197).is_some());
//! ```

mod criteria;
mod document;
mod effect;
mod effective;
mod kernel_range;
mod load;
mod note;

use std::path::Path;

pub use effect::{Advice, Effect, Field, Fuse, Mask, MaskedCommand, ParserHint, Refuse, Threshold, TimeBomb};
pub use effective::Effective;
pub use load::TrustRule;
pub use note::{Confidence, Note};
pub use toml::value::Date;

use crate::Identity;

/// The files of `firmware-notes/`, by name: what each is called and holds.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/firmware_notes.rs"));

/// A note that was refused, or a file with notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNote {
    /// The note's id, or the file and the note's place in it where it has none.
    pub name: String,
    /// What is wrong with it, as a phrase.
    pub reason: String,
}

/// Notes, each id once.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    notes: Vec<Note>,
}

impl Notes {
    /// The notes that this program was built with.
    #[must_use]
    pub fn compiled_in() -> Self {
        Self::compiled_in_or_bad().0
    }

    /// The notes that this program was built with, and those that are bad: a test sees to it that there are none.
    fn compiled_in_or_bad() -> (Self, Vec<BadNote>) {
        let (mut notes, mut bad) = (Self::default(), Vec::new());
        for (file, text) in FILES {
            match load::parse_toml(text).and_then(document::parse) {
                Ok(note) if *file == format!("{}.toml", note.id) => notes.put(note),
                Ok(note) => bad.push(BadNote {
                    name: (*file).to_owned(),
                    reason: format!("the note in it is called {}", note.id),
                }),
                Err(reason) => bad.push(BadNote { name: (*file).to_owned(), reason }),
            }
        }
        (notes, bad)
    }

    /// The notes of a file, which is one note or a list of them under `[[note]]`, or of a folder of such files; and
    /// those that were refused. What `trust` does not believe is refused whole.
    #[must_use]
    pub fn load(path: &Path, trust: TrustRule) -> (Self, Vec<BadNote>) {
        let (loaded, bad) = load::load(path, trust);
        (Self::default().with(loaded), bad)
    }

    /// The notes of a text, as [`load`](Self::load) takes them from a file. `name` is what the text is called where a
    /// note of it is refused that has no name of its own.
    #[must_use]
    pub fn of_text(name: &str, text: &str) -> (Self, Vec<BadNote>) {
        let (read, bad) = load::of_text(name, text);
        (Self::default().with(read), bad)
    }

    /// These notes, with those of `other` in the place of the same ids and beside the rest.
    #[must_use]
    pub fn replaced_by(self, other: Self) -> Self {
        self.with(other.notes)
    }

    /// These notes, and those of `earlier` of which a newer version was refused: a note by its id, the notes of a file by the
    /// file, those of a folder by the folder. What is refused leaves what was there before.
    #[must_use]
    pub fn keeping(mut self, earlier: &Self, refused: &[BadNote]) -> Self {
        for note in &earlier.notes {
            let is_new = self.notes.iter().any(|known| known.id == note.id);
            let is_refused = refused.iter().any(|bad| note.is_meant_by(&bad.name));
            if is_refused && !is_new && self.notes.len() < load::NOTES_MAX {
                self.put(note.clone());
            }
        }
        self
    }

    fn with(mut self, notes: Vec<Note>) -> Self {
        notes.into_iter().for_each(|note| self.put(note));
        self
    }

    fn put(&mut self, note: Note) {
        match self.notes.binary_search_by(|known| known.id.cmp(&note.id)) {
            Ok(index) => self.notes[index] = note,
            Err(index) => self.notes.insert(index, note),
        }
    }

    /// All of them, in the order of their ids.
    #[must_use]
    pub fn all(&self) -> &[Note] {
        &self.notes
    }

    /// The notes about this drive, in the order of their ids.
    pub fn matching<'a>(&'a self, identity: &Identity) -> impl Iterator<Item = &'a Note> {
        self.notes.iter().filter(|note| note.matches(identity))
    }

    /// What the notes about this drive come to.
    #[must_use]
    pub fn effective(&self, identity: &Identity) -> Effective<'_> {
        Effective::new(self.matching(identity).collect())
    }
}
