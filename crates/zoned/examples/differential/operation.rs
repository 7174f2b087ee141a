//! What is asked of both drives.

use imbrex_zoned::{Condition, ZoneOperation};

/// One operation, with all that makes it the same on both drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Read {
        offset_bytes: u64,
        length_bytes: usize,
        /// The size of the buffer, which may be too small.
        buffer_bytes: usize,
        /// Whether the buffer is of a pool that is not the device's.
        stranger: bool,
    },
    Write {
        offset_bytes: u64,
        length_bytes: usize,
        /// What the bytes are made from.
        content: u64,
        /// As above.
        stranger: bool,
    },
    Flush,
    Order {
        zone: u32,
        operation: ZoneOperation,
    },
}

/// What both drives are given between two looks at their zones.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Operations that are all submitted before the first is waited for.
    Together(Vec<Operation>),
    /// The drive itself sets a zone read-only or offline. The next step follows without a look at the zones.
    WearOut { zone: u32, condition: Condition },
}

impl Operation {
    pub(crate) fn read(offset_bytes: u64, length_bytes: usize) -> Self {
        Self::Read { offset_bytes, length_bytes, buffer_bytes: length_bytes, stranger: false }
    }

    pub(crate) fn write(offset_bytes: u64, length_bytes: usize, content: u64) -> Self {
        Self::Write { offset_bytes, length_bytes, content, stranger: false }
    }

    /// The range that a write may change.
    pub(crate) fn writes(&self) -> Option<(u64, u64)> {
        match self {
            Self::Write { offset_bytes, length_bytes, .. } => {
                Some((*offset_bytes, offset_bytes.saturating_add(*length_bytes as u64)))
            }
            _ => None,
        }
    }
}
