//! A drive's bytes in memory, where only what was written takes room.

use std::collections::BTreeMap;
use std::io;

use crate::simulated::store::Store;
use crate::simulated::zone_table::ZoneState;

/// The piece in which memory is taken, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Keeps a drive's bytes in memory. The states of zones need no keeping: they live as long as the drive.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pieces: BTreeMap<u64, Box<[u8]>>,
}

/// The piece and the place within it at which the byte `offset_bytes` stands.
fn place(offset_bytes: u64) -> (u64, usize) {
    let piece_bytes = PIECE_BYTES as u64;
    let within = usize::try_from(offset_bytes % piece_bytes).expect("less than the size of a piece");
    (offset_bytes / piece_bytes, within)
}

impl Store for MemoryStore {
    fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (mut offset, mut rest) = (offset_bytes, bytes);
        while !rest.is_empty() {
            let (piece, within) = place(offset);
            let (part, after) = rest.split_at_mut(rest.len().min(PIECE_BYTES - within));
            match self.pieces.get(&piece) {
                Some(stored) => part.copy_from_slice(&stored[within..within + part.len()]),
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
            let stored = self.pieces.entry(piece).or_insert_with(|| vec![0; PIECE_BYTES].into_boxed_slice());
            stored[within..within + part.len()].copy_from_slice(part);
            offset += part.len() as u64;
            rest = after;
        }
        Ok(())
    }

    fn discard(&mut self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let first = offset_bytes.div_ceil(PIECE_BYTES as u64);
        let end = (offset_bytes + length_bytes) / PIECE_BYTES as u64;
        let pieces: Vec<u64> = self.pieces.range(first..end.max(first)).map(|(&piece, _)| piece).collect();
        for piece in pieces {
            self.pieces.remove(&piece);
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
