//! RocksDB with blob files: an LSM tree whose values of 4 KiB and more lie in files of their own.

use std::path::Path;

use anyhow::Result;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType, Options,
    WaitForCompactOptions, WriteOptions,
};

use crate::contender::{Contender, Key};

/// The block cache and the memtables together, in bytes: what Imbrex's buffers have.
const CACHE_BYTES: usize = 32 << 20;
/// One memtable in bytes, RocksDB's default; the log holds every value until it is flushed.
const MEMTABLE_BYTES: usize = 64 << 20;
/// A blob file in bytes: small beside the disk of the comparison, so that dead ones go early.
const BLOB_FILE_BYTES: u64 = 64 << 20;

/// See the module.
pub(crate) struct Rocks {
    db: DB,
}

impl Rocks {
    /// Makes an empty database.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(DBCompressionType::None);
        options.set_write_buffer_size(MEMTABLE_BYTES);
        options.set_max_background_jobs(2);
        options.set_use_direct_reads(true);
        options.set_use_direct_io_for_flush_and_compaction(true);
        options.set_enable_blob_files(true);
        options.set_min_blob_size(4096);
        options.set_blob_file_size(BLOB_FILE_BYTES);
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(true);
        // Garbage may lie in any blob file, not only in the oldest: a compaction may take them all.
        options.set_blob_gc_age_cutoff(1.0);
        options.set_blob_gc_force_threshold(0.5);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
        table.set_bloom_filter(10.0, false);
        table.set_cache_index_and_filter_blocks(false);
        options.set_block_based_table_factory(&table);
        Ok(Self { db: DB::open(&options, folder)? })
    }

    fn write_options(durable: bool) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.set_sync(durable);
        options
    }
}

impl Contender for Rocks {
    fn describe(&self) -> String {
        "RocksDB: blob files of 64 MiB with collection over all ages, log synced with each put, direct reads and \
         compactions, a memtable of 64 MiB, no compression; checksums"
            .to_owned()
    }

    fn put(&self, key: &Key, payload: &[u8], durable: bool) -> Result<()> {
        Ok(self.db.put_opt(key, payload, &Self::write_options(durable))?)
    }

    fn get(&self, key: &Key, look: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.db.get_pinned(key)?;
        Ok(value.map(|value| look(&value)).is_some())
    }

    fn delete(&self, key: &Key, durable: bool) -> Result<()> {
        Ok(self.db.delete_opt(key, &Self::write_options(durable))?)
    }

    fn settle(&self, seconds_max: u64) -> Result<()> {
        self.db.flush()?;
        let mut wait = WaitForCompactOptions::default();
        wait.set_timeout(seconds_max * 1_000_000);
        Ok(self.db.wait_for_compact(&wait)?)
    }

    fn reclaim(&self, seconds_max: u64) -> Result<()> {
        self.db.flush()?;
        let mut compact = CompactOptions::default();
        compact.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &compact);
        self.settle(seconds_max)
    }
}
