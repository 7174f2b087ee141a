//! A checkpoint: the index, and what is known of each zone, as they were at one moment of the log.
//!
//! Both are arrays of cells of 64 bytes. Cell `n` below the number of buckets is bucket `n` of the index, byte for byte
//! ([`crate::index_cell`]); behind them comes one [`ZoneCell`] for each zone. A writer stores the cells in order while the
//! log goes on, then those that have changed meanwhile as patches, and an end, which says of which moment it all is.
//!
//! Invariants: a checkpoint counts only where its begin, each cell at least once, and its end stand, all of one number;
//! of several values of one cell the last one counts.

pub mod begin;
pub mod cells;
pub mod end;
pub mod patches;
pub mod table;
pub mod zone_cell;

pub use begin::CheckpointBegin;
pub use cells::CheckpointCells;
pub use end::CheckpointEnd;
pub use patches::{CheckpointPatch, CheckpointPatches};
pub use table::CheckpointTable;
pub use zone_cell::{ZoneCell, ZoneCellRole};

/// The length of a cell, in bytes: a line of the processor's cache.
pub const CELL_BYTES: usize = 64;

/// The length of what stands before the cells or the patches of a record, in bytes.
pub const CHECKPOINT_HEAD_BYTES: usize = 64;
