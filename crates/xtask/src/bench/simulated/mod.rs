//! What needs a disk that is not here: the engine itself, run turn by turn over a simulated drive, in its virtual time.
//!
//! - The engine is the one that ships; its clock is the drive's.
//! - The disk is the model of `imbrex_zoned::simulated::disk`, a 20 TB drive derived from published figures of a 15 TB one.
//! - The CPU takes no time here: what it costs is measured elsewhere.

pub mod bed;
pub mod churn;
pub mod forged;
pub mod index_memory;
pub mod ingest;
pub mod mounts;
pub mod scrub;
