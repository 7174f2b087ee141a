//! What the machine wrote into its persistent store before it died: kept in memory for whoever asks,
//! then taken out of the store, which is small and would refuse the next one.

use std::fs;
use std::path::Path;

/// The most bytes that are kept of one record, and the most records.
const RECORD_BYTES_MAX: usize = 256 * 1024;
const RECORDS_MAX: usize = 64;
/// The most lines that are quoted, and what makes a line worth it.
const QUOTED_MAX: usize = 8;
const TELLING: [&str; 4] = ["imbrex: FATAL", "imbrex: watchdog", "Kernel panic", "BUG:"];

/// Copies each record of `store` into `kept`, quotes its telling lines, and removes it from the store.
pub(crate) fn collect(store: &Path, kept: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("pstore cannot be collected: {error}");
    let mut paths: Vec<_> =
        fs::read_dir(store).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    if paths.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(kept).map_err(failed)?;
    for path in paths.iter().take(RECORDS_MAX) {
        let bytes = fs::read(path).map_err(failed)?;
        let start = bytes.len().saturating_sub(RECORD_BYTES_MAX);
        let name = path.file_name().unwrap_or_default();
        fs::write(kept.join(name), &bytes[start..]).map_err(failed)?;
        for line in telling(&String::from_utf8_lossy(&bytes)) {
            println!("{line}");
        }
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
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
}
