//! The buckets of the index, and where an entry may stand.

use imbrex_format::{
    BUCKET_SLOTS, CELL_BYTES, INDEX_ENTRY_BYTES, IndexEntry, Key, index_bucket_count, index_hash,
    other_bucket,
};

use crate::unit::{u64_at, units_beginning_with};

/// The input: a bucket of 64 bytes, the number of blocks and of a bucket, 8 bytes each, a secret of 16 bytes, and a key of
/// 32; what is missing is zero.
pub fn run(input: &[u8]) {
    let bytes = units_beginning_with(input, 1);
    let cell = bytes[..CELL_BYTES].try_into().expect("a cell");
    bucket(cell);
    let blocks_max = u64_at(&bytes, 64);
    let bucket_count = index_bucket_count(blocks_max);
    assert!(bucket_count.saturating_mul(BUCKET_SLOTS as u64) >= blocks_max);
    let entry = IndexEntry::of_slot(cell, 0);
    there_and_back(u64_at(&bytes, 72) % bucket_count, entry.tag, bucket_count);
    let secret = bytes[80..96].try_into().expect("sixteen bytes");
    let key = Key(bytes[96..128].try_into().expect("32 bytes"));
    let (first, tag) = index_hash(&secret, &key, bucket_count);
    assert!(tag <= IndexEntry::TAG_MAX);
    there_and_back(first, tag, bucket_count);
}

/// The other bucket of the other bucket is the first.
fn there_and_back(bucket: u64, tag: u32, bucket_count: u64) {
    assert!(bucket < bucket_count);
    let other = other_bucket(bucket, tag, bucket_count);
    assert!(other < bucket_count);
    assert_eq!(other_bucket(other, tag, bucket_count), bucket);
}

/// Every ten bytes are an entry, and no two patterns are the same one.
pub(crate) fn bucket(cell: &[u8; CELL_BYTES]) {
    let mut again = *cell;
    again[..BUCKET_SLOTS * INDEX_ENTRY_BYTES].fill(0xff);
    for slot in 0..BUCKET_SLOTS {
        let entry = IndexEntry::of_slot(cell, slot);
        assert!(entry.place_units <= IndexEntry::PLACE_UNITS_MAX && entry.tag <= IndexEntry::TAG_MAX);
        assert_eq!(entry.is_empty(), entry.unit_count == 0);
        entry.put_into_slot(&mut again, slot);
    }
    assert_eq!(again, *cell);
}
