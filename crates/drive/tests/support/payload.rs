//! Bytes and keys that a number determines.

/// A small generator (SplitMix64): the same seed gives the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// `length` bytes that belong to `seed`.
pub fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The key that belongs to `seed`, as 64 hex digits.
pub fn key_of(seed: u64) -> String {
    bytes_of(!seed, 32).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The path of the block with that key.
pub fn path_of(seed: u64) -> String {
    format!("/v1/blocks/{}", key_of(seed))
}
