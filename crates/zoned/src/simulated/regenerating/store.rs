//! A drive's bytes in memory, without the payloads that can be made again.

use std::collections::BTreeMap;
use std::io;

use crate::simulated::regenerating::parse::Content;
use crate::simulated::regenerating::payload::RegeneratedPayload;
use crate::simulated::regenerating::piece::{PIECE_BYTES, Piece};
use crate::simulated::store::Store;
use crate::simulated::zone_table::ZoneState;

/// Keeps a drive's bytes as what they are made of. The states of zones live as long as the drive.
#[derive(Default)]
pub(crate) struct RegeneratingStore {
    pieces: BTreeMap<u64, Piece>,
}

impl RegeneratingStore {
    /// Makes a stretch of the drive that of a payload from `position_bytes` on, without its bytes being made.
    pub(crate) fn declare(
        &mut self,
        offset_bytes: u64,
        length_bytes: u64,
        payload: RegeneratedPayload,
        position_bytes: u64,
    ) {
        let mut done = 0;
        while done < length_bytes {
            let (piece, within) = place(offset_bytes + done);
            let room = PIECE_BYTES - within;
            let length = usize::try_from(length_bytes - done).unwrap_or(room).min(room);
            let content = Content::Payload { payload, position_bytes: position_bytes + done };
            self.pieces.entry(piece).or_insert_with(Piece::new).declare(within, length, content);
            done += length as u64;
        }
    }

    /// The memory that the drive's contents take, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pieces.values().map(Piece::memory_bytes).sum()
    }
}

/// The piece and the place within it at which the byte `offset_bytes` stands.
fn place(offset_bytes: u64) -> (u64, usize) {
    let piece_bytes = PIECE_BYTES as u64;
    let within = usize::try_from(offset_bytes % piece_bytes).expect("less than the size of a piece");
    (offset_bytes / piece_bytes, within)
}

impl Store for RegeneratingStore {
    fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (mut offset, mut rest) = (offset_bytes, bytes);
        while !rest.is_empty() {
            let (piece, within) = place(offset);
            let (part, after) = rest.split_at_mut(rest.len().min(PIECE_BYTES - within));
            match self.pieces.get(&piece) {
                Some(piece) => piece.read(within, part),
                None => part.fill(0),
            }
            offset += part.len() as u64;
            rest = after;
        }
        Ok(())
    }

    fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut offset, mut rest) = (offset_bytes, bytes);
        while !rest.is_empty() {
            let (piece, within) = place(offset);
            let (part, after) = rest.split_at(rest.len().min(PIECE_BYTES - within));
            self.pieces.entry(piece).or_insert_with(Piece::new).write(within, part);
            offset += part.len() as u64;
            rest = after;
        }
        Ok(())
    }

    fn discard(&mut self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let end_bytes = offset_bytes + length_bytes;
        let (first, _) = place(offset_bytes);
        let touched: Vec<u64> = self
            .pieces
            .range(first..end_bytes.div_ceil(PIECE_BYTES as u64))
            .map(|(&piece, _)| piece)
            .collect();
        for number in touched {
            let piece_start = number * PIECE_BYTES as u64;
            let (_, from) = place(offset_bytes.max(piece_start));
            let to = usize::try_from(end_bytes - piece_start).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            if let Some(piece) = self.pieces.get_mut(&number) {
                piece.declare(from, to - from, Content::Zeros);
                if piece.is_zeros() {
                    self.pieces.remove(&number);
                }
            }
        }
        Ok(())
    }

    fn save_zone(&mut self, _zone: u32, _state: ZoneState) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
