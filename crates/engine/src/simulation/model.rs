//! What an engine must do, without how: for every key, the contents that it may have.

use std::collections::BTreeMap;

use imbrex_format::Key;

use super::random::Random;

/// The contents of a block, by the seed and length from which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) seed: u64,
    pub(super) length: usize,
}

impl Content {
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut random = Random::new(self.seed);
        let mut bytes: Vec<u8> =
            (0..self.length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
        bytes.truncate(self.length);
        bytes
    }
}

/// The keys that a run uses: few, so that they meet again.
pub(super) const KEYS: u64 = 60;

pub(super) fn key(number: u64) -> Key {
    let mut bytes = [0xA5; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Key(bytes)
}

/// Each key's possible contents; `None` is absence. A key that is not there can only be absent.
#[derive(Default)]
pub(super) struct Model {
    possible: BTreeMap<u64, Vec<Option<Content>>>,
}

impl Model {
    pub(super) fn possible(&self, key: u64) -> Vec<Option<Content>> {
        self.possible.get(&key).cloned().unwrap_or_else(|| vec![None])
    }

    /// An operation was answered: the key has these contents.
    pub(super) fn settle(&mut self, key: u64, content: Option<Content>) {
        self.possible.insert(key, vec![content]);
    }

    /// An operation was cut off: the key may have these contents from now on, beside those that it may have had.
    pub(super) fn may_become(&mut self, key: u64, content: Option<Content>) {
        let mut possible = self.possible(key);
        possible.push(content);
        self.possible.insert(key, possible);
    }

    /// The keys that may have contents.
    pub(super) fn keys(&self) -> Vec<u64> {
        self.possible.keys().copied().collect()
    }
}
