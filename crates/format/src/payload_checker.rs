//! Checking a payload that does not come in one piece.

use crate::checksum::checksum_from_memory;
use crate::error::FormatError;
use crate::record::RecordHeader;
use crate::unit::{CHUNK_BYTES, RECORD_HEADER_BYTES, payload_offset};

/// Checks the payload of one record as its bytes come, piece by piece: a reader needs no memory for the whole record.
#[derive(Debug)]
pub struct PayloadChecker {
    /// The checksums that the chunks are to have.
    expected: Vec<u32>,
    payload_bytes: usize,
    /// How many bytes of the record have come, its header included.
    position: usize,
    payload_offset: usize,
    /// Of the part of the present chunk that has come.
    checksum: u32,
}

impl PayloadChecker {
    /// For the record whose header `header` was decoded from the beginning of `first_unit`.
    ///
    /// # Panics
    ///
    /// Where `first_unit` is shorter than the header and its table, which lie in one unit.
    #[must_use]
    pub fn new(first_unit: &[u8], header: &RecordHeader) -> Self {
        let payload_bytes = header.payload_bytes as usize;
        let offset = payload_offset(payload_bytes);
        let count = payload_bytes.div_ceil(CHUNK_BYTES);
        let (table, _) = first_unit[RECORD_HEADER_BYTES..offset].as_chunks();
        let expected = table[..count].iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Self { expected, payload_bytes, position: 0, payload_offset: offset, checksum: 0 }
    }

    /// Takes the next bytes of the record, from its header on.
    ///
    /// # Errors
    ///
    /// [`FormatError::Payload`] names the first chunk that is not what was written.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let skipped = self.payload_offset.saturating_sub(self.position).min(bytes.len());
        self.position += skipped;
        let mut rest = &bytes[skipped..];
        while !rest.is_empty() {
            let done = self.position - self.payload_offset;
            let left = self.payload_bytes.saturating_sub(done);
            if left == 0 {
                // The zeros to the end of the unit are not a part of the payload.
                return Ok(());
            }
            let (chunk, within) = (done / CHUNK_BYTES, done % CHUNK_BYTES);
            let part = rest.len().min(CHUNK_BYTES - within).min(left);
            let before = if within == 0 { 0 } else { self.checksum };
            self.checksum = checksum_from_memory(before, &rest[..part]);
            self.position += part;
            rest = &rest[part..];
            let is_end = within + part == CHUNK_BYTES || part == left;
            if is_end && self.checksum != self.expected[chunk] {
                return Err(FormatError::Payload { chunk });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DriveId, Key, Label, PayloadWriter, RecordKind, UNIT_BYTES, ZoneScope, record_units, seal_record,
    };

    fn label() -> Label {
        Label {
            drive_id: DriveId([3; 16]),
            secret: [4; 16],
            generation: 1,
            formatted_at_unix_s: 0,
            unit_bytes: 4096,
            zone_count: 8,
            zone_size_bytes: 1 << 20,
            checksum_chunk_bytes: 65_536,
            payload_bytes_max: 1 << 19,
            blocks_max: 100,
            label_zones: [0, 1],
            device_serial: "TEST".into(),
            checkpoint_first_zone: 0,
            checkpoint_slot_zones: 0,
        }
    }

    #[test]
    fn pieces_of_any_length_are_checked_as_the_whole_is() {
        for payload_bytes in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let units = record_units(payload_bytes);
            let mut buffer = vec![0; units as usize * UNIT_BYTES];
            let payload: Vec<u8> = (0..payload_bytes).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut writer = PayloadWriter::new(payload_bytes);
            writer.write(&mut buffer, &payload).unwrap();
            writer.finish(&mut buffer).unwrap();
            let header = RecordHeader {
                kind: RecordKind::Block,
                payload_bytes: u32::try_from(payload_bytes).unwrap(),
                unit_offset: 1,
                unit_count: units,
                sequence: 5,
                birth: 5,
                key: Key([1; 32]),
            };
            seal_record(&mut buffer, &header, &ZoneScope::new(&label(), 2, 1));
            for piece in [UNIT_BYTES, 3 * UNIT_BYTES, 16 * UNIT_BYTES, buffer.len()] {
                let mut checker = PayloadChecker::new(&buffer, &header);
                assert!(buffer.chunks(piece).all(|piece| checker.take(piece).is_ok()), "{payload_bytes}");
                if payload_bytes > 0 {
                    let mut damaged = buffer.clone();
                    damaged[payload_offset(payload_bytes) + payload_bytes - 1] ^= 1;
                    let mut checker = PayloadChecker::new(&damaged, &header);
                    assert!(
                        !damaged.chunks(piece).all(|piece| checker.take(piece).is_ok()),
                        "{payload_bytes}"
                    );
                }
            }
        }
    }
}
