//! The data API of one drive: admission and streaming between HTTP and the engine.
//!
//! What holds here:
//!
//! * Every put has its memory before its body is read, and there is a bound on who waits for it and how long.
//! * A byte leaves for a client only after all that it asked for has been read and checked.
//! * Work whose client has gone is dropped; a client that stands still is cut off, and its memory comes back.
//! * No queue, no spawn and no buffer is without a bound: see [`limits::Limits`].
//!
//! The way of a request: [`server`] accepts it, `routes` understands it, `admission` gives it memory, `body`
//! streams it, the engine does it, `problem` says why not.
#![forbid(unsafe_code)]

mod admission;
mod app;
mod body;
pub mod cursor;
pub mod digest;
pub mod duration;
pub mod failure;
pub mod limits;
mod lists;
mod metrics;
mod opening;
pub mod options;
mod patience;
mod problem;
pub mod process;
pub mod range;
mod ready;
mod reserve;
mod routes;
pub mod server;
mod shutdown;
pub mod size;

#[cfg(feature = "fuzzing")]
pub use routes::fuzzing;
