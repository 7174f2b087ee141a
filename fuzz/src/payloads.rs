//! The payloads of the log's own records: tombstones, commits, voids. Each input is given to each decoder.

use imbrex_format::{
    COMMIT_ENTRIES_MAX, Commit, OPEN_ZONES_MAX, TombstoneEntry, VoidRange, decode_tombstones,
};

/// The input is a payload.
pub fn run(input: &[u8]) {
    if let Ok(entries) = decode_tombstones(input) {
        assert_eq!(entries.iter().flat_map(TombstoneEntry::encode).collect::<Vec<u8>>(), input);
        assert!(entries.iter().all(|entry| entry.unit_offset > 0));
    }
    if let Ok(commit) = Commit::decode(input) {
        let mut again = Vec::new();
        commit.encode(&mut again);
        assert_eq!(again, input);
        assert!(commit.open.len() <= OPEN_ZONES_MAX && commit.entries.len() <= COMMIT_ENTRIES_MAX);
    }
    if let Ok(void) = VoidRange::decode(input) {
        assert_eq!(void.encode(), input);
        assert!(void.unit_count > 0 && void.first_unit.checked_add(void.unit_count).is_some());
    }
}
