//! The index: which blocks the drive holds, and where.
//!
//! A table of fixed size, taken whole at start. It stores no keys: an entry has a tag of 31 bits of the key's hash,
//! and the record itself carries the key, which every reader compares. So a lookup gives *candidates*, nearly always
//! one or none, and two keys that share a tag live side by side.
//!
//! Entries have ten bytes and stand six to a bucket of one cache line. A key has two buckets (partial-key cuckoo
//! hashing: Fan, Andersen, Kaminsky, Mitzenmacher, "Cuckoo Filter: Practically Better Than Bloom", CoNEXT 2014); an
//! insertion that finds both full moves other entries to their second bucket, by a search in breadth that changes
//! nothing until it has found a way. With six slots and two choices the table takes 95 % of its slots.
//!
//! Invariants: an entry stands in one of its two buckets; an entry of length 0 is an empty slot; `len` counts the rest.

use std::collections::TryReserveError;
use std::hash::Hasher;

use imbrex_format::Key;
use siphasher::sip::SipHasher13;

use crate::location::{Location, PLACE_BITS, UNIT_COUNT_BITS, UNIT_COUNT_MAX};

const SLOTS: usize = 6;
const ENTRY_BYTES: usize = 10;
const BUCKET_BYTES: usize = 64;
const TAG_BITS: u32 = 31;
const UNIT_COUNT_SHIFT: u32 = PLACE_BITS;
const TAG_SHIFT: u32 = PLACE_BITS + UNIT_COUNT_BITS;
const _: () = assert!(PLACE_BITS + UNIT_COUNT_BITS + TAG_BITS == 80 && SLOTS * ENTRY_BYTES <= BUCKET_BYTES);

/// How full the table is when it holds as many blocks as it was made for.
const FILL: f64 = 0.92;

/// The largest number of buckets that one insertion visits in search of an empty slot.
const SEARCH_MAX: usize = 1024;

/// The largest number of candidates that a lookup can give: every slot of both buckets.
pub(crate) const CANDIDATES_MAX: usize = 2 * SLOTS;

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
    buckets: Box<[[u8; BUCKET_BYTES]]>,
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
        let count = Self::buckets_for(len_max);
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(count)?;
        buckets.resize(count, [0; BUCKET_BYTES]);
        Ok(Self {
            buckets: buckets.into_boxed_slice(),
            zone_units: u64::from(zone_units),
            secret,
            len: 0,
            len_max,
            search: Vec::with_capacity(SEARCH_MAX),
        })
    }

    /// The memory that an index for `len_max` blocks takes, in bytes.
    pub(crate) fn memory_bytes(len_max: u64) -> u64 {
        u64::try_from(Self::buckets_for(len_max).saturating_mul(BUCKET_BYTES)).unwrap_or(u64::MAX)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of slots far below 2^52, rounded up"
    )]
    fn buckets_for(len_max: u64) -> usize {
        ((len_max as f64 / (SLOTS as f64 * FILL)).ceil() as usize).saturating_add(2)
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
    #[expect(clippy::cast_possible_truncation, reason = "each part takes the bits that it has room for")]
    pub(crate) fn hash(&self, key: &Key) -> KeyHash {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(&key.0);
        let hash = hasher.finish();
        let bucket = ((u128::from(hash) * self.buckets.len() as u128) >> 64) as usize;
        // The bucket is chosen by the hash's high bits and the tag is taken from its low ones.
        KeyHash { bucket, tag: hash as u32 & ((1 << TAG_BITS) - 1) }
    }

    /// The other bucket of an entry: applied twice, it gives the first one again.
    #[expect(clippy::cast_possible_truncation, reason = "the product is reduced to the number of buckets")]
    fn other_bucket(&self, bucket: usize, tag: u32) -> usize {
        let count = self.buckets.len();
        let mixed = u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let sum = ((u128::from(mixed) * count as u128) >> 64) as usize;
        if sum >= bucket { sum - bucket } else { sum + count - bucket }
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
        for slot in 0..SLOTS {
            let entry = self.entry(bucket, slot);
            if entry != 0 && tag_of(entry) == tag {
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
        self.set_entry(bucket, slot, 0);
        self.len -= 1;
        true
    }

    fn find(&self, hash: KeyHash, location: Location) -> Option<(usize, usize)> {
        let wanted = self.pack(hash.tag, location);
        let other = self.other_bucket(hash.bucket, hash.tag);
        [hash.bucket, other]
            .into_iter()
            .flat_map(|bucket| (0..SLOTS).map(move |slot| (bucket, slot)))
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
            if let Some(slot) = (0..SLOTS).find(|slot| self.entry(bucket, *slot) == 0) {
                return Some((step, slot));
            }
            for slot in 0..SLOTS {
                let next = self.other_bucket(bucket, tag_of(self.entry(bucket, slot)));
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
            self.set_entry(from, from_slot, 0);
            (step, slot) = (from_step, from_slot);
        }
        (search[step].bucket, slot)
    }

    fn entry(&self, bucket: usize, slot: usize) -> u128 {
        let mut bytes = [0; 16];
        let begin = slot * ENTRY_BYTES;
        bytes[..ENTRY_BYTES].copy_from_slice(&self.buckets[bucket][begin..begin + ENTRY_BYTES]);
        u128::from_le_bytes(bytes)
    }

    fn set_entry(&mut self, bucket: usize, slot: usize, entry: u128) {
        let begin = slot * ENTRY_BYTES;
        let bytes = &entry.to_le_bytes()[..ENTRY_BYTES];
        self.buckets[bucket][begin..begin + ENTRY_BYTES].copy_from_slice(bytes);
    }

    fn pack(&self, tag: u32, location: Location) -> u128 {
        debug_assert!(location.unit_count > 0 && location.unit_count <= UNIT_COUNT_MAX);
        let place = u64::from(location.zone) * self.zone_units + u64::from(location.unit_offset);
        u128::from(place) | u128::from(location.unit_count) << UNIT_COUNT_SHIFT | u128::from(tag) << TAG_SHIFT
    }

    #[expect(clippy::cast_possible_truncation, reason = "each part is masked to its own bits")]
    fn location_of(&self, entry: u128) -> Location {
        let place = entry as u64 & ((1 << PLACE_BITS) - 1);
        Location {
            zone: (place / self.zone_units) as u32,
            unit_offset: (place % self.zone_units) as u32,
            unit_count: (entry >> UNIT_COUNT_SHIFT) as u32 & UNIT_COUNT_MAX,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the tag is the entry's highest bits")]
fn tag_of(entry: u128) -> u32 {
    (entry >> TAG_SHIFT) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE_UNITS: u32 = 65_536;

    fn key(n: u64) -> Key {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Key(bytes)
    }

    fn location(n: u64) -> Location {
        let n = u32::try_from(n).unwrap();
        Location { zone: n / 1000, unit_offset: n % 1000, unit_count: 1 + n % 4097 }
    }

    #[test]
    fn an_index_takes_every_block_it_was_made_for_and_finds_each() {
        let count = 200_000;
        let mut index = Index::new(count, ZONE_UNITS, [7; 16]).unwrap();
        for n in 0..count {
            let hash = index.hash(&key(n));
            index.insert(hash, location(n)).unwrap_or_else(|_| panic!("full at {n} of {count}"));
        }
        assert!(index.is_full(1) && !index.is_full(0));
        for n in 0..count {
            let hash = index.hash(&key(n));
            let mut candidates = index.candidates(hash);
            let found = std::iter::from_fn(|| candidates.pop()).any(|found| found == location(n));
            assert!(found, "block {n} is lost");
        }
    }

    #[test]
    fn a_block_costs_at_most_twelve_bytes_of_index() {
        for count in [65_536, 1 << 20, 20_000_000] {
            assert!(Index::memory_bytes(count) <= 12 * count);
        }
    }

    #[test]
    fn what_was_removed_is_gone_and_what_was_not_stays() {
        let mut index = Index::new(10_000, ZONE_UNITS, [9; 16]).unwrap();
        for n in 0..10_000 {
            index.insert(index.hash(&key(n)), location(n)).unwrap();
        }
        for n in (0..10_000).step_by(3) {
            assert!(index.remove(index.hash(&key(n)), location(n)));
            assert!(!index.remove(index.hash(&key(n)), location(n)));
        }
        for n in 0..10_000 {
            assert_eq!(index.contains(index.hash(&key(n)), location(n)), n % 3 != 0, "block {n}");
        }
        assert_eq!(index.len(), 10_000 - 3334);
    }

    #[test]
    fn an_index_that_no_machine_can_hold_is_refused_and_not_fatal() {
        assert!(Index::new(u64::MAX >> 20, ZONE_UNITS, [0; 16]).is_err());
        assert!(Index::new(u64::MAX, ZONE_UNITS, [0; 16]).is_err());
    }

    #[test]
    fn the_farthest_place_and_the_longest_record_survive_packing() {
        let mut index = Index::new(10, ZONE_UNITS, [0; 16]).unwrap();
        let far = Location { zone: (1 << 20) - 1, unit_offset: ZONE_UNITS - 1, unit_count: UNIT_COUNT_MAX };
        let hash = index.hash(&key(1));
        index.insert(hash, far).unwrap();
        assert_eq!(index.candidates(hash).pop(), Some(far));
    }
}
