//! A model of a disk's time: rotation, seeks, tracks, a cache of writes and a queue, calibrated on published figures.
//!
//! `SEEK_MODEL.md` beside this crate says how it was calibrated, and `examples/seek_model.rs` prints it beside what was
//! published. The model knows nothing of workloads: each figure comes out of the same rules.
//!
//! What stands where: [`DiskParameters`] are the numbers; the platter tells where bytes lie and how far it is to them;
//! [`Disk`] is the drive at work; [`Workload`] drives it as a load generator does, and [`PUBLISHED`] are the runs that
//! it is held against.

mod breakdown;
mod cache;
mod command;
mod machine;
mod parameters;
mod platter;
mod published;
mod workload;
mod zone_queue;

pub use breakdown::Breakdown;
pub use command::Command;
pub use machine::Disk;
pub use parameters::DiskParameters;
pub use published::{NOT_FITTED, PUBLISHED, Published};
pub use workload::{Measured, Pattern, Region, Workload};
