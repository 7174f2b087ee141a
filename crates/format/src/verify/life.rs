//! What one zone holds now.

/// Why the log of a zone ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing more was written, or what was written is no one's.
    Clean,
    /// Something stands there that does not check out, or cannot be read.
    Damaged,
}

/// The present life of a zone, as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) incarnation: u64,
    /// How far it is good.
    pub(super) good_units: u32,
    pub(super) end: End,
    pub(super) is_sealed: bool,
    pub(super) entries: u32,
    pub(super) tombstones: u32,
}
