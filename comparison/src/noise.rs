//! Payloads that cannot be compressed and cost nothing to make: windows of one region of random bytes.

use crate::contender::Key;
use crate::random::Random;

/// Windows begin at multiples of this, in bytes: the unit of direct I/O.
pub(crate) const ALIGNMENT_BYTES: usize = 4096;

/// The bytes of the region beyond the largest block. A power of two of units.
const WINDOWS: usize = 1024;

/// A region of random bytes, aligned for direct I/O.
pub(crate) struct Noise {
    bytes: Vec<u8>,
    first: usize,
    seed: u64,
}

impl Noise {
    /// Room for blocks of up to `block_bytes_max`.
    pub(crate) fn new(seed: u64, block_bytes_max: usize) -> Self {
        let length = block_bytes_max + (WINDOWS + 1) * ALIGNMENT_BYTES;
        let mut random = Random::new(seed);
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
        let first = aligned_start(&bytes);
        Self { bytes, first, seed }
    }

    /// The payload of block `number`: another one than that of most others.
    pub(crate) fn payload(&self, number: u64, block_bytes: usize) -> &[u8] {
        let window = Random::new(self.seed ^ number).place(WINDOWS);
        let begin = self.first + window * ALIGNMENT_BYTES;
        &self.bytes[begin..begin + block_bytes]
    }

    /// The name of block `number`.
    pub(crate) fn key(&self, number: u64) -> Key {
        let mut random = Random::new(self.seed.rotate_left(17) ^ number);
        let mut key = [0; 32];
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&random.next().to_le_bytes());
        }
        key
    }
}

/// The first place in `bytes` whose address is a multiple of [`ALIGNMENT_BYTES`].
pub(crate) fn aligned_start(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(ALIGNMENT_BYTES)
}
