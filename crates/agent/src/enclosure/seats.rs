//! Where drives sat last, by their IDs; kept on file, so that an agent that starts again knows the slot of a drive that
//! went away before.
//!
//! - An enclosure's folder has another name after the next boot. A seat counts only while the folder is that of the same
//!   enclosure, by the identifier that it bears itself.
//! - What cannot be read from the file is forgotten, and that is all.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disks_in;
use crate::file::{read_bounded, read_line, write_whole};

/// The file is read to this length, in bytes: far more than the seats of a full node need.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A slot in which a drive sat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seat {
    folder: PathBuf,
    /// The enclosure's identifier; `None` where it tells none.
    enclosure_id: Option<String>,
}

/// Where drives sat last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seats(BTreeMap<String, Seat>);

impl Seats {
    /// Those in the file at `path`; none where there is no such file, or none that can be read.
    pub(super) fn read(path: &Path) -> Self {
        let Some(bytes) = read_bounded(path, FILE_BYTES_MAX) else { return Self::default() };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("where drives sat could not be read from {}: {error}", path.display());
            Self::default()
        })
    }

    /// Writes them to the file at `path`.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        write_whole(path, &serde_json::to_vec(self)?)
    }

    /// Notes that the drive `id` sits in the slot of this folder.
    pub(super) fn note(&mut self, id: &str, folder: PathBuf) {
        let enclosure_id = enclosure_id(&folder);
        self.0.insert(id.to_owned(), Seat { folder, enclosure_id });
    }

    /// Forgets every drive of which `is_known` says no.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.0.retain(|id, _| is_known(id));
    }

    /// The folder of the slot in which the drive `id` sat, while that is there and no disk sits in it.
    pub(super) fn empty_seat(&self, id: &str) -> Option<PathBuf> {
        let seat = self.0.get(id)?;
        let is_same = || enclosure_id(&seat.folder) == seat.enclosure_id;
        let is_empty = seat.folder.is_dir() && disks_in(&seat.folder).is_empty();
        (is_empty && is_same()).then(|| seat.folder.clone())
    }
}

fn enclosure_id(folder: &Path) -> Option<String> {
    read_line(&folder.parent()?.join("id"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn seats_are_read_as_they_were_written_and_what_is_no_file_of_seats_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let (path, slot) = (root.path().join("slots.json"), root.path().join("enclosure/Slot 07"));
        assert_eq!(Seats::read(&path), Seats::default());
        fs::create_dir_all(&slot).unwrap();
        fs::write(slot.with_file_name("id"), "0x500304801f1e8d3f\n").unwrap();
        let mut seats = Seats::default();
        seats.note("a", slot.clone());
        seats.write(&path).unwrap();
        let read = Seats::read(&path);
        assert_eq!(read, seats);
        assert_eq!(read.empty_seat("a"), Some(slot.clone()));
        assert_eq!(read.empty_seat("b"), None);
        fs::write(slot.with_file_name("id"), "0x500304801f1e0000\n").unwrap();
        assert_eq!(read.empty_seat("a"), None, "another enclosure bears the name now");
        fs::write(&path, &fs::read(&path).unwrap()[1..]).unwrap();
        assert_eq!(Seats::read(&path), Seats::default());
    }
}
