//! Which drive a block belongs on: rendezvous hashing.
//!
//! Every drive has a score for every key, the first eight bytes of SHA-256(drive id, 0x00, key), as a
//! big-endian number; the block goes to the drive with the highest score, or to the next where that one
//! cannot take it. When a drive comes or goes, only the blocks that belong on it move. The order is part
//! of the format of what is stored (MANIFEST.md): to change it would cost every later read a search.

use sha2::{Digest, Sha256};

use crate::key::Key;

/// The indices of `drive_ids`, best first.
pub(crate) fn order<'a>(key: &Key, drive_ids: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut scored: Vec<(u64, &str, usize)> =
        drive_ids.enumerate().map(|(index, drive_id)| (score(key, drive_id), drive_id, index)).collect();
    scored.sort_unstable_by(|one, other| other.cmp(one));
    scored.into_iter().map(|(_, _, index)| index).collect()
}

fn score(key: &Key, drive_id: &str) -> u64 {
    let digest =
        Sha256::new().chain_update(drive_id).chain_update([0]).chain_update(key.as_bytes()).finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn names(key: &Key, ids: &[&'static str]) -> Vec<&'static str> {
        order(key, ids.iter().copied()).into_iter().map(|index| ids[index]).collect()
    }

    #[test]
    fn the_order_of_a_known_key_never_changes() {
        assert_eq!(names(&Key::of(b"imbrex"), &IDS), FROZEN);
    }

    /// What version 1 gave; a change here strands every block that is stored.
    const FROZEN: [&str; 5] = ["e", "d", "c", "a", "b"];

    #[test]
    fn the_order_does_not_depend_on_how_the_drives_are_listed() {
        let key = Key::of(b"1");
        assert_eq!(names(&key, &IDS), names(&key, &["e", "c", "a", "d", "b"]));
    }

    #[test]
    fn a_drive_that_goes_moves_no_other_block() {
        for number in 0..200_u32 {
            let key = Key::of(&number.to_le_bytes());
            let with: Vec<&str> = names(&key, &IDS).into_iter().filter(|id| *id != "c").collect();
            assert_eq!(with, names(&key, &["a", "b", "d", "e"]));
        }
    }

    #[test]
    fn the_blocks_are_spread_evenly() {
        let mut counts = [0; 5];
        for number in 0..5000_u32 {
            counts[order(&Key::of(&number.to_le_bytes()), IDS.iter().copied())[0]] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
