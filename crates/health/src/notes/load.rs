//! Notes from files that an administrator placed.
//!
//! - Only a file that root owns, and that nobody else can write, is believed: notes silence questions and refuse
//!   drives. The owner and the mode are read from the open file, so that it cannot be exchanged in between.
//! - A note that is bad is refused by its name, and the others are taken.
//! - The file, the folder and the number of notes are bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::note::Note;
use super::{BadNote, document};

/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The most files of a folder, and the most notes of a file.
pub(super) const NOTES_MAX: usize = 1_000;
/// Permission bits of those who may write beside the owner (chmod(2): S_IWGRP, S_IWOTH).
const OTHERS_WRITE: u32 = 0o022;
/// Opening a pipe must not wait for its other end (open(2)).
const OPEN_FLAGS: i32 = 0o4000;

/// Whose files are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustRule {
    /// The user who must own the file; root is 0.
    pub owner_uid: u32,
}

impl TrustRule {
    /// Root's files, which nobody else can write.
    pub const ROOT: Self = Self { owner_uid: 0 };

    /// # Errors
    /// One phrase on why the file or folder behind `metadata` is not believed.
    fn check(self, metadata: &fs::Metadata) -> Result<(), String> {
        if metadata.uid() != self.owner_uid {
            return Err(format!("user {} owns it, and not user {}", metadata.uid(), self.owner_uid));
        }
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(format!("its mode {:03o} lets others write it", metadata.mode() & 0o777));
        }
        Ok(())
    }
}

/// The notes of the file or folder at `path`, and what was refused.
pub(super) fn load(path: &Path, trust: TrustRule) -> (Vec<Note>, Vec<BadNote>) {
    let mut taken = Taken::default();
    match files_of(path, trust) {
        Ok(files) => {
            for file in files {
                taken.take_file(&file, trust);
            }
        }
        Err(reason) => taken.refuse(path.display().to_string(), reason),
    }
    (taken.notes, taken.refused)
}

/// The notes of a text called `name`, and what was refused.
pub(super) fn of_text(name: &str, text: &str) -> (Vec<Note>, Vec<BadNote>) {
    let mut taken = Taken::default();
    taken.take_text(name.to_owned(), text);
    (taken.notes, taken.refused)
}

/// `path` itself, or the notes' files of that folder in the order of their names.
fn files_of(path: &Path, trust: TrustRule) -> Result<Vec<PathBuf>, String> {
    let metadata = fs::metadata(path).map_err(|error| cannot("read", &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    // Whoever can write the folder can put there an old file of root's that was withdrawn.
    trust.check(&metadata)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| cannot("list", &error))? {
        let file = entry.map_err(|error| cannot("list", &error))?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
        if files.len() > NOTES_MAX {
            return Err(format!("it holds more than {NOTES_MAX} notes"));
        }
    }
    files.sort();
    Ok(files)
}

#[derive(Default)]
struct Taken {
    notes: Vec<Note>,
    refused: Vec<BadNote>,
}

impl Taken {
    fn refuse(&mut self, name: String, reason: String) {
        self.refused.push(BadNote { name, reason });
    }

    fn take_file(&mut self, path: &Path, trust: TrustRule) {
        let name = path.display().to_string();
        match read(path, trust) {
            Ok(text) => self.take_text(name, &text),
            Err(reason) => self.refuse(name, reason),
        }
    }

    /// Takes the notes of a text called `name`: it is one note, or a list of them under `[[note]]`.
    fn take_text(&mut self, name: String, text: &str) {
        let mut table = match parse_toml(text) {
            Ok(table) => table,
            Err(reason) => return self.refuse(name, reason),
        };
        let notes = match table.remove("note") {
            None => vec![toml::Value::Table(table)],
            Some(toml::Value::Array(notes)) if table.is_empty() && notes.len() <= NOTES_MAX => notes,
            Some(_) => {
                let reason =
                    format!("it is neither one note nor a list of at most {NOTES_MAX} under [[note]]");
                return self.refuse(name, reason);
            }
        };
        for (index, note) in notes.into_iter().enumerate() {
            let toml::Value::Table(note) = note else {
                self.refuse(format!("{name}, note {}", index + 1), "it is no table".to_owned());
                continue;
            };
            let id = note.get("id").and_then(toml::Value::as_str).filter(|id| document::is_id(id));
            let called = id.map_or_else(|| format!("{name}, note {}", index + 1), str::to_owned);
            match document::parse(note) {
                Ok(note) if self.notes.iter().any(|taken| taken.id == note.id) => {
                    self.refuse(called, "another note has the same id".to_owned());
                }
                Ok(_) if self.notes.len() >= NOTES_MAX => {
                    self.refuse(called, format!("there are more than {NOTES_MAX} notes"));
                }
                Ok(note) => self.notes.push(Note { file: Some(name.clone()), ..note }),
                Err(reason) => self.refuse(called, reason),
            }
        }
    }
}

/// The text of a file that is believed.
fn read(path: &Path, trust: TrustRule) -> Result<String, String> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_FLAGS)
        .open(path)
        .map_err(|error| cannot("open", &error))?;
    let metadata = file.metadata().map_err(|error| cannot("read", &error))?;
    if !metadata.is_file() {
        return Err("it is no plain file".to_owned());
    }
    trust.check(&metadata)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot("read", &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// # Errors
/// One phrase on why `text` is no TOML.
pub(super) fn parse_toml(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| format!("it is no TOML: {}", error.message()))
}

fn cannot(operation: &str, error: &io::Error) -> String {
    format!("one cannot {operation} it: {error}")
}
