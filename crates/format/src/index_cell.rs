//! The index's buckets, as they stand in memory and, in a checkpoint, on the drive: 64 bytes of six entries of ten bytes,
//! and four bytes that are zero.
//!
//! Partial-key cuckoo hashing (Fan, Andersen, Kaminsky, Mitzenmacher, "Cuckoo Filter: Practically Better Than Bloom",
//! CoNEXT 2014): an entry stands in one of two buckets, and the number of the other one follows from the entry alone. An
//! entry has no key, only a tag of its hash; the record that it names has the key.
//!
//! Invariant: an entry of no units is an empty slot, and all of its ten bytes are zero.

use crate::checkpoint::CELL_BYTES;
use crate::key::Key;

/// How many entries a bucket has.
pub const BUCKET_SLOTS: usize = 6;

/// The length of an entry, in bytes.
pub const INDEX_ENTRY_BYTES: usize = 10;

const PLACE_BITS: u32 = 36;
const UNIT_COUNT_BITS: u32 = 13;
const TAG_BITS: u32 = 31;
const TAG_SHIFT: u32 = PLACE_BITS + UNIT_COUNT_BITS;
const _: () = assert!(TAG_SHIFT + TAG_BITS == 80 && BUCKET_SLOTS * INDEX_ENTRY_BYTES <= CELL_BYTES);

/// The part of its slots that the table takes when it holds as many blocks as it was made for, in hundredths. With six
/// slots and two choices it could take 95.
const FILL_PERCENT: u128 = 92;

/// One entry: where a record stands, how long it is, and 31 bits of its key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IndexEntry {
    /// The record's first unit, counted from the drive's first: its zone times the units from one zone to the next, and
    /// its unit within the zone. Below 2^36, which is 256 TiB.
    pub place_units: u64,
    /// How many units the record has, at most [`IndexEntry::UNIT_COUNT_MAX`]; 0 in an empty slot.
    pub unit_count: u32,
    /// The lowest 31 bits of the key's hash.
    pub tag: u32,
}

impl IndexEntry {
    /// An empty slot.
    pub const EMPTY: Self = Self { place_units: 0, unit_count: 0, tag: 0 };

    /// The highest place that an entry can name.
    pub const PLACE_UNITS_MAX: u64 = (1 << PLACE_BITS) - 1;

    /// The longest record that an entry can name, in units. A record of 16 MiB has 4097.
    pub const UNIT_COUNT_MAX: u32 = (1 << UNIT_COUNT_BITS) - 1;

    /// The highest tag.
    pub const TAG_MAX: u32 = (1 << TAG_BITS) - 1;

    /// Whether it is an empty slot.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.unit_count == 0
    }

    /// Its ten bytes: the place in the lowest 36 bits, the length in the next 13, the tag in the highest 31.
    ///
    /// # Panics
    ///
    /// Where a field is above its bound.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the tag's highest 16 bits")]
    pub fn encode(self) -> [u8; INDEX_ENTRY_BYTES] {
        assert!(
            self.place_units <= Self::PLACE_UNITS_MAX
                && self.unit_count <= Self::UNIT_COUNT_MAX
                && self.tag <= Self::TAG_MAX,
            "an index entry cannot hold {self:?}"
        );
        let tag = u64::from(self.tag);
        let low = self.place_units | u64::from(self.unit_count) << PLACE_BITS | tag << TAG_SHIFT;
        let high = (tag >> (64 - TAG_SHIFT)) as u16;
        let mut bytes = [0; INDEX_ENTRY_BYTES];
        bytes[..8].copy_from_slice(&low.to_le_bytes());
        bytes[8..].copy_from_slice(&high.to_le_bytes());
        bytes
    }

    /// What ten bytes say. Every pattern says something.
    #[inline]
    #[must_use]
    pub fn decode(bytes: &[u8; INDEX_ENTRY_BYTES]) -> Self {
        let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9] = *bytes;
        let low = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        let high = u32::from(u16::from_le_bytes([b8, b9]));
        Self {
            place_units: low & Self::PLACE_UNITS_MAX,
            unit_count: (low >> PLACE_BITS) as u32 & Self::UNIT_COUNT_MAX,
            tag: (low >> TAG_SHIFT) as u32 | high << (64 - TAG_SHIFT),
        }
    }

    /// The entry in slot `slot` of a bucket.
    ///
    /// # Panics
    ///
    /// Where a bucket has no such slot.
    #[inline]
    #[must_use]
    pub fn of_slot(bucket: &[u8; CELL_BYTES], slot: usize) -> Self {
        Self::decode(&bucket.as_chunks().0[slot])
    }

    /// Puts the entry into slot `slot` of a bucket.
    ///
    /// # Panics
    ///
    /// Where a bucket has no such slot, or where a field is above its bound.
    #[inline]
    pub fn put_into_slot(self, bucket: &mut [u8; CELL_BYTES], slot: usize) {
        bucket.as_chunks_mut().0[slot] = self.encode();
    }
}

/// How many buckets the index of a drive that is made for `blocks_max` blocks has: as many as hold them at 92 % of their
/// slots, rounded up, and two.
#[must_use]
pub fn index_bucket_count(blocks_max: u64) -> u64 {
    let slots_of_hundred = BUCKET_SLOTS as u128 * FILL_PERCENT;
    let buckets = (u128::from(blocks_max) * 100).div_ceil(slots_of_hundred);
    u64::try_from(buckets).unwrap_or(u64::MAX).saturating_add(2)
}

/// The first bucket of a key, and its tag: SipHash-1-3 of the key's 32 bytes, keyed with the drive's secret. The bucket
/// follows from the hash's high bits, the tag is its lowest 31.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "each part takes the bits that it has room for")]
pub fn index_hash(secret: &[u8; 16], key: &Key, bucket_count: u64) -> (u64, u32) {
    let hash = siphasher::sip::SipHasher13::new_with_key(secret).hash(&key.0);
    let bucket = ((u128::from(hash) * u128::from(bucket_count)) >> 64) as u64;
    (bucket, hash as u32 & IndexEntry::TAG_MAX)
}

/// The other bucket of an entry: applied twice, it gives the first one again. It may be the same one.
///
/// # Panics
///
/// Where `bucket` is not below `bucket_count`.
#[inline]
#[must_use]
pub fn other_bucket(bucket: u64, tag: u32, bucket_count: u64) -> u64 {
    assert!(bucket < bucket_count, "an index of {bucket_count} buckets has no bucket {bucket}");
    let mixed = u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let sum = ((u128::from(mixed) * u128::from(bucket_count)) >> 64) as u64;
    if sum >= bucket { sum - bucket } else { sum + (bucket_count - bucket) }
}
