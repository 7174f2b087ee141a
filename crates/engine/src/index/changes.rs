//! Which cells of the index have changed: one bit each.
//!
//! Invariant: no bit is set while changes are not tracked.

use std::collections::TryReserveError;

/// How many cells one word of bits stands for.
const WORD_CELLS: usize = u64::BITS as usize;

/// See the module.
pub(crate) struct Changes {
    words: Box<[u64]>,
    is_tracked: bool,
}

impl Changes {
    /// For `cell_count` cells, none of them tracked. Takes all its memory.
    ///
    /// # Errors
    ///
    /// Where the machine does not give so much.
    pub(crate) fn new(cell_count: usize) -> Result<Self, TryReserveError> {
        let count = cell_count.div_ceil(WORD_CELLS);
        let mut words = Vec::new();
        words.try_reserve_exact(count)?;
        words.resize(count, 0);
        Ok(Self { words: words.into_boxed_slice(), is_tracked: false })
    }

    /// The memory that the bits of `cell_count` cells take, in bytes.
    pub(crate) fn memory_bytes(cell_count: u64) -> u64 {
        cell_count.div_ceil(u64::from(u64::BITS)) * 8
    }

    /// Begins to track, or stops; forgets what was noted.
    pub(crate) fn track(&mut self, is_tracked: bool) {
        self.is_tracked = is_tracked;
        self.words.fill(0);
    }

    /// Notes that a cell has changed, where changes are tracked.
    pub(crate) fn note(&mut self, cell: usize) {
        if self.is_tracked {
            self.words[cell / WORD_CELLS] |= 1 << (cell % WORD_CELLS);
        }
    }

    /// The first cell from `from` on that is noted, which then is noted no more.
    pub(crate) fn take(&mut self, from: u64) -> Option<u64> {
        let from = usize::try_from(from).ok()?;
        let first_word = from / WORD_CELLS;
        let mut mask = u64::MAX << (from % WORD_CELLS);
        for (index, word) in self.words.iter_mut().enumerate().skip(first_word) {
            let noted = *word & mask;
            if noted != 0 {
                *word &= !(noted & noted.wrapping_neg());
                return Some((index * WORD_CELLS) as u64 + u64::from(noted.trailing_zeros()));
            }
            mask = u64::MAX;
        }
        None
    }
}
