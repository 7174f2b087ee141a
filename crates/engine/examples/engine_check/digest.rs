//! All answers of a run as one number, to compare two runs by: FNV-1a of 64 bits (draft-eastlake-fnv), by words and
//! with a turn after each, so that many bytes cost little.

/// The digest of what was added so far.
#[derive(Clone, Copy)]
pub(crate) struct Digest {
    pub(crate) value: u64,
    pub(crate) answers: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { value: 0xcbf2_9ce4_8422_2325, answers: 0 }
    }
}

impl Digest {
    /// Adds one answer, and the bytes that came with it.
    pub(crate) fn add(&mut self, answer: &str, bytes: &[u8]) {
        self.answers += 1;
        for part in [answer.as_bytes(), bytes] {
            self.word(part.len() as u64);
            let (words, rest) = part.as_chunks::<8>();
            for word in words {
                self.word(u64::from_le_bytes(*word));
            }
            for &byte in rest {
                self.word(u64::from(byte));
            }
        }
    }

    fn word(&mut self, word: u64) {
        self.value = (self.value ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}
