//! What the fuzz targets do with their input, one module each.
//!
//! A target does more than wait for a panic. What a decoder accepts is encoded again, and has to give the very bytes that
//! were read: so a decoder that overlooks a byte, and an encoder that forgets a field, are found as well.
//!
//! Most structures carry a checksum, behind which random bytes never come. So the first byte of an input for such a
//! structure says which checksums are put right before it is decoded: each bit is one of them, and half of the inputs
//! have it set.

pub mod checkpoint;
pub mod drive_file;
pub mod drive_json;
pub mod footer;
pub mod header_texts;
pub mod health_texts;
pub mod index_cell;
pub mod label;
pub mod name_texts;
pub mod payloads;
pub mod record;
pub mod seeds;
pub mod smartctl_json;
mod unit;
pub mod zone_header;

/// The samples of the format's own tests: whose drive, which zone, which life.
#[path = "../../crates/format/tests/common/mod.rs"]
mod samples;
