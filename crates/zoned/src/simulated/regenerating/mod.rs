//! A simulated drive that does not keep payloads: it knows them when it sees them, and makes them again.
//!
//! Invariant: what is read is, byte for byte, what was written. A payload that cannot be made again exactly is kept as it
//! is, and so is everything else.
//!
//! Whoever tests with payloads of [`RegeneratedPayload`] can fill a drive of many terabytes in memory: a block costs the
//! bytes of its header and some tens of bytes, whatever its length.

mod drive;
mod parse;
mod payload;
mod piece;
mod store;

pub use drive::{RegeneratedDrive, regenerating};
pub use payload::RegeneratedPayload;
