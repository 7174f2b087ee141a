//! Who gets memory: a put takes its buffer before its body is read, and waits for it in a bounded queue for a
//! bounded time.
//!
//! Uploads together hold at most three quarters of what the engine leaves of the pool, and so do downloads: clients
//! that send slowly cannot keep others from reading, nor those that read slowly from writing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use imbrex_format::{PAYLOAD_BYTES_MAX, UNIT_BYTES, record_units};
use imbrex_zoned::{Buffer, BufferPool, Waker};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::limits::{ENGINE_BYTES, Limits};
use crate::patience::timeout_at;

#[cfg(all(test, feature = "shuttle"))]
#[path = "admission_schedules.rs"]
mod schedules;

/// The keeper of the pool's memory.
pub(crate) struct Admission {
    pool: BufferPool,
    /// Told of every buffer that returns to the pool.
    released: Arc<Notify>,
    /// Units that uploads may take. Its queue is first come, first served.
    uploads: Arc<Semaphore>,
    downloads_bytes: Arc<AtomicUsize>,
    downloads_bytes_max: usize,
    waiting: AtomicU32,
    waiting_max: u32,
    waiting_time_max: Duration,
}

/// A buffer for one upload, and the right to it.
pub(crate) struct Admitted {
    /// As many units as the record has.
    pub(crate) buffer: Buffer,
    /// To be kept until the engine has given the buffer back.
    pub(crate) right: OwnedSemaphorePermit,
}

/// No memory came free in time, or too many wait already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoMemory {
    /// The queue is full.
    Queue,
    /// It took too long.
    Time,
}

impl NoMemory {
    /// One sentence for the client.
    pub(crate) fn detail(&self) -> &'static str {
        match self {
            Self::Queue => {
                "the drive's memory is in use and as many requests as allowed wait for it: try again"
            }
            Self::Time => "the drive's memory is in use and none came free in time: try again",
        }
    }
}

/// Bytes on their way to a client, until they are dropped.
pub(crate) struct Download {
    total_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.total_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A place among the requests that wait for memory, until a deadline.
pub(crate) struct Queued<'a> {
    admission: &'a Admission,
    deadline: Instant,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.admission.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hears of memory that comes free.
pub(crate) type Listener<'a> = Pin<Box<Notified<'a>>>;

impl Queued<'_> {
    /// Waits until memory has come free since `listener` began.
    pub(crate) async fn released(&self, listener: Listener<'_>) -> Result<(), NoMemory> {
        timeout_at(self.deadline, listener).await.map_err(|_| NoMemory::Time)
    }
}

impl Admission {
    /// Divides `pool`.
    pub(crate) fn new(pool: BufferPool, limits: &Limits) -> Self {
        let share_bytes = pool.bytes_total().saturating_sub(ENGINE_BYTES) / 4 * 3;
        // However small the pool, one block of the largest size can be taken in.
        let upload_units = (share_bytes / UNIT_BYTES).max(record_units(PAYLOAD_BYTES_MAX) as usize);
        let released = Arc::new(Notify::new());
        let notify = Arc::clone(&released);
        pool.on_release(Waker::new(move || notify.notify_waiters()));
        Self {
            pool,
            released,
            uploads: Arc::new(Semaphore::new(upload_units)),
            downloads_bytes: Arc::new(AtomicUsize::new(0)),
            downloads_bytes_max: share_bytes,
            waiting: AtomicU32::new(0),
            waiting_max: u32::try_from(limits.waiting_max).unwrap_or(u32::MAX),
            waiting_time_max: limits.waiting_time_max,
        }
    }

    /// The buffer for a block of `payload_bytes` bytes.
    pub(crate) async fn upload(&self, payload_bytes: usize) -> Result<Admitted, NoMemory> {
        let units = record_units(payload_bytes);
        let bytes = units as usize * UNIT_BYTES;
        if let Ok(right) = Arc::clone(&self.uploads).try_acquire_many_owned(units)
            && let Some(buffer) = self.pool.try_allocate(bytes)
        {
            return Ok(Admitted { buffer, right });
        }
        let queued = self.queue()?;
        let right = timeout_at(queued.deadline, Arc::clone(&self.uploads).acquire_many_owned(units))
            .await
            .map_err(|_| NoMemory::Time)?
            // The semaphore is never closed.
            .map_err(|_| NoMemory::Time)?;
        loop {
            let listener = self.listen();
            if let Some(buffer) = self.pool.try_allocate(bytes) {
                return Ok(Admitted { buffer, right });
            }
            queued.released(listener).await?;
        }
    }

    /// Counts `bytes` as on their way to a client.
    pub(crate) fn download(&self, bytes: usize) -> Download {
        self.downloads_bytes.fetch_add(bytes, Ordering::Relaxed);
        Download { total_bytes: Arc::clone(&self.downloads_bytes), bytes }
    }

    /// Whether another download may begin.
    pub(crate) fn download_allowed(&self) -> bool {
        self.downloads_bytes.load(Ordering::Relaxed) < self.downloads_bytes_max
    }

    /// The free bytes of the pool, and all of them.
    pub(crate) fn pool_bytes(&self) -> (usize, usize) {
        (self.pool.bytes_free(), self.pool.bytes_total())
    }

    /// How many wait at this moment, and how many may.
    pub(crate) fn waiting(&self) -> (u32, u32) {
        (self.waiting.load(Ordering::Relaxed), self.waiting_max)
    }

    /// Begins to listen for memory that comes free.
    pub(crate) fn listen(&self) -> Listener<'_> {
        // Shuttle does not know tokio's own steps: others may run between a look and this one.
        #[cfg(feature = "shuttle")]
        shuttle::thread::yield_now();
        let mut listener = Box::pin(self.released.notified());
        listener.as_mut().enable();
        listener
    }

    /// Takes a place among those that wait.
    pub(crate) fn queue(&self) -> Result<Queued<'_>, NoMemory> {
        let deadline = Instant::now() + self.waiting_time_max;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        // Dropped, and so counted back, where the queue turns out to be full.
        let queued = Queued { admission: self, deadline };
        if before >= self.waiting_max { Err(NoMemory::Queue) } else { Ok(queued) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(pool_bytes: usize, waiting_max: usize) -> Arc<Admission> {
        let limits =
            Limits { waiting_max, waiting_time_max: Duration::from_millis(200), ..Limits::default() };
        Arc::new(Admission::new(BufferPool::new(pool_bytes).unwrap(), &limits))
    }

    #[tokio::test]
    async fn uploads_leave_a_quarter_of_the_memory_to_others_and_the_next_waits_for_its_turn() {
        let admission = admission((64 << 20) + ENGINE_BYTES, 8);
        let mut held = Vec::new();
        while let Ok(Ok(admitted)) =
            tokio::time::timeout(Duration::from_millis(50), admission.upload(4 << 20)).await
        {
            held.push(admitted);
        }
        let held_bytes: usize = held.iter().map(|admitted| admitted.buffer.len()).sum();
        assert!(held_bytes <= 48 << 20 && held_bytes > 40 << 20, "{held_bytes}");
        assert_eq!(admission.upload(4 << 20).await.err(), Some(NoMemory::Time));
        let waits = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.upload(4 << 20).await.is_ok() }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        held.pop();
        assert!(waits.await.unwrap());
    }

    #[tokio::test]
    async fn the_queue_for_memory_is_bounded() {
        let admission = admission((32 << 20) + ENGINE_BYTES, 1);
        let _all = admission.upload(16 << 20).await.unwrap();
        let waits = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.upload(16 << 20).await.err() }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(admission.waiting(), (1, 1));
        assert_eq!(admission.upload(16 << 20).await.err(), Some(NoMemory::Queue));
        assert_eq!(waits.await.unwrap(), Some(NoMemory::Time));
        assert_eq!(admission.waiting(), (0, 1));
    }

    #[test]
    fn a_download_counts_until_it_is_dropped() {
        let admission = admission((32 << 20) + ENGINE_BYTES, 1);
        let download = admission.download(24 << 20);
        assert!(!admission.download_allowed());
        drop(download);
        assert!(admission.download_allowed());
    }
}
