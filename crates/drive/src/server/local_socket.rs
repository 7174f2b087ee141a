//! The Unix socket: made for root alone, taken over from a process that died, removed at the end.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 32;

/// A listening Unix socket, whose file is removed when this is dropped.
pub struct LocalSocket {
    path: PathBuf,
}

/// Why there is no Unix socket.
#[derive(Debug)]
pub enum LocalSocketError {
    /// Another process listens there.
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// Something other than a socket stands there.
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// The operating system's error.
    System {
        /// Where.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl fmt::Display for LocalSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => {
                write!(f, "another process listens on the socket {}: stop it first", path.display())
            }
            Self::NotASocket { path } => {
                write!(f, "{} is no socket: remove it or give another path to --socket", path.display())
            }
            Self::System { path, source } => {
                write!(f, "the socket {} cannot be made: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for LocalSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl LocalSocket {
    /// Listens on `path`, for the owner of this process alone (mode 0600). A socket that a dead process left
    /// there is replaced.
    ///
    /// # Errors
    ///
    /// See [`LocalSocketError`].
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), LocalSocketError> {
        let system = |source| LocalSocketError::System { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => {
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return Err(LocalSocketError::InUse { path: path.to_owned() });
                }
                fs::remove_file(path).map_err(system)?;
            }
            Ok(_) => return Err(LocalSocketError::NotASocket { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system(error)),
        }
        let socket = UnixSocket::new_stream().map_err(system)?;
        socket.bind(path).map_err(system)?;
        let bound = Self { path: path.to_owned() };
        // Nobody can connect before `listen`, so that there is no moment at which others could.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(system)?;
        let listener = socket.listen(BACKLOG).map_err(system)?;
        Ok((bound, listener))
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // It may be gone already; there is nobody left to tell.
        let _ = fs::remove_file(&self.path);
    }
}
