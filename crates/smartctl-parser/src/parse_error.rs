//! Why bytes are no report.

use std::fmt;

/// Why bytes are no report of smartctl's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// There is nothing: smartctl was killed before it wrote, or crashed.
    Empty,
    /// There is more than any report has.
    TooLong {
        /// How many bytes there are.
        length_bytes: usize,
    },
    /// There is no JSON object in it.
    NotJson,
    /// The JSON ends in the middle: a pipe was closed, or smartctl killed while it wrote.
    Truncated {
        /// How many bytes there are.
        length_bytes: usize,
    },
    /// The JSON is broken.
    Broken {
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("smartctl wrote nothing"),
            Self::TooLong { length_bytes } => {
                write!(formatter, "smartctl wrote {length_bytes} bytes, more than any report has")
            }
            Self::NotJson => formatter.write_str("smartctl's output holds no JSON object"),
            Self::Truncated { length_bytes } => {
                write!(formatter, "smartctl's report breaks off after {length_bytes} bytes")
            }
            Self::Broken { line, column } => {
                write!(formatter, "smartctl's report is broken at line {line}, column {column}")
            }
        }
    }
}

impl std::error::Error for ParseError {}
