//! A response body that says when the answer is out, or given up.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::phase::Phase;

/// Sets the connection's phase back to idle when dropped.
pub(super) struct InFlight(Phase);

impl InFlight {
    /// A request of the connection with this phase begins.
    pub(super) fn begin(phase: &Phase) -> Self {
        phase.busy();
        Self(phase.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.idle();
    }
}

/// The body of an answer, and the request that it belongs to.
pub(super) struct AnswerBody {
    pub(super) body: Body,
    pub(super) _in_flight: InFlight,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
