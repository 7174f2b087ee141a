//! What of the acknowledged data is no longer what was acknowledged.
//!
//! Invariants:
//!
//! * A byte is in `wrong` where the medium may give another than was acknowledged last, to the sector; in `unreadable`
//!   where reads fail. Neither holds a byte at or beyond the write pointer of its zone.
//! * What is written anew is neither.

use std::ops::Range;

use crate::simulated::faults::range_set::RangeSet;

/// The granularity at which written bytes are compared with those that were meant: a sector of the medium.
const SECTOR_BYTES: usize = 512;

/// The damage of a drive, in bytes from its start.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    pub(crate) wrong: RangeSet,
    pub(crate) unreadable: RangeSet,
}

impl Damage {
    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        self.wrong.is_empty() && self.unreadable.is_empty()
    }

    /// Takes note that `range` was written anew, or holds nothing any more.
    pub(crate) fn heal(&mut self, range: Range<u64>) {
        self.wrong.remove(range.clone());
        self.unreadable.remove(range);
    }

    /// Takes note that the medium holds `found` from byte `offset_bytes` on where it should hold `meant`.
    pub(crate) fn compare(&mut self, offset_bytes: u64, found: &[u8], meant: &[u8]) {
        let mut start = offset_bytes;
        for (found, meant) in found.chunks(SECTOR_BYTES).zip(meant.chunks(SECTOR_BYTES)) {
            let end = start + found.len() as u64;
            if found != meant {
                self.wrong.insert(start..end);
            }
            start = end;
        }
    }

    pub(crate) fn touches(&self, range: &Range<u64>) -> bool {
        self.wrong.touches(range) || self.unreadable.touches(range)
    }
}
