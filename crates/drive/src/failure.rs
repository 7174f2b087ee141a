//! Why the process ends without having served, each with a sentence and an exit status after `sysexits.h`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use imbrex_engine::EngineError;
use imbrex_zoned::OpenError;
use imbrex_zoned::error::OpenRefusal;

use crate::server::LocalSocketError;
use crate::size::size_text;

/// `EX_USAGE`: the command line is wrong.
pub const USAGE: u8 = 64;
const DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const SYSTEM: u8 = 71;
const CANNOT_CREATE: u8 = 73;
const DEVICE: u8 = imbrex_api::drive::EXIT_DEVICE_FAILED;
const IN_USE: u8 = 75;
const NO_PERMISSION: u8 = 77;

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// The drive was not opened.
    Open(OpenError),
    /// There is no such file, and no size to make one of.
    NoSize {
        /// The file.
        path: PathBuf,
    },
    /// There is no directory to make the file in.
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A size or zone size that makes no drive.
    Geometry {
        /// What is wrong with it.
        sentence: String,
    },
    /// The file holds a drive of another shape than the one asked for.
    OtherSize {
        /// The file.
        path: PathBuf,
        /// `drive` or `zones`.
        what: &'static str,
        /// The size asked for, in bytes.
        asked_bytes: u64,
        /// The size that the file has, in bytes.
        found_bytes: u64,
    },
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The Unix socket cannot be listened on.
    Socket(LocalSocketError),
    /// A new simulated drive could not be formatted.
    Format(EngineError),
    /// The drive did not finish in time when it was stopped.
    Unfinished,
    /// The operating system refused something else.
    System {
        /// What was being done.
        operation: &'static str,
        /// The error.
        source: io::Error,
    },
}

impl Failure {
    /// The exit status, as `--help` lists them.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Open(error) => match &error.reason {
                OpenRefusal::NotABlockDevice
                | OpenRefusal::NotHostManaged { .. }
                | OpenRefusal::Partitioned { .. }
                | OpenRefusal::Unsupported { .. }
                | OpenRefusal::NotASimulatedDrive { .. } => DATA,
                OpenRefusal::InUse { .. } => IN_USE,
                OpenRefusal::System { source, .. } => match status_of(source) {
                    SYSTEM => DEVICE,
                    status => status,
                },
            },
            Self::NoSize { .. } | Self::Geometry { .. } => USAGE,
            Self::NoDirectory { .. } => NO_INPUT,
            Self::OtherSize { .. } => DATA,
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => NO_PERMISSION,
                _ => UNAVAILABLE,
            },
            Self::Socket(LocalSocketError::InUse { .. }) => IN_USE,
            Self::Socket(LocalSocketError::NotASocket { .. }) | Self::Format(_) => CANNOT_CREATE,
            Self::Socket(LocalSocketError::System { source, .. }) | Self::System { source, .. } => {
                status_of(source)
            }
            Self::Unfinished => SOFTWARE,
        }
    }
}

/// The status for an error of the operating system.
fn status_of(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NO_INPUT,
        io::ErrorKind::PermissionDenied => NO_PERMISSION,
        io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::FileTooLarge => {
            CANNOT_CREATE
        }
        io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => IN_USE,
        _ => SYSTEM,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "{error}"),
            Self::NoSize { path } => write!(
                f,
                "there is no {}: give --size, for example --size 4GiB, to have a simulated drive made there",
                path.display()
            ),
            Self::NoDirectory { path } => {
                write!(f, "there is no directory {}: create it first", path.display())
            }
            Self::Geometry { sentence } => write!(f, "no such drive can be made: {sentence}"),
            Self::OtherSize { path, what, asked_bytes, found_bytes } => write!(
                f,
                "{} holds a simulated drive whose {what} {} {}, and {} {} asked for: leave the size away or give \
                 another file",
                path.display(),
                if *what == "zones" { "have" } else { "has" },
                size_text(*found_bytes),
                size_text(*asked_bytes),
                if *asked_bytes == 1 { "was" } else { "were" },
            ),
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "another process listens on {address}: stop it, or give another address with --listen"
            ),
            Self::Listen { address, source } => write!(f, "{address} cannot be listened on: {source}"),
            Self::Socket(error) => write!(f, "{error}"),
            Self::Format(error) => write!(f, "{error}"),
            Self::Unfinished => write!(
                f,
                "the drive did not finish in time: what was acknowledged is durable, the rest may be lost"
            ),
            Self::System { operation, source } => write!(f, "{operation} failed: {source}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::Socket(error) => Some(error),
            Self::Format(error) => Some(error),
            Self::Listen { source, .. } | Self::System { source, .. } => Some(source),
            Self::NoSize { .. }
            | Self::NoDirectory { .. }
            | Self::Geometry { .. }
            | Self::OtherSize { .. }
            | Self::Unfinished => None,
        }
    }
}
