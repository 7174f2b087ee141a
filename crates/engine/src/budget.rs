//! The memory that an engine takes, line by line: all of it at start, and none after.
//!
//! Each line is what a part has reserved at its largest, whether it uses it now or not. What a process needs besides
//! (its code, its stacks, the allocator's own) is a line too, so that the sum can be held against what the operating
//! system says of the process.

use std::fmt;

use imbrex_format::{COMMIT_ENTRIES_MAX, Key, TableEntry, UNIT_BYTES};
use imbrex_zoned::{Buffer, Geometry};

use crate::admission::Deferred;
use crate::damage::DamageList;
use crate::group::{Member, Write};
use crate::index::Index;
use crate::log::{ENTRIES_MAX, streams_max};
use crate::pending::{PendingDelete, PendingPut};
use crate::store::Store;

/// One part's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLine {
    /// What it is for.
    pub name: &'static str,
    /// How much, in bytes.
    pub bytes: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryBudget {
    /// One line for each part.
    pub lines: Vec<MemoryLine>,
}

impl MemoryBudget {
    /// Of an engine that has no drive yet.
    pub(crate) fn of_buffers(bytes: u64) -> Self {
        Self::default().with("buffers", bytes)
    }

    /// Adds a line.
    #[must_use]
    pub fn with(mut self, name: &'static str, bytes: u64) -> Self {
        self.lines.push(MemoryLine { name, bytes });
        self
    }

    /// All lines together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.lines.iter().map(|line| line.bytes).fold(0, u64::saturating_add)
    }
}

/// An empty table with room for `entries_max` entries. Its memory is written to, so that it is there: what was only asked
/// for, the system gives when it is first used, and may then not have.
pub(crate) fn empty_table(entries_max: usize) -> Vec<TableEntry> {
    // Not zeros, for which the system may hand out memory that is not there yet.
    let filler = TableEntry::Block {
        key: Key([0xFF; 32]),
        unit_offset: 1,
        unit_count: 1,
        payload_bytes: 1,
        sequence: 1,
        birth: 1,
    };
    let mut table = vec![filler; entries_max];
    table.clear();
    table
}

/// How many tables there are beside those of the open zones: those of reclaim, of the inspection of trash and of scrub, and
/// the one that is being read.
const TABLES_OF_READERS: usize = 4;

/// What the tables of entries take on a drive of that shape, in bytes: the part of the budget that grows with the size of
/// the zones. Where the capacity of the zones is below their size, it is somewhat less than this.
///
/// For whoever starts an engine: what the allocator is to have for its thread comes to this and more.
#[must_use]
pub fn tables_bytes(geometry: &Geometry) -> usize {
    let units = usize::try_from(geometry.zone_size_bytes / UNIT_BYTES as u64).unwrap_or(usize::MAX);
    (streams_max(geometry) + TABLES_OF_READERS) * ENTRIES_MAX.min(units) * size_of::<TableEntry>()
}

/// One group is written while one is flushed, each of as many records as a commit lists. Their lists grow by doubling, and so
/// have up to twice the room that they need.
const GROUPS_BYTES: u64 = (2 * 2 * COMMIT_ENTRIES_MAX) as u64
    * (size_of::<Member>() + size_of::<TableEntry>() + size_of::<Write>() + size_of::<(u32, Buffer)>())
        as u64;

impl Store {
    /// What the store takes, beside `pool_bytes` of buffers, out of which the log, reclaim, scrub and checkpoints have
    /// theirs.
    pub(crate) fn memory_budget(&self, pool_bytes: u64) -> MemoryBudget {
        MemoryBudget::of_buffers(pool_bytes)
            .with("index", Index::memory_bytes(self.index.len_max()))
            .with("zone table", self.zones.memory_bytes())
            .with("referee", self.referee.memory_bytes())
            .with("tables of open zones", self.open.memory_bytes())
            .with("tables of zones being reclaimed", self.reclaim.inventory.memory_bytes())
            // A footer is decoded into a table of its own, one at a time.
            .with("a table being read", self.reclaim.inventory.memory_bytes())
            .with("trash and its inspection", self.trash.memory_bytes())
            .with("scrub", self.scrub.memory_bytes())
            .with("queues for reads", self.reads.memory_bytes())
            .with("queues for writes", self.write_queues_bytes())
            .with("groups being written", GROUPS_BYTES)
            .with("list of damage", DamageList::MEMORY_BYTES_MAX)
    }

    /// The requests that the engine takes, each of which may be anywhere on its way to the log.
    fn write_queues_bytes(&self) -> u64 {
        let each = size_of::<Deferred>() + size_of::<PendingPut>() + size_of::<PendingDelete>();
        // A set keeps an eighth of its places empty, and a byte for each.
        let busy = self.busy.capacity() * (size_of::<Key>() + 1) * 8 / 7;
        (self.deferred.capacity() * each + busy) as u64
    }
}

impl fmt::Display for MemoryBudget {
    /// A line for each part and one for the sum, in KiB rounded up, without a newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SUM: &str = "in all";
        let sum = MemoryLine { name: SUM, bytes: self.total_bytes() };
        let kib = |line: &MemoryLine| line.bytes.div_ceil(1024).to_string();
        let name_width = self.lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max(SUM.len());
        let kib_width = self.lines.iter().chain([&sum]).map(|line| kib(line).len()).max().unwrap_or(0);
        for line in &self.lines {
            writeln!(f, "{:<name_width$}  {:>kib_width$} KiB", line.name, kib(line))?;
        }
        write!(f, "{SUM:<name_width$}  {:>kib_width$} KiB", kib(&sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_of_all_lines_and_the_table_is_aligned() {
        let budget = MemoryBudget::default().with("buffers", 64 << 20).with("zone table", 1025);
        assert_eq!(budget.total_bytes(), (64 << 20) + 1025);
        let expected = "buffers     65536 KiB\nzone table      2 KiB\nin all      65538 KiB";
        assert_eq!(budget.to_string(), expected);
        assert_eq!(MemoryBudget::default().to_string(), "in all  0 KiB");
        assert_eq!(MemoryBudget::default().with("a", u64::MAX).with("b", 1).total_bytes(), u64::MAX);
    }
}
