//! What an engine must do, without how: for every key, the contents that it may have.

use imbrex_format::Key;

/// The contents of a block, by the seed and length from which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) seed: u64,
    pub(super) length: usize,
}

impl Content {
    pub(super) fn new(seed: u64, length: usize) -> Self {
        // Two contents are the same only if their bytes are: a short one has no more of its seed than it shows.
        let shown = if length < 8 { seed & ((1 << (8 * length)) - 1) } else { seed };
        Self { seed: shown, length }
    }

    fn word(self, place: usize) -> [u8; 8] {
        self.seed.wrapping_add((place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes()
    }

    /// Puts its bytes into `bytes`, which has as many.
    pub(super) fn fill(self, bytes: &mut [u8]) {
        for (place, part) in bytes.chunks_mut(8).enumerate() {
            part.copy_from_slice(&self.word(place)[..part.len()]);
        }
    }

    /// Whether `bytes` are its own from byte `first` on.
    pub(super) fn has(self, first: usize, bytes: &[u8]) -> bool {
        let end = first + bytes.len();
        let mut at = first;
        while at < end {
            let (place, within) = (at / 8, at % 8);
            let count = (8 - within).min(end - at);
            if self.word(place)[within..within + count] != bytes[at - first..at - first + count] {
                return false;
            }
            at += count;
        }
        end <= self.length
    }
}

pub(super) fn key(number: u64) -> Key {
    let mut bytes = [0xA5; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Key(bytes)
}

/// The number of a key.
pub(super) fn number(key: &Key) -> u64 {
    u64::from_le_bytes(key.0[..8].try_into().expect("eight bytes"))
}

/// One key.
#[derive(Clone, Debug)]
struct State {
    /// What it may have; `None` is absence.
    possible: Vec<Option<Content>>,
    /// What a request that failed has left behind, perhaps: the next mount finds it or not.
    limbo: Vec<Option<Content>>,
    /// All that was ever put under it.
    history: Vec<Content>,
}

/// See the module. A key that is not there can only be absent.
pub(super) struct Model {
    keys: Vec<State>,
}

impl Model {
    pub(super) fn new(keys: u64) -> Self {
        let none = State { possible: vec![None], limbo: Vec::new(), history: Vec::new() };
        Self { keys: (0..keys).map(|_| none.clone()).collect() }
    }

    fn state(&self, key: u64) -> &State {
        &self.keys[usize::try_from(key).expect("a small number")]
    }

    fn state_mut(&mut self, key: u64) -> &mut State {
        &mut self.keys[usize::try_from(key).expect("a small number")]
    }

    pub(super) fn possible(&self, key: u64) -> &[Option<Content>] {
        &self.state(key).possible
    }

    pub(super) fn may_be_absent(&self, key: u64) -> bool {
        self.possible(key).contains(&None)
    }

    pub(super) fn may_be_there(&self, key: u64) -> bool {
        self.possible(key).iter().any(Option::is_some)
    }

    /// The content that it has, where only one is possible.
    pub(super) fn settled(&self, key: u64) -> Option<Content> {
        match self.possible(key) {
            [only] => *only,
            _ => None,
        }
    }

    /// All that was ever put under a key.
    pub(super) fn history(&self, key: u64) -> &[Content] {
        &self.state(key).history
    }

    /// A put was begun.
    pub(super) fn put_begun(&mut self, key: u64, content: Content) {
        let history = &mut self.state_mut(key).history;
        if !history.contains(&content) {
            history.push(content);
        }
    }

    /// A read was answered: the key has these contents, until a mount shows what requests that failed have left.
    pub(super) fn settle(&mut self, key: u64, content: Option<Content>) {
        let State { possible, limbo, .. } = self.state_mut(key);
        possible.clear();
        possible.push(content);
        possible.extend(limbo.iter().copied().filter(|left| *left != content));
    }

    /// A put or a deletion was acknowledged: the key has these contents.
    pub(super) fn acknowledged(&mut self, key: u64, content: Option<Content>) {
        self.state_mut(key).limbo.clear();
        self.settle(key, content);
    }

    /// An operation was cut off: the key may have these contents from now on, beside those that it may have had.
    pub(super) fn may_become(&mut self, key: u64, content: Option<Content>) {
        let possible = &mut self.state_mut(key).possible;
        if !possible.contains(&content) {
            possible.push(content);
        }
    }

    /// A request failed that would have given the key these contents: it may have been carried out, and if it was, it
    /// may show after the next mount only.
    pub(super) fn may_become_by_mount(&mut self, key: u64, content: Option<Content>) {
        self.may_become(key, content);
        self.state_mut(key).limbo.push(content);
    }

    /// The drive was mounted.
    pub(super) fn mounted(&mut self) {
        for key in self.keys() {
            for content in std::mem::take(&mut self.state_mut(key).limbo) {
                self.may_become(key, content);
            }
        }
    }

    pub(super) fn keys(&self) -> std::ops::Range<u64> {
        0..self.keys.len() as u64
    }
}
