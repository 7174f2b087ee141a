//! Questions and orders to a drive's process, on its Unix socket.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use imbrex_api::drive::{DriveStats, DriveStatus, FormatOrder, QuietOrder, ScrubStatus};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::http_client::{self, Answer};

/// Formatting resets every zone: seconds on a large drive, more on a slow one.
const FORMAT_DEADLINE: Duration = Duration::from_secs(120);

/// An answer may be this long, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why a drive's process gave no answer.
#[derive(Debug)]
pub(crate) enum DriveCallError {
    /// Nothing listens on its socket.
    NotListening {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It did not answer in time.
    Late {
        /// The socket.
        socket: PathBuf,
        /// How long was waited.
        deadline: Duration,
    },
    /// The connection broke, or the answer is not what was agreed.
    Answer {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for DriveCallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListening { socket, source } => {
                write!(formatter, "nothing listens on {}: {source}", socket.display())
            }
            Self::Late { socket, deadline } => {
                write!(
                    formatter,
                    "its process did not answer on {} within {} ms",
                    socket.display(),
                    deadline.as_millis()
                )
            }
            Self::Answer { socket, reason } => {
                write!(formatter, "its process's answer on {} cannot be used: {reason}", socket.display())
            }
        }
    }
}

impl std::error::Error for DriveCallError {}

/// The status of the drive whose process listens on `socket`.
///
/// # Errors
///
/// No answer within `deadline`, or one that cannot be read.
pub(crate) async fn status(socket: &Path, deadline: Duration) -> Result<DriveStatus, DriveCallError> {
    get(socket, "/v1/drive", deadline).await
}

/// What the drive's process has done since it started.
///
/// # Errors
///
/// No answer within `deadline`, or one that cannot be read.
pub(crate) async fn stats(socket: &Path, deadline: Duration) -> Result<DriveStats, DriveCallError> {
    get(socket, "/v1/stats", deadline).await
}

/// How far the drive's scrub is. Its engine answers between two requests, not from memory.
///
/// # Errors
///
/// No answer within `deadline`, or one that cannot be read; so also of a drive that is not mounted.
pub(crate) async fn scrub(socket: &Path, deadline: Duration) -> Result<ScrubStatus, DriveCallError> {
    get(socket, "/v1/scrub", deadline).await
}

async fn get<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    deadline: Duration,
) -> Result<T, DriveCallError> {
    let request = Request::get(path).header(HOST, "localhost").body(Full::new(Bytes::new()));
    let answer = call(socket, request, deadline).await?;
    if answer.status != StatusCode::OK {
        return Err(bad(socket, &format_args!("it answered {path} with {}", answer.status)));
    }
    serde_json::from_slice(&answer.body).map_err(|error| bad(socket, &error))
}

/// What a drive's engine says to a quiet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// It holds its own work back.
    Granted,
    /// Not now: try again after this.
    Refused(Duration),
    /// There is no engine that could grant it: nothing is to be waited for.
    NoEngine,
}

/// Asks for a quiet time of `for_ms` milliseconds; 0 ends it. The engine answers from memory: one that does not within
/// `deadline` is none.
pub(crate) async fn quiet(socket: &Path, for_ms: u64, deadline: Duration) -> Quiet {
    let Ok(body) = serde_json::to_vec(&QuietOrder { for_ms }) else { return Quiet::NoEngine };
    let request = Request::post("/v1/quiet")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)));
    match call(socket, request, deadline).await {
        Ok(answer) if answer.status == StatusCode::OK => Quiet::Granted,
        Ok(answer) => {
            answer.retry_after_s.map_or(Quiet::NoEngine, |wait_s| Quiet::Refused(Duration::from_secs(wait_s)))
        }
        Err(_) => Quiet::NoEngine,
    }
}

/// Gives the drive whose process listens on `socket` the order to format, and its answer back as it is: the
/// drive itself makes the final check.
///
/// # Errors
///
/// No answer within [`FORMAT_DEADLINE`], or a broken one. The drive may or may not have been formatted.
pub(crate) async fn format(socket: &Path, order: &FormatOrder) -> Result<Answer, DriveCallError> {
    let body = serde_json::to_vec(order).map_err(|error| bad(socket, &error))?;
    let request = Request::post("/v1/format")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)));
    call(socket, request, FORMAT_DEADLINE).await
}

async fn call(
    socket: &Path,
    request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    deadline: Duration,
) -> Result<Answer, DriveCallError> {
    let request = request.map_err(|error| bad(socket, &error))?;
    let conversation = async {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|source| DriveCallError::NotListening { socket: socket.to_owned(), source })?;
        http_client::exchange(stream, request, ANSWER_BYTES_MAX).await.map_err(|error| bad(socket, &error))
    };
    tokio::time::timeout(deadline, conversation)
        .await
        .map_err(|_| DriveCallError::Late { socket: socket.to_owned(), deadline })?
}

fn bad(socket: &Path, reason: &dyn fmt::Display) -> DriveCallError {
    DriveCallError::Answer { socket: socket.to_owned(), reason: reason.to_string() }
}
