//! The index: which blocks the drive holds, and where.
//!
//! A table of fixed size, taken whole at start. It stores no keys: an entry has a tag of 31 bits of the key's hash,
//! and the record itself carries the key, which every reader compares. So a lookup gives *candidates*, nearly always
//! one or none, and two keys that share a tag live side by side.
//!
//! Its buckets have the layout of [`imbrex_format::index_cell`], so that a checkpoint is a copy of them; which of them
//! change while one is being copied is noted on demand ([`changes`]). A key has two buckets; an insertion that finds
//! both full moves other entries to their second bucket, by a search in breadth that changes nothing until it has found
//! a way. With six slots and two choices the table takes 95 % of its slots.
//!
//! Invariants: an entry stands in one of its two buckets; an entry of no units is an empty slot; `len` counts the rest;
//! while changes are tracked, every bucket that has changed since it was last taken is noted.

mod changes;
#[cfg(test)]
mod tests;

use std::collections::TryReserveError;
use std::ops::Range;

use imbrex_format::{
    BUCKET_SLOTS, CELL_BYTES, IndexEntry, Key, index_bucket_count, index_hash, other_bucket,
};

use crate::location::Location;
use crate::mutation::{Mutation, is};
use changes::Changes;

/// The largest number of buckets that one insertion visits in search of an empty slot.
const SEARCH_MAX: usize = 1024;

/// The largest number of candidates that a lookup can give: every slot of both buckets.
pub(crate) const CANDIDATES_MAX: usize = 2 * BUCKET_SLOTS;

/// A key's place in the table: its bucket and its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyHash {
    bucket: usize,
    tag: u32,
}

/// The records that may be a key's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Candidates {
    locations: [Option<Location>; CANDIDATES_MAX],
    count: usize,
}

impl Candidates {
    fn push(&mut self, location: Location) {
        self.locations[self.count] = Some(location);
        self.count += 1;
    }

    /// Takes the next candidate.
    pub(crate) fn pop(&mut self) -> Option<Location> {
        self.count = self.count.checked_sub(1)?;
        self.locations[self.count].take()
    }

    /// Forgets the candidates for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(Location) -> bool) {
        let all = *self;
        *self = Self::default();
        all.locations.iter().flatten().filter(|location| keep(**location)).for_each(|l| self.push(*l));
    }
}

/// The index is full, or so nearly full that no way to an empty slot was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexFull;

struct Step {
    bucket: usize,
    /// The step from which this bucket was reached, and the slot there whose entry would move here.
    from: Option<(usize, usize)>,
}

/// See the module.
pub(crate) struct Index {
    buckets: Box<[[u8; CELL_BYTES]]>,
    changes: Changes,
    zone_units: u64,
    secret: [u8; 16],
    len: u64,
    len_max: u64,
    search: Vec<Step>,
}

impl Index {
    /// An index for `len_max` blocks on zones of `zone_units` units, hashing with `secret`. Takes all its memory, and
    /// touches it, so that it is there.
    ///
    /// # Errors
    ///
    /// Where the machine does not give so much.
    pub(crate) fn new(len_max: u64, zone_units: u32, secret: [u8; 16]) -> Result<Self, TryReserveError> {
        let count = usize::try_from(index_bucket_count(len_max)).unwrap_or(usize::MAX);
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(count)?;
        buckets.resize(count, [0; CELL_BYTES]);
        Ok(Self {
            buckets: buckets.into_boxed_slice(),
            changes: Changes::new(count)?,
            zone_units: u64::from(zone_units),
            secret,
            len: 0,
            len_max,
            search: Vec::with_capacity(SEARCH_MAX),
        })
    }

    /// The memory that an index for `len_max` blocks takes, in bytes.
    pub(crate) fn memory_bytes(len_max: u64) -> u64 {
        let count = index_bucket_count(len_max);
        count.saturating_mul(CELL_BYTES as u64).saturating_add(Changes::memory_bytes(count))
    }

    /// How many blocks it holds.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether `more` further blocks would be more than it was made for.
    pub(crate) fn is_full(&self, more: u64) -> bool {
        self.len + more > self.len_max
    }

    /// How many blocks it takes at most.
    pub(crate) fn len_max(&self) -> u64 {
        self.len_max
    }

    /// Where `key` belongs.
    pub(crate) fn hash(&self, key: &Key) -> KeyHash {
        let (bucket, tag) = index_hash(&self.secret, key, self.cell_count());
        // Two keys of one tag are too rare to be met otherwise.
        let tag = if is(Mutation::TagIsKey) { tag & 3 } else { tag };
        KeyHash { bucket: place(bucket), tag }
    }

    fn other_bucket(&self, bucket: usize, tag: u32) -> usize {
        place(other_bucket(bucket as u64, tag, self.cell_count()))
    }

    /// The records that may be the key's, at most [`CANDIDATES_MAX`].
    pub(crate) fn candidates(&self, hash: KeyHash) -> Candidates {
        let mut found = Candidates::default();
        let other = self.other_bucket(hash.bucket, hash.tag);
        self.collect(hash.bucket, hash.tag, &mut found);
        if other != hash.bucket {
            self.collect(other, hash.tag, &mut found);
        }
        found
    }

    fn collect(&self, bucket: usize, tag: u32, found: &mut Candidates) {
        for slot in 0..BUCKET_SLOTS {
            let entry = self.entry(bucket, slot);
            if !entry.is_empty() && entry.tag == tag {
                found.push(self.location_of(entry));
            }
        }
    }

    /// Whether the record at `location` is indexed under this hash.
    pub(crate) fn contains(&self, hash: KeyHash, location: Location) -> bool {
        self.find(hash, location).is_some()
    }

    /// Adds a record. Whether the index holds as many blocks as it was made for is for the caller to ask
    /// ([`Self::is_full`]): a replay adds a block before it removes the one that it replaced.
    ///
    /// # Errors
    ///
    /// [`IndexFull`] where the table has no place; nothing has changed then.
    pub(crate) fn insert(&mut self, hash: KeyHash, location: Location) -> Result<(), IndexFull> {
        let entry = self.pack(hash.tag, location);
        let other = self.other_bucket(hash.bucket, hash.tag);
        let (bucket, slot) = self.empty_slot(hash.bucket, other).ok_or(IndexFull)?;
        self.set_entry(bucket, slot, entry);
        self.len += 1;
        Ok(())
    }

    /// Removes a record; tells whether it was there.
    pub(crate) fn remove(&mut self, hash: KeyHash, location: Location) -> bool {
        let Some((bucket, slot)) = self.find(hash, location) else { return false };
        self.set_entry(bucket, slot, IndexEntry::EMPTY);
        self.len -= 1;
        true
    }

    fn find(&self, hash: KeyHash, location: Location) -> Option<(usize, usize)> {
        let wanted = self.pack(hash.tag, location);
        let other = self.other_bucket(hash.bucket, hash.tag);
        [hash.bucket, other]
            .into_iter()
            .flat_map(|bucket| (0..BUCKET_SLOTS).map(move |slot| (bucket, slot)))
            .find(|(bucket, slot)| self.entry(*bucket, *slot) == wanted)
    }

    /// An empty slot in one of two buckets, made by moving other entries where there is none.
    fn empty_slot(&mut self, first: usize, second: usize) -> Option<(usize, usize)> {
        let mut search = std::mem::take(&mut self.search);
        search.clear();
        search.extend([first, second].map(|bucket| Step { bucket, from: None }));
        let found = self.search_empty_slot(&mut search);
        let slot = found.map(|(step, slot)| self.make_way(&search, step, slot));
        self.search = search;
        slot
    }

    fn search_empty_slot(&self, search: &mut Vec<Step>) -> Option<(usize, usize)> {
        let mut step = 0;
        while step < search.len() {
            let bucket = search[step].bucket;
            if let Some(slot) = (0..BUCKET_SLOTS).find(|slot| self.entry(bucket, *slot).is_empty()) {
                return Some((step, slot));
            }
            for slot in 0..BUCKET_SLOTS {
                let next = self.other_bucket(bucket, self.entry(bucket, slot).tag);
                // A bucket met twice would let one entry be moved twice.
                if search.len() < SEARCH_MAX && search.iter().all(|step| step.bucket != next) {
                    search.push(Step { bucket: next, from: Some((step, slot)) });
                }
            }
            step += 1;
        }
        None
    }

    /// Moves entries along the way that the search found, from its end to its beginning.
    fn make_way(&mut self, search: &[Step], mut step: usize, mut slot: usize) -> (usize, usize) {
        while let Some((from_step, from_slot)) = search[step].from {
            let from = search[from_step].bucket;
            let entry = self.entry(from, from_slot);
            self.set_entry(search[step].bucket, slot, entry);
            self.set_entry(from, from_slot, IndexEntry::EMPTY);
            (step, slot) = (from_step, from_slot);
        }
        (search[step].bucket, slot)
    }

    fn entry(&self, bucket: usize, slot: usize) -> IndexEntry {
        IndexEntry::of_slot(&self.buckets[bucket], slot)
    }

    fn set_entry(&mut self, bucket: usize, slot: usize, entry: IndexEntry) {
        entry.put_into_slot(&mut self.buckets[bucket], slot);
        self.changes.note(bucket);
    }

    fn pack(&self, tag: u32, location: Location) -> IndexEntry {
        debug_assert!(location.unit_count > 0, "a record has at least one unit");
        let place_units = u64::from(location.zone) * self.zone_units + u64::from(location.unit_offset);
        IndexEntry { place_units, unit_count: location.unit_count, tag }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "36 bits over at least one unit, and less than a zone"
    )]
    fn location_of(&self, entry: IndexEntry) -> Location {
        Location {
            zone: (entry.place_units / self.zone_units) as u32,
            unit_offset: (entry.place_units % self.zone_units) as u32,
            unit_count: entry.unit_count,
        }
    }
}

/// What a checkpoint and an inspection need: the table as cells.
impl Index {
    /// How many cells, which are its buckets, it has.
    pub(crate) fn cell_count(&self) -> u64 {
        self.buckets.len() as u64
    }

    /// Cell `n`.
    ///
    /// # Panics
    ///
    /// Where there is no such cell.
    pub(crate) fn cell(&self, n: u64) -> &[u8; CELL_BYTES] {
        &self.buckets[place(n)]
    }

    /// Puts a cell of a checkpoint into an index that is being loaded. [`Self::recount`] comes after the last one.
    ///
    /// # Panics
    ///
    /// Where there is no such cell.
    pub(crate) fn set_cell(&mut self, n: u64, cell: &[u8; CELL_BYTES]) {
        self.buckets[place(n)] = *cell;
        self.changes.note(place(n));
    }

    /// Counts the blocks anew, after cells were loaded.
    pub(crate) fn recount(&mut self) {
        let mut len = 0;
        self.sweep(0..self.cell_count(), |_| len += 1);
        self.len = len;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.buckets.fill([0; CELL_BYTES]);
        self.len = 0;
    }

    /// Forgets every record for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(Location) -> bool) {
        for bucket in 0..self.buckets.len() {
            for slot in 0..BUCKET_SLOTS {
                let entry = self.entry(bucket, slot);
                if !entry.is_empty() && !keep(self.location_of(entry)) {
                    self.set_entry(bucket, slot, IndexEntry::EMPTY);
                    self.len -= 1;
                }
            }
        }
    }

    /// Begins to note, or notes no more, which cells change. Either way none is noted at first.
    pub(crate) fn track_changes(&mut self, is_tracked: bool) {
        self.changes.track(is_tracked);
    }

    /// The first cell from `from` on that has changed since it was last taken.
    pub(crate) fn take_dirty(&mut self, from: u64) -> Option<u64> {
        self.changes.take(from)
    }

    /// Gives every record in these cells to `f`. Cells beyond the last one are none.
    pub(crate) fn sweep(&self, cells: Range<u64>, mut f: impl FnMut(Location)) {
        let end = cells.end.min(self.cell_count());
        for bucket in place(cells.start.min(end))..place(end) {
            for slot in 0..BUCKET_SLOTS {
                let entry = self.entry(bucket, slot);
                if !entry.is_empty() {
                    f(self.location_of(entry));
                }
            }
        }
    }
}

/// The number of a cell that is in memory.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the machine has at most as many cells as it has addresses"
)]
fn place(cell: u64) -> usize {
    cell as usize
}
