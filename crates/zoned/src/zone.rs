//! One zone, as a report of zones describes it (ZBC, ZAC and the NVMe zoned namespace command set).

/// Which rules a zone's writes obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneKind {
    /// Written anywhere, in any order.
    Conventional,
    /// Written only at its write pointer.
    SequentialWriteRequired,
}

/// The condition of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// A conventional zone: it has no write pointer.
    NotWritePointer,
    /// Nothing is written; the write pointer is at the start.
    Empty,
    /// Opened by a write.
    ImplicitOpen,
    /// Opened by an open order.
    ExplicitOpen,
    /// Partly written, and not open.
    Closed,
    /// Written to the end, or finished.
    Full,
    /// Readable, and never to be written again; the write pointer means nothing.
    ReadOnly,
    /// Neither readable nor writable; the write pointer means nothing.
    Offline,
}

/// One entry of a zone report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The zone's number, from 0.
    pub index: u32,
    /// Which rules its writes obey.
    pub kind: ZoneKind,
    /// Its condition.
    pub condition: Condition,
    /// How many of its bytes, from its start, can be written: at most the geometry's zone size.
    pub capacity_bytes: u64,
    /// The write pointer in bytes from the start of the zone. `None` where the standards give it no meaning:
    /// in conventional, full, read-only and offline zones.
    pub write_pointer_bytes: Option<u64>,
}
