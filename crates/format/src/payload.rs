//! The payload of a record: written piece by piece while its checksums are computed, and checked chunk by chunk.

use std::ops::Range;

use crate::checksum::checksum_from_memory;
use crate::error::{FormatError, PayloadError};
use crate::record::RecordHeader;
use crate::unit::{
    CHUNK_BYTES, CHUNK_CHECKSUM_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, UNIT_BYTES, chunk_count,
    payload_offset,
};

/// Fills a record's buffer with its payload, each byte copied once. It holds no buffer: the same one has to be given to
/// every call.
#[derive(Clone, Debug)]
pub struct PayloadWriter {
    payload_bytes: usize,
    filled_bytes: usize,
    /// Of what has come of the chunk that is being filled.
    chunk_checksum: u32,
}

impl PayloadWriter {
    /// Begins a payload of `payload_bytes` bytes.
    ///
    /// # Panics
    ///
    /// Where `payload_bytes` is more than [`PAYLOAD_BYTES_MAX`].
    #[must_use]
    pub fn new(payload_bytes: usize) -> Self {
        assert!(
            payload_bytes <= PAYLOAD_BYTES_MAX,
            "a payload has at most 16 MiB, and not {payload_bytes} bytes"
        );
        Self { payload_bytes, filled_bytes: 0, chunk_checksum: 0 }
    }

    /// Appends `bytes`, of which there may be none. `buffer` begins where the record does.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] where that is more than was announced; then nothing of `bytes` is kept.
    ///
    /// # Panics
    ///
    /// Where `buffer` has fewer than [`record_units`](crate::record_units) units.
    pub fn write(&mut self, buffer: &mut [u8], bytes: &[u8]) -> Result<(), PayloadError> {
        if bytes.len() > self.payload_bytes - self.filled_bytes {
            return Err(PayloadError::TooLong { announced: self.payload_bytes });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let room_bytes = CHUNK_BYTES - self.filled_bytes % CHUNK_BYTES;
            let (piece, after) = rest.split_at(room_bytes.min(rest.len()));
            self.write_within_chunk(buffer, piece);
            rest = after;
        }
        Ok(())
    }

    /// Ends the payload: fills the gap before it and the rest of its last unit with zeros.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooShort`] where fewer bytes came than were announced.
    ///
    /// # Panics
    ///
    /// Where `buffer` has fewer than [`record_units`](crate::record_units) units.
    pub fn finish(self, buffer: &mut [u8]) -> Result<(), PayloadError> {
        if self.filled_bytes != self.payload_bytes {
            return Err(PayloadError::TooShort { written: self.filled_bytes, announced: self.payload_bytes });
        }
        let begin = payload_offset(self.payload_bytes);
        let end = begin + self.payload_bytes;
        buffer[table_slot(chunk_count(self.payload_bytes)).start..begin].fill(0);
        buffer[end..end.next_multiple_of(UNIT_BYTES)].fill(0);
        Ok(())
    }

    /// Appends a piece that does not go beyond its chunk, and stores the chunk's checksum if that ends it.
    fn write_within_chunk(&mut self, buffer: &mut [u8], piece: &[u8]) {
        let begin = payload_offset(self.payload_bytes) + self.filled_bytes;
        let chunk = self.filled_bytes / CHUNK_BYTES;
        buffer[begin..begin + piece.len()].copy_from_slice(piece);
        self.chunk_checksum = crc32c::crc32c_append(self.chunk_checksum, piece);
        self.filled_bytes += piece.len();
        if self.filled_bytes == self.payload_bytes || self.filled_bytes.is_multiple_of(CHUNK_BYTES) {
            buffer[table_slot(chunk)].copy_from_slice(&self.chunk_checksum.to_le_bytes());
            self.chunk_checksum = 0;
        }
    }
}

/// Where the checksum of a chunk stands in its record.
fn table_slot(chunk: usize) -> Range<usize> {
    let begin = RECORD_HEADER_BYTES + chunk * CHUNK_CHECKSUM_BYTES;
    begin..begin + CHUNK_CHECKSUM_BYTES
}

/// Verifies every chunk that `range` of the payload touches. `bytes` is the record from its first byte, at least to the
/// end of the last of these chunks, and `header` what [`decode_record_header`](crate::decode_record_header) made of it.
///
/// # Errors
///
/// [`FormatError::Payload`] names the first chunk that differs, [`FormatError::Short`] how many bytes are needed, and
/// [`FormatError::Invalid`] says that `range` is not a part of the payload.
pub fn check_payload(bytes: &[u8], header: &RecordHeader, range: Range<usize>) -> Result<(), FormatError> {
    let payload_bytes = header.payload_bytes as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(FormatError::Invalid { field: "payload_bytes" });
    }
    if range.start > range.end || range.end > payload_bytes {
        return Err(FormatError::Invalid { field: "range" });
    }
    if range.is_empty() {
        return Ok(());
    }
    let payload_begin = payload_offset(payload_bytes);
    let chunks = range.start / CHUNK_BYTES..chunk_count(range.end);
    let needed = payload_begin + (chunks.end * CHUNK_BYTES).min(payload_bytes);
    let bytes = bytes.get(..needed).ok_or(FormatError::Short { needed })?;
    for chunk in chunks {
        let begin = payload_begin + chunk * CHUNK_BYTES;
        let computed = checksum_from_memory(0, &bytes[begin..(begin + CHUNK_BYTES).min(needed)]);
        if bytes[table_slot(chunk)] != computed.to_le_bytes() {
            return Err(FormatError::Payload { chunk });
        }
    }
    Ok(())
}

/// The payload of the record that `bytes` begins with. [`check_payload`] comes first: nothing is verified here.
///
/// # Panics
///
/// Where `bytes` ends before the payload does, which [`check_payload`] of the whole payload finds out.
#[must_use]
pub fn payload<'a>(bytes: &'a [u8], header: &RecordHeader) -> &'a [u8] {
    let payload_bytes = header.payload_bytes as usize;
    let begin = payload_offset(payload_bytes);
    &bytes[begin..begin + payload_bytes]
}
