//! The crate `tokio-uring` below the same devices, so that the choice of the ring stays a measured one. It is compiled
//! with the cargo feature `tokio-uring` alone, and no drive uses it unless it is told to.
//!
//! What is known of its version 0.5, the last one (of 2024, without a maintainer since):
//!
//! * When its runtime is shut down with operations in flight it frees what they had been given before the kernel has
//!   answered (`Driver::drop` puts an empty box in the place of an abandoned operation's data, and only then waits). So
//!   it is never given a buffer: it borrows the memory of operations that stay in our own table until the kernel has
//!   answered, and the runtime is dropped when none is in flight. Where that cannot be waited for, because another
//!   thread drops the device than the one that has used it, runtime and buffers are leaked.
//! * Its registered buffers are lent whole, not in parts. So memory and files are not registered here.
//! * It submits when its thread goes to sleep. So a wait for nothing costs one operation that does nothing.
//! * An error of `io_uring_enter` is dropped where it submits: what was queued goes with the next submission.
//!
//! Invariants: those of [`crate::kernel`].

mod lent;
mod queue;
mod thread_bound;

pub(crate) use queue::TokioUringQueue;
