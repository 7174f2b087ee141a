//! Drive health: evidence in, verdict out.

#![forbid(unsafe_code)]

mod identity;
pub mod notes;

pub use identity::{Bus, Identity};
