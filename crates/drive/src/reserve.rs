//! The memory of connections, taken at start.
//!
//! What a connection has read and not yet handed on lies in the allocator's heap, and so do its task and its answers. To
//! have that memory from the start, instead of finding out under load that the node has none, the heap is grown once to
//! what all connections may take, every page of it is written, and all is freed: the heap keeps it for them.
//!
//! It keeps it because of what glibc does with large pieces (mallopt(3), `M_MMAP_THRESHOLD`): when a piece that had a
//! mapping of its own is freed, pieces up to that size come from the heap from then on, and the heap is not given back to
//! the kernel until twice that size is free at its top. With another allocator nothing is wrong, only the memory is then
//! taken when it is first used.

/// The largest piece of which glibc learns (`DEFAULT_MMAP_THRESHOLD_MAX`): 32 MiB, its own header included.
const LESSON_BYTES_MAX: usize = (32 << 20) - (64 << 10);
/// The size of the pieces in which the heap is grown.
const PIECE_BYTES: usize = 64 << 10;

/// The most that [`take_at_start`] can keep, in bytes.
pub(crate) const RESERVE_BYTES_MAX: usize = 2 * LESSON_BYTES_MAX - (1 << 20);

/// Grows this thread's heap by `bytes`, and by [`RESERVE_BYTES_MAX`] at most, and leaves it free for what comes. To be
/// called on the thread that serves connections, before it serves any.
pub(crate) fn take_at_start(bytes: usize) {
    // Never written: its pages cost nothing.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LESSON_BYTES_MAX)));
    let count = bytes.min(RESERVE_BYTES_MAX) / PIECE_BYTES;
    let pieces: Vec<Vec<u8>> = (0..count).map(|_| vec![1; PIECE_BYTES]).collect();
    drop(std::hint::black_box(pieces));
}
