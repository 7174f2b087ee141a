//! The on-disk format of an Imbrex drive, version 2. `FORMAT.md` beside this crate draws every structure.
//!
//! Invariants that this crate keeps:
//!
//! * Decoding never panics, on any bytes, and never trusts a length: each is held against a bound before its use.
//! * What was decoded was checked: its magic, whose drive and zone it is, which life of the zone, where in the zone it
//!   stands, and a checksum that a payload cannot imitate, because a secret of the drive goes into it.
//! * Reserved bytes are zero. Bytes that set one belong to a version that this one does not know, and are refused.
//! * Encoding a structure and decoding it gives the structure; encoding it again gives the same bytes.
//!
//! Encoding panics where its caller broke the contract that each function states; nothing that stands on a drive or
//! that a client sends can bring that about.

#![forbid(unsafe_code)]

pub mod checkpoint;
mod checksum;
pub mod commit;
pub mod drive_id;
pub mod error;
pub mod footer;
mod hex;
pub mod index_cell;
pub mod key;
pub mod label;
pub mod payload;
pub mod payload_checker;
pub mod record;
pub mod scope;
pub mod table_entry;
pub mod tombstone;
pub mod unit;
pub mod verify;
pub mod void;
pub mod zone_header;

pub use checkpoint::{
    CELL_BYTES, CHECKPOINT_HEAD_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatch,
    CheckpointPatches, CheckpointTable, ZoneCell, ZoneCellRole,
};
pub use commit::{COMMIT_ENTRIES_MAX, Commit, CommitZone, OPEN_ZONES_MAX, commit_units};
pub use drive_id::DriveId;
pub use error::{FormatError, KeyError, LabelError, PayloadError};
pub use footer::{Footer, Trailer, footer_units};
pub use index_cell::{
    BUCKET_SLOTS, INDEX_ENTRY_BYTES, IndexEntry, index_bucket_count, index_hash, other_bucket,
};
pub use key::Key;
pub use label::{CHECKPOINT_SLOTS, Label};
pub use payload::{PayloadWriter, check_payload, payload};
pub use payload_checker::PayloadChecker;
pub use record::{RecordHeader, RecordKind, claimed_incarnation, decode_record_header, seal_record};
pub use scope::{ZoneScope, zone_salt};
pub use table_entry::TableEntry;
pub use tombstone::{TombstoneEntry, decode_tombstones};
pub use unit::{
    CHUNK_BYTES, PAYLOAD_BYTES_MAX, UNIT_BYTES, VERSION, chunk_count, payload_offset, record_units,
};
pub use void::VoidRange;
pub use zone_header::{ZoneContent, ZoneHeader};
