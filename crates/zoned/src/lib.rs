//! Zoned block devices: their geometry and zones, and direct I/O that never lends memory to the kernel.
//!
//! One trait, [`Device`], has two implementations: [`kernel::KernelDevice`] for a host-managed disk of this
//! machine, and [`simulated::SimulatedDevice`] for a strict drive kept in a file or in memory.
//!
//! Invariants that every device keeps:
//!
//! * A buffer belongs to the device from submission until its completion has been handed back.
//! * Every submission that returned `Ok` completes exactly once.
//! * A write to a sequential zone begins at its write pointer, and one is in flight per zone.
//! * No operation crosses the end of a zone's capacity.

#![deny(unsafe_code)]

pub mod buffer;
pub mod device;
pub mod drive_file;
pub mod error;
pub mod geometry;
pub mod identity;
pub mod kernel;
mod occupancy;
pub mod read_only;
#[cfg(feature = "shuttle")]
pub mod schedules;
pub mod simulated;
mod sync;
#[cfg(feature = "tokio-uring")]
pub mod tokio_uring;
pub mod zone;

pub use buffer::{Buffer, BufferPool, UNIT_BYTES};
pub use device::{Completion, Device, Token, Waker, ZoneOperation};
pub use error::{DeviceError, OpenError, OpenRefusal};
pub use geometry::Geometry;
pub use identity::Identity;
pub use kernel::Backend;
pub use zone::{Condition, Zone, ZoneKind};
