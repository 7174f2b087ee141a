//! The lint of `firmware-notes/`. That patterns compile, that each note matches its one sample and not its other, and
//! that it does not match every drive, is checked by whoever reads a note: here all of them are read.

#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imbrex_health::notes::{Date, Notes, TrustRule};
use tempfile::TempDir;

/// The issue asks for this many.
const NOTES_MIN: usize = 40;

/// The repository's notes in a folder with modes as on a node, whatever the umask of the clone.
fn folder() -> (TempDir, TrustRule) {
    let folder = tempfile::tempdir().unwrap();
    let notes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-notes");
    for entry in fs::read_dir(notes).unwrap() {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let copy = folder.path().join(entry.file_name());
        fs::write(&copy, fs::read(entry.path()).unwrap()).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let trust = TrustRule { owner_uid: folder.path().metadata().unwrap().uid() };
    (folder, trust)
}

fn today() -> Date {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400;
    // Days to a date: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    Date {
        year: u16::try_from(year).unwrap(),
        month: u8::try_from(month).unwrap(),
        day: u8::try_from(day).unwrap(),
    }
}

#[test]
fn every_note_is_read_and_compiled_in_under_its_files_name() {
    let (folder, trust) = folder();
    let (notes, bad) = Notes::load(folder.path(), trust);
    assert_eq!(bad, []);
    let ids: BTreeSet<String> = notes.all().iter().map(|note| note.id.clone()).collect();
    let files: BTreeSet<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(ids, files, "a note lies in the file of its name");
    let compiled_in: BTreeSet<String> =
        Notes::compiled_in().all().iter().map(|note| note.id.clone()).collect();
    assert_eq!(ids, compiled_in);
    println!("{} notes", ids.len());
    assert!(ids.len() >= NOTES_MIN, "{} notes where {NOTES_MIN} are asked for", ids.len());
}

#[test]
fn no_note_is_past_its_review() {
    let today = today();
    let expired: Vec<_> = Notes::compiled_in()
        .all()
        .iter()
        .filter(|note| note.is_expired(today))
        .map(|note| format!("{} ({})", note.id, note.expires_on))
        .collect();
    assert!(expired.is_empty(), "hold these against their sources, and give them new dates: {expired:?}");
    assert!(Notes::compiled_in().all().iter().all(|note| note.reviewed_on <= today), "reviewed tomorrow");
}
