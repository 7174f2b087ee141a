//! What can go wrong, each as one sentence that says what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::key::Key;
use crate::tls::Fingerprint;

/// One failure. `Display` is the whole sentence.
#[derive(Debug)]
pub(crate) enum Error {
    /// The arguments make no sense together.
    Usage(String),
    /// The node presented a certificate, and nobody said which one to expect.
    CertificateUnknown { node: String, presented: Fingerprint },
    /// The node presented another certificate than the one that was named.
    CertificateWrong { node: String, presented: Fingerprint, expected: Fingerprint },
    /// No answer came.
    Unreachable { url: String, reason: String },
    /// An answer came that is not what the API promises.
    Unexpected { url: String, reason: String },
    /// The API refused, and said why.
    Refused(String),
    /// There is no drive to talk to.
    NoDrives(String),
    /// No drive took a block.
    NotStored { key: Key, reasons: Vec<String> },
    /// No drive has the block.
    Absent { key: Key, asked: usize, not_asked: Vec<String> },
    /// The block is there, and no good copy of it could be read.
    Unreadable { key: Key, reasons: Vec<String> },
    /// The block is no manifest, or not one that this version reads.
    Manifest { key: Key, reason: String },
    /// An operation on a local file failed.
    Local { operation: &'static str, path: PathBuf, source: io::Error },
    /// A local file cannot be stored, or a local place cannot be written to.
    LocalRefused(String),
    /// What went wrong has been said line by line; this is the sum.
    Incomplete(String),
    /// Whoever read the output has gone.
    BrokenPipe,
}

impl Error {
    /// A failed `operation` ("read", "create", ...) on a local `path`.
    pub(crate) fn local(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Local { operation, path: path.to_owned(), source }
    }

    /// An output error: a closed pipe is quiet, everything else is told.
    pub(crate) fn output(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::Local { operation: "write", path: PathBuf::from("standard output"), source }
    }

    /// The exit status: 2 for wrong usage, 1 for the rest.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence)
            | Self::NoDrives(sentence)
            | Self::LocalRefused(sentence)
            | Self::Refused(sentence)
            | Self::Incomplete(sentence) => formatter.write_str(sentence),
            Self::CertificateUnknown { node, presented } => write!(
                formatter,
                "{node} presented a certificate that nothing here vouches for: if the fingerprint on the node's \
                 console is {presented}, pass --fingerprint {presented} (or set IMBREX_FINGERPRINT)"
            ),
            Self::CertificateWrong { node, presented, expected } => write!(
                formatter,
                "{node} presented the certificate {presented} where {expected} was expected: a node makes a new \
                 one at each boot, so compare with its console, and do not go on if that shows another one"
            ),
            Self::Unreachable { url, reason } => write!(
                formatter,
                "{url} did not answer ({reason}): check that the node is up and that the address is right"
            ),
            Self::Unexpected { url, reason } => write!(
                formatter,
                "{url} gave an answer that this version of imbrexctl does not understand ({reason})"
            ),

            Self::NotStored { key, reasons } => {
                write!(formatter, "no drive took the block {key}: {}", reasons.join("; "))
            }
            Self::Absent { key, asked, not_asked } => {
                match asked {
                    0 => write!(formatter, "no drive could be asked for the block {key}")?,
                    1 => write!(formatter, "the one drive that was asked does not hold the block {key}")?,
                    _ => {
                        write!(
                            formatter,
                            "none of the {asked} drives that were asked holds the block {key}"
                        )?;
                    }
                }
                if not_asked.is_empty() {
                    return Ok(());
                }
                write!(formatter, "; it may be on one that could not be asked: {}", not_asked.join("; "))
            }
            Self::Unreadable { key, reasons } => {
                write!(formatter, "no good copy of the block {key} could be read: {}", reasons.join("; "))
            }
            Self::Manifest { key, reason } => {
                write!(formatter, "the manifest {key} cannot be used: {reason}")
            }
            Self::Local { operation, path, source } => {
                write!(formatter, "cannot {operation} {}: {source}", path.display())
            }
            Self::BrokenPipe => formatter.write_str("the reader of the output has gone"),
        }
    }
}

impl std::error::Error for Error {}
