//! The storage engine of one drive.
//!
//! Read in this order: [`request`] (what can be asked), [`handle`] (how), then `engine` (the loop), `store` (the state of a
//! mounted drive), `reading`, `writing`, `committing`, `sealing`, `fencing`, `listing` (what it does with it), `reclaim`,
//! `trash`, `scrub`, `checkpointing` (what it does of itself), `quiet` (when it does not), `schedule`, `pace`, `victim`,
//! `referee` (by which rules), and `labels`, `mount`, `restoring`, `replay`, `scan`, `formatting` (before it serves).
//!
//! One thread owns all of an engine's state. It allocates its index, zone table, queues and the log's reserve at
//! mount; every queue has a bound.
#![forbid(unsafe_code)]

mod admission;
mod arena;
mod blocking;
pub mod budget;
mod checkpoint_ending;
mod checkpoint_parts;
mod checkpoint_writing;
mod checkpointing;
pub mod clock;
mod command;
mod committing;
mod damage;
mod doubt;
mod due;
mod engine;
pub mod error;
mod fencing;
mod formatting;
mod group;
pub mod handle;
mod index;
mod inventory;
mod label_copies;
mod label_renewing;
mod labels;
mod listing;
mod location;
mod log;
pub mod manual;
mod mount;
mod moving;
mod mutation;
mod options;
mod pace;
mod pacing;
mod pending;
mod publish;
mod quiet;
mod reading;
mod reads;
mod reclaim;
mod referee;
mod referee_reserved;
mod relocating;
mod replay;
pub mod request;
mod reserve;
mod restoring;
mod room;
mod scan;
mod schedule;
mod scrub;
mod scrub_pace;
mod scrub_slots;
mod scrub_walk;
mod sealing;
mod signature;
#[cfg(test)]
mod simulation;
mod slots;
mod slowness;
pub mod status;
mod store;
mod sync;
mod trash;
mod victim;
mod writing;
mod zone_entry;
mod zone_table;

pub use budget::{MemoryBudget, MemoryLine, tables_bytes};
pub use damage::DAMAGE_LISTED_MAX;
pub use handle::{Handle, LIST_LIMIT_MAX};
pub use options::Options;
pub use request::{
    Block, BlockEntry, BlockHead, Class, Cursor, Damage, DamageKind, EngineError, FormatOrder, Lifetime,
    Page, PutOutcome, PutRequest, RangeRequest, Replace, ScrubStatus, State, Stats, Status, ZoneRole,
    ZoneStatus,
};
