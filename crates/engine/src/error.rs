//! Why a request was not granted: a stable type for programs, and one sentence for people.

use std::fmt;

use crate::status::State;

/// Why a request was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// No such block.
    NotFound,
    /// The drive knows of no such block, and cannot tell: zones that it cannot read may hold blocks that it does not
    /// know of. Waiting does not help.
    Unknown {
        /// How many zones are in doubt.
        zones: u32,
    },
    /// Another block stands under this key.
    Conflict,
    /// The range begins beyond the block's end.
    RangeNotSatisfiable {
        /// The block's length in bytes.
        payload_bytes: u32,
    },
    /// The block failed its checksum.
    Corrupt {
        /// Where and what.
        detail: String,
    },
    /// The drive could not read the block.
    Medium {
        /// The drive's error.
        detail: String,
    },
    /// The block is larger than any zone of this drive can hold.
    TooLarge {
        /// The largest payload that this drive takes, in bytes.
        payload_bytes_max: u32,
    },
    /// No zone is free for another record.
    Full,
    /// The index holds as many blocks as it was made for.
    IndexFull,
    /// A queue or the memory is full: try again.
    Overloaded {
        /// Which.
        what: &'static str,
    },
    /// The drive's state does not allow it.
    Unavailable {
        /// The state.
        state: State,
    },
    /// A format order does not fit the drive.
    FormatRefused {
        /// Why, and what would be accepted.
        reason: String,
    },
    /// The request itself is malformed.
    Invalid {
        /// How.
        reason: String,
    },
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(f, "the drive holds no such block"),
            Self::Unknown { zones } => write!(
                f,
                "the drive cannot tell whether it holds the block: it does not know what {zones} of its zones held, \
                 which cannot be read"
            ),
            Self::Conflict => write!(f, "another block stands under this key: blocks are immutable"),
            Self::RangeNotSatisfiable { payload_bytes } => {
                write!(f, "the range begins beyond the end of the block, which has {payload_bytes} bytes")
            }
            Self::Corrupt { detail } => write!(f, "the block is damaged: {detail}"),
            Self::Medium { detail } => write!(f, "the block cannot be read: {detail}"),
            Self::TooLarge { payload_bytes_max } => {
                write!(f, "a block on this drive has at most {payload_bytes_max} bytes")
            }
            Self::Full => write!(f, "the drive is full: no zone is free for another record"),
            Self::IndexFull => {
                write!(f, "the drive's index is full: it holds as many blocks as it was made for")
            }
            Self::Overloaded { what } => write!(f, "the drive is overloaded ({what}): try again"),
            Self::Unavailable { state } => match state.reason() {
                Some(reason) => write!(f, "the drive is {}: {reason}", state.name()),
                None => write!(f, "the drive is {}", state.name()),
            },
            Self::FormatRefused { reason } => write!(f, "the drive was not formatted: {reason}"),
            Self::Invalid { reason } => write!(f, "the request cannot be granted: {reason}"),
        }
    }
}

impl std::error::Error for EngineError {}
