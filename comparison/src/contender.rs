//! The seam: one way to ask every store for the same things.

use anyhow::Result;

/// A block's name, as Imbrex has it: 32 bytes.
pub(crate) type Key = [u8; 32];

/// A store of immutable blocks. Every call may come from several threads at once and returns when it is done.
pub(crate) trait Contender: Send + Sync {
    /// What it is and how it was set, in one sentence for the table.
    fn describe(&self) -> String;

    /// Stores a block. Where `durable`, it survives a power cut from the return on.
    ///
    /// # Errors
    ///
    /// Where the store refuses or fails.
    fn put(&self, key: &Key, payload: &[u8], durable: bool) -> Result<()>;

    /// Hands the whole payload to `look`, or returns `false` where there is no such block.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    fn get(&self, key: &Key, look: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Deletes a block, as durably as a put.
    ///
    /// # Errors
    ///
    /// Where the store refuses or fails.
    fn delete(&self, key: &Key, durable: bool) -> Result<()>;

    /// Lets the store finish what it has begun: what was put and not yet written to its place, and the work in the
    /// background that it starts by itself. Takes about `seconds_max` at most.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    fn settle(&self, seconds_max: u64) -> Result<()>;

    /// As [`Contender::settle`], and orders the store to take back the room of deleted blocks where it knows such an
    /// order.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    fn reclaim(&self, seconds_max: u64) -> Result<()> {
        self.settle(seconds_max)
    }

    /// The bytes that blocks may take in all, as the store tells it while it is empty; `None` where it is
    /// whatever the file system has free.
    fn capacity_bytes(&self) -> Option<u64> {
        None
    }

    /// The bytes of the disk that are taken now, dead ones included; `None` where the file system knows.
    fn used_bytes(&self) -> Option<u64> {
        None
    }
}
