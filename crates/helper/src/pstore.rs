//! What the machine wrote into its persistent store before it died: kept in memory for whoever asks,
//! then taken out of the store, which is small and would refuse the next one.

use std::path::Path;
use std::{fs, io};

/// The most bytes that are kept of one record, and of all of them.
const RECORD_BYTES_MAX: usize = 256 * 1024;
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most lines that are quoted, and what makes a line worth it.
const QUOTED_MAX: usize = 8;
const TELLING: [&str; 4] = ["imbrex: FATAL", "imbrex: watchdog", "Kernel panic", "BUG:"];

/// Copies each record of `store` into `kept`, quotes its telling lines, and removes it from the store. A record that
/// cannot be read stays where it is, is named, and costs no other; what no longer fits is quoted and removed all the
/// same, the oldest first.
pub(crate) fn collect(store: &Path, kept: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("pstore cannot be collected: {error}");
    let mut paths: Vec<_> =
        fs::read_dir(store).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    if paths.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(kept).map_err(failed)?;
    let mut left_bytes = KEPT_BYTES_MAX;
    let (mut quoted, mut failures) = (Vec::new(), Vec::new());
    // The newest have the last names, and their room first.
    for path in paths.iter().rev() {
        match take(path, kept, &mut left_bytes) {
            Ok(lines) => quoted.push(lines),
            Err(error) => failures.push((path, error)),
        }
    }
    quoted.iter().rev().flatten().for_each(|line| println!("{line}"));
    match failures.first() {
        None => Ok(()),
        Some((path, error)) => {
            let (name, count) = (path.display(), failures.len());
            Err(format!(
                "{count} of {} records of pstore cannot be collected, {name} first: {error}",
                paths.len()
            ))
        }
    }
}

/// Keeps one record and removes it; its telling lines.
fn take(path: &Path, kept: &Path, left_bytes: &mut usize) -> io::Result<Vec<String>> {
    let bytes = fs::read(path)?;
    let start = bytes.len().saturating_sub(RECORD_BYTES_MAX);
    let fits = bytes.len() - start <= *left_bytes;
    if fits {
        fs::write(kept.join(path.file_name().unwrap_or_default()), &bytes[start..])?;
        *left_bytes -= bytes.len() - start;
    }
    fs::remove_file(path)?;
    Ok(telling(&String::from_utf8_lossy(&bytes)).into_iter().map(str::to_owned).collect())
}

/// The last lines of a record that say why the machine died.
fn telling(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> =
        text.lines().filter(|line| TELLING.iter().any(|words| line.contains(words))).collect();
    lines.drain(..lines.len().saturating_sub(QUOTED_MAX));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_kept_quoted_and_taken_out_of_the_store() {
        let folder = std::env::temp_dir().join(format!("imbrex-pstore-{}", std::process::id()));
        let (store, kept) = (folder.join("store"), folder.join("kept"));
        fs::create_dir_all(&store).unwrap();
        let text = "Panic#1 Part1\n<3>[ 9.1] imbrex: watchdog: agent is stuck\n<0>[ 9.2] Kernel panic - not syncing: x\n";
        fs::write(store.join("dmesg-erst-1"), text).unwrap();
        collect(&store, &kept).unwrap();
        assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(kept.join("dmesg-erst-1")).unwrap(), text);
        assert_eq!(telling(text).len(), 2);
        fs::remove_dir_all(&folder).unwrap();
        assert!(collect(&store, &kept).is_err());
    }

    #[test]
    fn a_record_that_cannot_be_read_costs_no_other_and_neither_does_their_number() {
        let folder = std::env::temp_dir().join(format!("imbrex-pstore-many-{}", std::process::id()));
        let (store, kept) = (folder.join("store"), folder.join("kept"));
        // A folder in the place of a record: reading it is an error.
        fs::create_dir_all(store.join("dmesg-erst-050")).unwrap();
        for number in (0..200).filter(|number| *number != 50) {
            fs::write(store.join(format!("dmesg-erst-{number:03}")), "x".repeat(100_000)).unwrap();
        }
        let error = collect(&store, &kept).unwrap_err();
        assert!(error.starts_with("1 of 200 records") && error.contains("dmesg-erst-050"), "{error}");
        assert_eq!(fs::read_dir(&store).unwrap().count(), 1);
        let count = fs::read_dir(&kept).unwrap().count();
        assert_eq!(count, KEPT_BYTES_MAX / 100_000);
        assert!(kept.join("dmesg-erst-199").exists() && !kept.join("dmesg-erst-000").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
