//! Memory that the kernel may write to: one region taken at start, handed out in runs of whole units.
//!
//! Invariants:
//!
//! * A unit of the region has at most one owner: the [`Buffer`] whose run it belongs to.
//! * The region is unmapped when the pool and the last buffer are gone, not earlier.
//! * Recycled memory keeps its old bytes. Who fills a buffer fills its padding too.

#![expect(unsafe_code, reason = "it maps and lends out memory")]

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::Waker;
use crate::occupancy::Occupancy;
use crate::sync::{Mutex, MutexGuard};

/// The unit of allocation in bytes: a page, and the write unit of the drives that we know.
pub const UNIT_BYTES: usize = 4096;

/// A region of memory from which buffers are taken. Cloning it gives another handle of the same region.
#[derive(Clone)]
pub struct BufferPool {
    region: Arc<Region>,
}

/// A run of whole units of a [`BufferPool`], given back when dropped.
///
/// Its bytes are those that its last owner left.
pub struct Buffer {
    region: Arc<Region>,
    first_unit: usize,
    /// 0 only in a buffer that another has absorbed, just before it is dropped.
    unit_count: usize,
}

struct Region {
    base: NonNull<u8>,
    bytes: usize,
    occupancy: Mutex<Occupancy>,
    release_wakers: Mutex<Arc<Vec<Waker>>>,
}

// SAFETY: the region owns its mapping, which no thread is bound to; what is in it is reached only through
// buffers, each of which has its units to itself, as the occupancy under its lock ensures.
unsafe impl Send for Region {}
// SAFETY: as above; a shared `Region` gives access to nothing but the two mutexes and plain integers.
unsafe impl Sync for Region {}

impl BufferPool {
    /// Maps a region of `bytes`, rounded up to whole units, and takes its memory at once.
    ///
    /// # Errors
    ///
    /// Where `bytes` is 0, or the memory cannot be mapped.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let bytes = bytes.checked_next_multiple_of(UNIT_BYTES).and_then(NonZeroUsize::new);
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { mmap_anonymous(None, bytes, protection, MapFlags::MAP_PRIVATE) }?.cast();
        let bytes = bytes.get();
        let region = Region {
            base,
            bytes,
            occupancy: Mutex::new(Occupancy::new(bytes / UNIT_BYTES)),
            release_wakers: Mutex::default(),
        };
        region.populate()?;
        Ok(Self { region: Arc::new(region) })
    }

    /// Takes `bytes`, rounded up to whole units, in one piece. `None` where no free run is that long.
    #[must_use]
    pub fn try_allocate(&self, bytes: usize) -> Option<Buffer> {
        let unit_count = bytes.div_ceil(UNIT_BYTES).max(1);
        let first_unit = self.region.occupancy().take(unit_count)?;
        Some(Buffer { region: Arc::clone(&self.region), first_unit, unit_count })
    }

    /// The size of the region in bytes.
    #[must_use]
    pub fn bytes_total(&self) -> usize {
        self.region.bytes
    }

    /// The free bytes, which need not lie side by side.
    #[must_use]
    pub fn bytes_free(&self) -> usize {
        self.region.occupancy().units_free() * UNIT_BYTES
    }

    /// Calls `waker` after each buffer that returns, on the thread that dropped it and under no lock of the pool.
    ///
    /// There is no way to remove it: it is for the few places that wait for memory, not for each wait.
    pub fn on_release(&self, waker: Waker) {
        let mut wakers = lock(&self.region.release_wakers);
        Arc::make_mut(&mut wakers).push(waker);
    }

    /// Whether `buffer` was taken from this pool.
    #[must_use]
    pub fn owns(&self, buffer: &Buffer) -> bool {
        Arc::ptr_eq(&self.region, &buffer.region)
    }

    /// The first byte of the region, for its registration with a ring.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.region.base
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("bytes_total", &self.bytes_total())
            .field("bytes_free", &self.bytes_free())
            .finish()
    }
}

impl Region {
    /// Takes the memory: in huge pages where the kernel has them, since a transfer of many MiB then is a few pieces of
    /// memory to the kernel and the drive, and not thousands of pages.
    fn populate(&self) -> io::Result<()> {
        // SAFETY: both pieces of advice are of this region's own mapping, to which no pointer has been given out yet. The
        // first concerns only how it is backed, and a kernel without huge pages may refuse it; the second reads and
        // writes back what is there.
        unsafe {
            let _ = madvise(self.base.cast(), self.bytes, MmapAdvise::MADV_HUGEPAGE);
            madvise(self.base.cast(), self.bytes, MmapAdvise::MADV_POPULATE_WRITE)?;
        }
        Ok(())
    }

    fn occupancy(&self) -> MutexGuard<'_, Occupancy> {
        lock(&self.occupancy)
    }

    fn release(&self, first_unit: usize, unit_count: usize) {
        self.occupancy().give_back(first_unit, unit_count);
        let wakers = Arc::clone(&lock(&self.release_wakers));
        for waker in wakers.iter() {
            waker.wake();
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `base` and `bytes` are those of the mapping made in `new`. Every buffer holds the region, so
        // that none is left; a ring holds its pool until nothing is in flight.
        let unmapped = unsafe { munmap(self.base.cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "the pool was mapped");
    }
}

impl Buffer {
    /// The length in bytes: what was asked for, rounded up to whole units.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a buffer has one unit at least")]
    pub fn len(&self) -> usize {
        self.unit_count * UNIT_BYTES
    }

    /// Where the buffer begins, in bytes from the start of its pool: the order of buffers in memory.
    #[must_use]
    pub fn offset_in_pool_bytes(&self) -> usize {
        self.first_unit * UNIT_BYTES
    }

    /// Takes over `next`, which must begin where this buffer ends, so that both can be written as one.
    ///
    /// # Errors
    ///
    /// Hands `next` back where it lies elsewhere.
    pub fn absorb(&mut self, mut next: Buffer) -> Result<(), Buffer> {
        let follows = next.first_unit == self.first_unit + self.unit_count;
        if !follows || !Arc::ptr_eq(&self.region, &next.region) {
            return Err(next);
        }
        self.unit_count += std::mem::take(&mut next.unit_count);
        Ok(())
    }

    /// Cuts the buffer: it keeps its first `at_bytes`, and the rest becomes a buffer of its own.
    ///
    /// # Panics
    ///
    /// Where `at_bytes` is not a multiple of [`UNIT_BYTES`], or would leave either part empty.
    #[must_use]
    pub fn split_off(&mut self, at_bytes: usize) -> Buffer {
        assert!(at_bytes.is_multiple_of(UNIT_BYTES), "a buffer is cut between units, not at byte {at_bytes}");
        assert!(at_bytes > 0 && at_bytes < self.len(), "a cut at byte {at_bytes} leaves a part empty");
        let kept = at_bytes / UNIT_BYTES;
        let rest = Buffer {
            region: Arc::clone(&self.region),
            first_unit: self.first_unit + kept,
            unit_count: self.unit_count - kept,
        };
        self.unit_count = kept;
        rest
    }

    /// The first byte, for an order to the kernel.
    pub(crate) fn start(&mut self) -> NonNull<u8> {
        NonNull::from(&mut **self).cast()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the run lies within the mapping, which is initialised (the kernel zeroes it) and lives as long
        // as `region` is held. No other buffer has these units, so that `&self` excludes a writer.
        unsafe {
            let start = self.region.base.add(self.first_unit * UNIT_BYTES);
            std::slice::from_raw_parts(start.as_ptr(), self.len())
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` excludes every other reader and writer of these units.
        unsafe {
            let start = self.region.base.add(self.first_unit * UNIT_BYTES);
            std::slice::from_raw_parts_mut(start.as_ptr(), self.len())
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.unit_count > 0 {
            self.region.release(self.first_unit, self.unit_count);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("offset_in_pool_bytes", &self.offset_in_pool_bytes())
            .field("len", &self.len())
            .finish()
    }
}

/// Locks `mutex`. What the pool's locks guard is whole at every point at which a holder could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{BufferPool, UNIT_BYTES};
    use crate::Waker;

    #[test]
    fn a_buffer_has_whole_aligned_units_and_returns_them_when_dropped() {
        let pool = BufferPool::new(10 * UNIT_BYTES - 1).unwrap();
        assert_eq!(pool.bytes_total(), 10 * UNIT_BYTES);
        let mut buffer = pool.try_allocate(UNIT_BYTES + 1).unwrap();
        assert_eq!(buffer.len(), 2 * UNIT_BYTES);
        assert_eq!(buffer.as_ptr().addr() % UNIT_BYTES, 0);
        buffer.fill(7);
        assert_eq!(pool.bytes_free(), 8 * UNIT_BYTES);
        assert!(pool.try_allocate(9 * UNIT_BYTES).is_none());
        drop(buffer);
        assert_eq!(pool.bytes_free(), 10 * UNIT_BYTES);
    }

    #[test]
    fn neighbours_join_and_part_again_without_losing_a_unit_or_a_byte() {
        let pool = BufferPool::new(8 * UNIT_BYTES).unwrap();
        let mut first = pool.try_allocate(2 * UNIT_BYTES).unwrap();
        let mut second = pool.try_allocate(UNIT_BYTES).unwrap();
        first.fill(1);
        second.fill(2);
        let first = second.absorb(first).expect_err("the first does not follow the second");
        let mut joined = first;
        joined.absorb(second).unwrap();
        assert_eq!(joined.len(), 3 * UNIT_BYTES);
        assert!(joined[..2 * UNIT_BYTES].iter().all(|&byte| byte == 1));
        assert!(joined[2 * UNIT_BYTES..].iter().all(|&byte| byte == 2));
        let rest = joined.split_off(UNIT_BYTES);
        assert_eq!((joined.len(), rest.len()), (UNIT_BYTES, 2 * UNIT_BYTES));
        assert_eq!(rest.offset_in_pool_bytes(), UNIT_BYTES);
        drop(joined);
        assert_eq!(pool.bytes_free(), 6 * UNIT_BYTES);
        drop(rest);
        assert_eq!(pool.bytes_free(), 8 * UNIT_BYTES);
    }

    #[test]
    fn a_buffer_of_another_pool_is_not_absorbed() {
        let (here, there) =
            (BufferPool::new(2 * UNIT_BYTES).unwrap(), BufferPool::new(2 * UNIT_BYTES).unwrap());
        let mut buffer = here.try_allocate(UNIT_BYTES).unwrap();
        let _first = there.try_allocate(UNIT_BYTES).unwrap();
        let stranger = there.try_allocate(UNIT_BYTES).unwrap();
        assert_eq!(stranger.offset_in_pool_bytes(), UNIT_BYTES);
        assert!(!here.owns(&stranger));
        assert!(buffer.absorb(stranger).is_err());
    }

    #[test]
    fn who_waits_for_memory_is_woken_once_for_each_buffer_that_returns() {
        let pool = BufferPool::new(4 * UNIT_BYTES).unwrap();
        let woken = Arc::new(AtomicU32::new(0));
        let (seen, inner) = (Arc::clone(&woken), pool.clone());
        pool.on_release(Waker::new(move || {
            // The pool's lock is free here: a waiter may try again at once.
            assert!(inner.bytes_free() > 0);
            seen.fetch_add(1, Ordering::Relaxed);
        }));
        let mut first = pool.try_allocate(UNIT_BYTES).unwrap();
        let second = pool.try_allocate(UNIT_BYTES).unwrap();
        first.absorb(second).unwrap();
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
    }
}
