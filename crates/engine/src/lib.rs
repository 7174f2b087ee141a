//! The storage engine of one drive.
//!
//! Read in this order: [`request`] (what can be asked), [`handle`] (how), then `engine` (the loop), `store` (the state
//! of a mounted drive), `reading`, `writing`, `committing`, `sealing`, `listing` (what it does with it), and `labels`, `mount`, `scan`, `formatting`
//! (before it serves).
//!
//! One thread owns all of an engine's state. It allocates its index, zone table, queues and the log's reserve at
//! mount; every queue has a bound.
#![forbid(unsafe_code)]

mod blocking;
mod clock;
mod command;
mod committing;
mod damage;
mod engine;
mod formatting;
mod group;
pub mod handle;
mod index;
mod labels;
mod listing;
mod location;
mod log;
mod mount;
pub(crate) mod pace;
mod publish;
mod reading;
pub(crate) mod referee;
pub mod request;
mod reserve;
mod scan;
pub(crate) mod schedule;
mod sealing;
mod signature;
#[cfg(test)]
mod simulation;
mod store;
mod sync;
pub(crate) mod victim;
mod writing;
mod zone_table;

pub use handle::{Handle, LIST_LIMIT_MAX, Options};
pub use request::{
    Block, BlockEntry, BlockHead, Class, Cursor, Damage, DamageKind, EngineError, FormatOrder, Page,
    PutOutcome, PutRequest, RangeRequest, Replace, State, Stats, Status, ZoneRole, ZoneStatus,
};
