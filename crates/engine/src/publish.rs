//! What the engine's thread tells everyone without being asked.

use std::sync::{Arc, PoisonError};

use crate::budget::MemoryBudget;
use crate::request::{State, Stats, Status};
use crate::sync::{Mutex, MutexGuard};

/// The last status and figures. Readers never wait for the engine.
pub(crate) struct Published(Mutex<(Arc<Status>, Stats)>);

impl Published {
    /// A drive that is about to be mounted.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let status = Status {
            state: State::Mounting,
            drive_id: None,
            formatted_at_unix_s: None,
            blocks: 0,
            blocks_max: 0,
            live_bytes: 0,
            free_bytes: 0,
            dead_bytes: 0,
            damaged_blocks: 0,
            without_checkpoints: None,
            unknown_zones: 0,
            slow_since_unix_s: None,
            zones_by_condition: Vec::new(),
            mount_us: 0,
            memory_bytes,
            memory: MemoryBudget::of_buffers(memory_bytes),
        };
        Self(Mutex::new((Arc::new(status), Stats::default())))
    }

    fn lock(&self) -> MutexGuard<'_, (Arc<Status>, Stats)> {
        // Nothing panics while it holds the lock; a poisoned one would still guard whole values.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last status.
    pub(crate) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.lock().0)
    }

    /// The last figures.
    pub(crate) fn stats(&self) -> Stats {
        self.lock().1
    }

    /// Publishes.
    pub(crate) fn set(&self, status: Status, stats: Stats) {
        *self.lock() = (Arc::new(status), stats);
    }

    /// Publishes a state alone.
    pub(crate) fn set_state(&self, state: State) {
        let mut published = self.lock();
        let status = Status { state, ..(*published.0).clone() };
        published.0 = Arc::new(status);
    }
}
