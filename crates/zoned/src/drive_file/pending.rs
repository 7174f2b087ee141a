//! An operation of a drive file's device, from its submission to its completion.

use std::ops::Range;

use crate::{Buffer, Token, ZoneOperation};

/// An operation, from its submission to its completion.
pub(crate) struct Pending {
    pub(crate) token: Token,
    pub(crate) work: Work,
    /// While it is not with the queue.
    pub(crate) buffer: Option<Buffer>,
}

/// What an operation does. `zone` is that of a sequential zone.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Read { offset_bytes: u64, length_bytes: usize },
    Write { offset_bytes: u64, length_bytes: usize, zone: Option<u32> },
    Flush,
    Order { zone: u32, operation: ZoneOperation },
}

impl Pending {
    /// Fills a part of the buffer with zeros: what a drive returns where nothing is written.
    pub(crate) fn fill(&mut self, range: Range<usize>) {
        if let Some(bytes) = self.buffer.as_mut().and_then(|buffer| buffer.get_mut(range)) {
            bytes.fill(0);
        }
    }

    /// The sequential zone that the operation writes, or the zone that it orders: where it has its turn.
    pub(crate) fn zone(&self) -> Option<u32> {
        match self.work {
            Work::Write { zone, .. } => zone,
            Work::Order { zone, .. } => Some(zone),
            Work::Read { .. } | Work::Flush => None,
        }
    }
}
