//! A simulated drive: strict about every rule of a host-managed one, kept in a file or in memory.
//!
//! Invariants:
//!
//! * Whatever a host-managed drive refuses is refused, whatever the store could have done.
//! * A file is whole at every instant: data is written before the zone's entry that covers it, and each entry is
//!   one small write. A process that is killed leaves a drive that opens, with all that it had written.
//! * Between a write's completion and the flush that covers it, a write is at risk: [`SimulatedDrive::crash`]
//!   decides what became of it.
//!
//! What stands where: [`SimulatedDevice`] queues operations and implements [`crate::Device`]; [`SimulatedDrive`] is
//! the drive itself, shared with whoever pulls its plug; behind it are the zones' state machine, the writes that no
//! flush has covered, the source of faults, and a store. [`TimedDevice`] puts a device into the time of a disk, which
//! [`disk`] models; [`RegeneratedDrive`] keeps no payloads, so that a drive of many terabytes fits into memory.

mod device;
pub mod disk;
mod drive;
mod faults;
pub(crate) mod file_header;
pub(crate) mod file_store;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub(crate) mod geometry;
mod memory_store;
mod power_loss;
mod queue;
mod random;
mod regenerating;
mod state;
pub(crate) mod store;
mod timed;
mod unflushed;
mod wakeup;
pub(crate) mod zone_entry;
pub(crate) mod zone_table;

pub use device::SimulatedDevice;
pub use drive::SimulatedDrive;
pub use faults::{FaultCounts, FaultKind, FaultRates};
pub use geometry::SimulatedGeometry;
pub use regenerating::{RegeneratedDrive, RegeneratedPayload, regenerating};
pub use timed::{TimedDevice, VirtualClock};
