//! Simulated drives in virtual time: the same answers, at the times at which a disk would have given them.

mod clock;
mod device;
mod pending;
mod zone_view;

pub use clock::VirtualClock;
pub use device::TimedDevice;
