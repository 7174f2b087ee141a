//! Why nothing was verified, each with a sentence and an exit status after `sysexits.h`, the same ones as the drive's.

use std::fmt;
use std::io;
use std::path::PathBuf;

use imbrex_format::verify::VerifyError;
use imbrex_zoned::{OpenError, OpenRefusal};

/// `EX_USAGE`: the command line is wrong.
pub(crate) const USAGE: u8 = 64;
const DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const SOFTWARE: u8 = 70;
const SYSTEM: u8 = 71;
const IN_USE: u8 = 75;
const NO_PERMISSION: u8 = 77;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The drive was not opened.
    Open(OpenError),
    /// The drive was not verified.
    Verify { path: PathBuf, error: VerifyError },
    /// The report cannot be printed.
    Output(io::Error),
}

impl Failure {
    /// The exit status, as `--help` lists them.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Open(error) => match &error.reason {
                OpenRefusal::InUse { .. } => IN_USE,
                OpenRefusal::System { source, .. } => of_system(source),
                _ => DATA,
            },
            Self::Verify { error, .. } => match error {
                VerifyError::NoSuchZone { .. } => USAGE,
                VerifyError::Memory { .. } => SOFTWARE,
                VerifyError::Device(_) => SYSTEM,
                _ => DATA,
            },
            Self::Output(_) => SYSTEM,
        }
    }
}

fn of_system(source: &io::Error) -> u8 {
    match source.kind() {
        io::ErrorKind::NotFound => NO_INPUT,
        io::ErrorKind::PermissionDenied => NO_PERMISSION,
        _ => SYSTEM,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "{error}"),
            Self::Verify { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Output(error) => write!(f, "the report cannot be printed: {error}"),
        }
    }
}
