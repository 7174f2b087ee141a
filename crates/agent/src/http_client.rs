//! One HTTP/1.1 request over one connection, with a bound on what comes back.

use std::fmt;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of an answer's head that are buffered at most.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The media type of the body.
    pub(crate) content_type: Option<HeaderValue>,
    /// How long to wait before trying again, in seconds, where it says so.
    pub(crate) retry_after_s: Option<u64>,
    /// The whole body.
    pub(crate) body: Bytes,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The connection broke, or the other end does not speak HTTP.
    Connection(hyper::Error),
    /// The body is longer than the caller allows.
    TooLong {
        /// What the caller allows, in bytes.
        body_bytes_max: usize,
    },
    /// The body broke off.
    Body(String),
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(formatter, "the HTTP exchange failed: {error}"),
            Self::TooLong { body_bytes_max } => {
                write!(formatter, "the answer is longer than {body_bytes_max} bytes")
            }
            Self::Body(reason) => write!(formatter, "the answer broke off: {reason}"),
        }
    }
}

impl std::error::Error for ExchangeError {}

/// Sends `request` on `stream` and collects the answer, at most `body_bytes_max` bytes of body.
///
/// The caller sets the deadline. Dropping the future closes the connection: nothing is left behind.
///
/// # Errors
///
/// The connection broke, or the body is too long.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ExchangeError::Connection)?;
    let conversation = async move {
        let response = sender.send_request(request).await.map_err(ExchangeError::Connection)?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|text| text.parse().ok());
        let body = Limited::new(response.into_body(), body_bytes_max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ExchangeError::TooLong { body_bytes_max }
            } else {
                ExchangeError::Body(error.to_string())
            }
        })?;
        Ok(Answer { status, content_type, retry_after_s, body: body.to_bytes() })
    };
    tokio::pin!(connection, conversation);
    // The connection has to be driven for the conversation to advance. It may end first (the server
    // closes after its last byte), while the body still waits to be collected. How it ended is of no
    // interest: where that matters, the conversation fails.
    tokio::select! {
        answer = &mut conversation => answer,
        _ = &mut connection => conversation.await,
    }
}
