//! The id of a drive.

use std::fmt;
use std::str::FromStr;

use crate::error::KeyError;
use crate::hex::{parse_hex, write_hex};

/// The 16 random bytes that a drive gets when it is formatted, written as 32 hexadecimal digits. Every structure names
/// them, so that nothing of another drive, or of this drive before it was formatted, is taken for its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriveId(pub [u8; 16]);

impl fmt::Display for DriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for DriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriveId({self})")
    }
}

impl FromStr for DriveId {
    type Err = KeyError;

    /// Reads digits of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex(text).map(Self)
    }
}
