//! fjall: an LSM tree in Rust with large values in blob files.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use crate::contender::{Contender, Key};

/// Its block cache in bytes: what Imbrex's buffers have.
const CACHE_BYTES: u64 = 32 << 20;

/// See the module.
pub(crate) struct Fjall {
    database: Database,
    blocks: Keyspace,
}

impl Fjall {
    /// Makes an empty database.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let database = Database::builder(folder).cache_size(CACHE_BYTES).worker_threads(2).open()?;
        let blocks = database.keyspace("blocks", || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .with_kv_separation(Some(KvSeparationOptions::default()))
        })?;
        Ok(Self { database, blocks })
    }

    fn persist(&self, durable: bool) -> Result<()> {
        if durable {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Contender for Fjall {
    fn describe(&self) -> String {
        "fjall: key-value separation with its defaults, journal synced (SyncData) after each put, page cache dropped \
         before reads; checksums"
            .to_owned()
    }

    fn put(&self, key: &Key, payload: &[u8], durable: bool) -> Result<()> {
        self.blocks.insert(key, payload)?;
        self.persist(durable)
    }

    fn get(&self, key: &Key, look: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.blocks.get(key)?.map(|value| look(&value)).is_some())
    }

    fn delete(&self, key: &Key, durable: bool) -> Result<()> {
        self.blocks.remove(key)?;
        self.persist(durable)
    }

    fn settle(&self, seconds_max: u64) -> Result<()> {
        self.blocks.rotate_memtable_and_wait()?;
        let began = Instant::now();
        while self.database.active_compactions() > 0 && began.elapsed() < Duration::from_secs(seconds_max) {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn reclaim(&self, seconds_max: u64) -> Result<()> {
        self.blocks.rotate_memtable_and_wait()?;
        self.blocks.major_compact()?;
        self.settle(seconds_max)
    }
}
