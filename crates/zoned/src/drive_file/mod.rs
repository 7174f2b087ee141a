//! The file of a simulated drive as a device that does what [`crate::kernel::KernelDevice`] does: direct I/O, many
//! operations in flight, nothing that blocks on the caller's thread.
//!
//! It keeps the file of [`crate::simulated`] and the rules of its zones. What it leaves out is the loss of power: what
//! the disk under the file loses is lost.
//!
//! Invariants:
//!
//! * A write completes once its data has been transferred and the entry of its zone, which covers it, has been written
//!   after that. So a process that is killed loses no write that had completed, and its file is whole.
//! * Entries go through the page cache, the data beside it; they share no page. A flush makes both durable.
//! * At most one write or order is with the kernel for each sequential zone. An order, or a write after one, waits for
//!   its turn, and is judged then; a write that overtakes another is refused at once.
//! * The lock of the file is held until all that is in flight has ended, even after the process was killed. So no late
//!   write meets the next user.

mod course;
mod device;
mod failure;
mod opened_file;
mod pending;
mod sequencer;

pub use device::DriveFileDevice;
