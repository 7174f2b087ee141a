//! The host-managed drives of this machine: geometry and identity from sysfs, zones by ioctl, data by io_uring.
//!
//! Invariants:
//!
//! * What the kernel describes in a way that this crate does not know is refused, never guessed.
//! * The thread that first submits or waits owns the ring. The ring owns every buffer until its completion has been
//!   reaped, whatever became of the submission.
//! * What is in flight is counted, so that the completion queue cannot overflow.
//! * Zone orders never go into the ring: they are ioctls, and one helper thread for each device carries them out.

mod device;
pub(crate) mod errno;
mod holder;
pub(crate) mod ioctl;
pub(crate) mod opened_drive;
pub(crate) mod operation;
pub(crate) mod queue;
mod ring;
pub(crate) mod slab;
mod sysfs;
pub(crate) mod waiting;
mod zone_guard;
mod zone_worker;

pub use device::KernelDevice;
pub use queue::Backend;
