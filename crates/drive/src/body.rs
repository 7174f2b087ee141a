//! The two bodies: an upload that streams into its buffer, and a download out of one.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use imbrex_engine::Block;
use imbrex_format::PayloadWriter;
use imbrex_zoned::Buffer;
use tokio::time::{Instant, timeout_at};

use crate::admission::Download;
use crate::digest::Running;
use crate::limits::Limits;

/// The size of the slices in which a block is handed to the connection.
const SLICE_BYTES: usize = 256 << 10;

/// Why an upload was not taken in.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The body ended early, or the connection broke.
    Short {
        /// What came, in bytes.
        received_bytes: usize,
    },
    /// Nothing came for too long.
    Stalled {
        /// What came, in bytes.
        received_bytes: usize,
        /// How long nothing came.
        stall_time: Duration,
    },
    /// The body is longer than its length.
    Long,
    /// A digest differs.
    Digest {
        /// One sentence that names it.
        detail: String,
    },
}

/// Reads `body` into `buffer`, each byte copied once, its checksums computed as it fills.
pub(crate) async fn receive(
    mut body: Body,
    buffer: &mut Buffer,
    payload_bytes: usize,
    mut digests: Running,
    limits: &Limits,
) -> Result<(), UploadError> {
    let mut writer = PayloadWriter::new(payload_bytes);
    let mut received_bytes = 0;
    let mut mark_bytes = 0;
    let mut deadline = Instant::now() + limits.stall_time_max;
    loop {
        let frame = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| UploadError::Stalled { received_bytes, stall_time: limits.stall_time_max })?;
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(UploadError::Short { received_bytes }),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_trailers) => continue,
            },
        };
        received_bytes += data.len();
        writer.write(buffer, &data).map_err(|_| UploadError::Long)?;
        digests.update(&data);
        if received_bytes - mark_bytes >= limits.progress_bytes_min {
            mark_bytes = received_bytes;
            deadline = Instant::now() + limits.stall_time_max;
        }
    }
    writer.finish(buffer).map_err(|_| UploadError::Short { received_bytes })?;
    digests.finish().map_err(|detail| UploadError::Digest { detail })
}

/// A block on its way to a client. Its buffer goes back when the last slice has been sent, or is given up.
pub(crate) struct BlockBody {
    bytes: Bytes,
}

/// A block that is counted as long as it lives.
struct Counted {
    block: Block,
    _download: Download,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.block.as_ref()
    }
}

impl BlockBody {
    /// All of `block`.
    pub(crate) fn new(block: Block, download: Download) -> Self {
        Self { bytes: Bytes::from_owner(Counted { block, _download: download }) }
    }
}

impl http_body::Body for BlockBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let slice_bytes = self.bytes.len().min(SLICE_BYTES);
        let slice = self.bytes.split_to(slice_bytes);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// `Content-Range` of the part `range` of a block of `payload_bytes` bytes. The part is not empty.
pub(crate) fn content_range(range: &Range<u64>, payload_bytes: u32) -> String {
    format!("bytes {}-{}/{payload_bytes}", range.start, range.end - 1)
}
