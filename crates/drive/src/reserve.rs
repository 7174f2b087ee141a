//! Memory that comes from the allocator's heaps, taken at start.
//!
//! What a connection has read and not yet handed on lies in a heap, and so do its task and its answers; the engine's thread
//! has a heap of its own for its lists and answers. To have that memory from the start, instead of finding out under load
//! that the node has none, each heap is grown once to what may be taken of it, every page of it is written, and all is
//! freed: the heap keeps it.
//!
//! It keeps it because of what glibc does with large pieces (mallopt(3), `M_MMAP_THRESHOLD`): when a piece that had a
//! mapping of its own is freed, pieces up to that size come from the heap from then on, and the heap is not given back to
//! the kernel until twice that size is free at its top. And a thread that begins gets the heap of one that has ended before
//! a new one (`get_free_list` in glibc's `malloc/arena.c`). With another allocator nothing is wrong, only the memory is then
//! taken when it is first used.

/// The largest piece of which glibc learns (`DEFAULT_MMAP_THRESHOLD_MAX`): 32 MiB, its own header included.
const LESSON_BYTES_MAX: usize = (32 << 20) - (64 << 10);
/// The size of the pieces in which the heap is grown.
const PIECE_BYTES: usize = 64 << 10;

/// The most that [`take_at_start`] can keep, in bytes.
pub(crate) const RESERVE_BYTES_MAX: usize = 2 * LESSON_BYTES_MAX - (1 << 20);

/// Grows this thread's heap by `bytes`, and by [`RESERVE_BYTES_MAX`] at most, and leaves it free for what comes. To be
/// called before the thread does its work.
pub(crate) fn take_at_start(bytes: usize) {
    // Never written: its pages cost nothing.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LESSON_BYTES_MAX)));
    let count = bytes.min(RESERVE_BYTES_MAX) / PIECE_BYTES;
    let pieces: Vec<Vec<u8>> = (0..count).map(|_| vec![1; PIECE_BYTES]).collect();
    drop(std::hint::black_box(pieces));
}

/// The same for the heap of the thread that is started next.
pub(crate) fn take_for_next_thread(bytes: usize) {
    // Without a thread there is nothing to be had, and whoever needs one next will say so.
    let _ =
        std::thread::Builder::new().spawn(move || take_at_start(bytes)).map(std::thread::JoinHandle::join);
}
