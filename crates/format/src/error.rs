//! Why bytes, or texts, were refused.

use std::fmt;

use crate::unit::VERSION;

/// Why bytes are not the structure that was looked for. Which of several reasons is given is for people: a checksum
/// has not been verified yet when a drive, zone, life or place is found to be a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The structure's magic number is not there: nothing of the kind was ever written here.
    Magic,
    /// The structure is of another version of the format.
    Version {
        /// The version that was found.
        found: u32,
        /// The version that this build reads.
        supported: u32,
    },
    /// The checksum differs: a bit has changed, or the bytes only look like the structure.
    Checksum,
    /// The structure was written to another drive, or to this one before it was formatted.
    WrongDrive,
    /// The structure was written for another zone.
    WrongZone {
        /// The zone that it names.
        found: u32,
        /// The zone in which it stands.
        expected: u32,
    },
    /// The structure is of another life of its zone.
    WrongIncarnation {
        /// The incarnation that it names.
        found: u64,
        /// The incarnation that was looked for.
        expected: u64,
    },
    /// The structure was written for another place of its zone.
    WrongPlace {
        /// The unit that it names.
        found: u32,
        /// The unit in which it stands.
        expected: u32,
    },
    /// The checksum is right, but the kind of the record is none of this version. It can be stepped over.
    UnknownKind {
        /// The number of the kind.
        kind: u16,
        /// How many units the record has: at least one, and its end is a unit that 32 bits can name.
        unit_count: u32,
    },
    /// A field holds a value that no writer of this version writes there.
    Invalid {
        /// The field's name in FORMAT.md.
        field: &'static str,
    },
    /// There are too few bytes to tell.
    Short {
        /// How many are needed.
        needed: usize,
    },
    /// A chunk of a payload differs from its checksum.
    Payload {
        /// The chunk's number within the payload, from 0.
        chunk: usize,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => {
                f.write_str("nothing of the expected kind stands here: its magic number is missing")
            }
            Self::Version { found, supported } => write_version(f, "it", *found, *supported),
            Self::Checksum => f.write_str("its checksum is wrong: the bytes on the drive have changed"),
            Self::WrongDrive => {
                f.write_str("it was written for another drive, or before this one was formatted")
            }
            Self::WrongZone { found, expected } => {
                write!(f, "it was written for zone {found}, and stands in zone {expected}")
            }
            Self::WrongIncarnation { found, expected } => {
                write!(f, "it is of life {found} of its zone, and life {expected} was looked for")
            }
            Self::WrongPlace { found, expected } => {
                write!(f, "it was written for unit {found} of its zone, and stands in unit {expected}")
            }
            Self::UnknownKind { kind, unit_count } => {
                write!(
                    f,
                    "it is a record of kind {kind} and of {unit_count} units, which version {VERSION} lacks"
                )
            }
            Self::Invalid { field } => {
                write!(f, "its field {field} has a value that version {VERSION} never writes")
            }
            Self::Short { needed } => write!(f, "it is cut off: {needed} bytes of it are needed"),
            Self::Payload { chunk } => {
                write!(
                    f,
                    "chunk {chunk} of the payload differs from its checksum: the bytes on the drive have changed"
                )
            }
        }
    }
}

impl std::error::Error for FormatError {}

/// Why bytes are not a label that this version can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelError {
    /// No label stands here: the magic number is missing, or there are too few bytes for it.
    NotALabel,
    /// The drive was formatted by another version.
    Version {
        /// The version that was found.
        found: u32,
        /// The version that this build reads.
        supported: u32,
    },
    /// It is a label of this version, and its checksum differs.
    Checksum,
    /// It is cut off.
    Short {
        /// How many bytes are needed.
        needed: usize,
    },
    /// A field holds a value that cannot be.
    Invalid {
        /// The field's name in FORMAT.md.
        field: &'static str,
    },
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALabel => {
                f.write_str("no Imbrex label stands here: the drive has to be formatted first")
            }
            Self::Version { found, supported } => write_version(f, "the drive", *found, *supported),
            Self::Checksum => {
                f.write_str("the checksum of the drive's label is wrong: its bytes have changed")
            }
            Self::Short { needed } => {
                write!(f, "the drive's label is cut off: {needed} bytes of it are needed")
            }
            Self::Invalid { field } => {
                write!(f, "the field {field} of the drive's label has a value that cannot be")
            }
        }
    }
}

impl std::error::Error for LabelError {}

/// The one sentence for a version that is not ours; it names both.
fn write_version(f: &mut fmt::Formatter<'_>, what: &str, found: u32, supported: u32) -> fmt::Result {
    write!(
        f,
        "{what} is of format version {found}, and this build reads only version {supported}: \
         boot an image that reads version {found}"
    )
}

/// Why a payload was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// More bytes came than were announced. Nothing of the piece that was too much was kept.
    TooLong {
        /// How many were announced.
        announced: usize,
    },
    /// Fewer bytes came than were announced.
    TooShort {
        /// How many came.
        written: usize,
        /// How many were announced.
        announced: usize,
    },
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { announced } => {
                write!(f, "more bytes came than the {announced} that were announced")
            }
            Self::TooShort { written, announced } => {
                write!(f, "only {written} of the {announced} bytes that were announced came")
            }
        }
    }
}

impl std::error::Error for PayloadError {}

/// Why a text is not the hexadecimal digits of a key or of a drive id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It has another number of characters.
    Length {
        /// How many characters there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// One of its characters is no hexadecimal digit.
    Character {
        /// Which one, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found, expected } => {
                write!(f, "{expected} hexadecimal digits are needed, and {found} characters were given")
            }
            Self::Character { position, found } => {
                write!(f, "character {position} is {found:?}, and only the digits 0-9 and a-f are allowed")
            }
        }
    }
}

impl std::error::Error for KeyError {}
