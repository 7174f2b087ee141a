//! What the engine must answer: for each key its content, by what it is made from.

use std::collections::BTreeMap;

use imbrex_format::Key;

use crate::random::Random;

/// A content, by the seed and length from which its bytes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) length: usize,
}

impl Content {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut random = Random::new(self.seed);
        let mut bytes = vec![0; self.length];
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = random.next().to_le_bytes();
        }
        for (byte, last) in rest.iter_mut().zip(random.next().to_le_bytes()) {
            *byte = last;
        }
        bytes
    }
}

/// All blocks that stand, by the number of their key.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) blocks: BTreeMap<u64, Content>,
    pub(crate) live_bytes: u64,
}

impl Model {
    pub(crate) fn put(&mut self, number: u64, content: Content) {
        self.delete(number);
        self.live_bytes += content.length as u64;
        self.blocks.insert(number, content);
    }

    pub(crate) fn delete(&mut self, number: u64) {
        if let Some(content) = self.blocks.remove(&number) {
            self.live_bytes -= content.length as u64;
        }
    }
}

/// The key of that number.
pub(crate) fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    for (place, word) in (0_u64..).zip(bytes.as_chunks_mut::<8>().0) {
        *word = Random::new(number ^ (place << 56)).next().to_le_bytes();
    }
    Key(bytes)
}
