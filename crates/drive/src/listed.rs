//! Long answers: listings of blocks, of zones, of damage.
//!
//! Invariants:
//!
//! * Each has room in the process's memory before the engine is asked for what it lists, and until its last piece has gone
//!   to the connection: however many clients ask and do not read, no more is taken than [`Limits::listings_bytes_max`], or
//!   than one listing where that is larger.
//! * What is kept is what the engine gave. The text, several times as long, is made piece by piece as the client takes it. It
//!   is as long as its `Content-Length` says: it was made once before, to be counted.
//!
//! [`Limits::listings_bytes_max`]: crate::limits::Limits::listings_bytes_max

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::problem::Refusal;

/// How many entries one piece of the text has: some 16 KiB.
const PIECE_ENTRIES: usize = 128;

/// The room of a listing, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct ListingRoom(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

impl ListingRoom {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(permit)
    }
}

/// A listing as JSON, on its way to a client.
struct Listed<T, F> {
    before: Bytes,
    entries: std::iter::Peekable<std::vec::IntoIter<T>>,
    text_of: F,
    after: Bytes,
    left_bytes: u64,
    _room: ListingRoom,
}

/// Answers with `entries`, each as `text_of` gives it, in the place of the empty list that `around` has.
///
/// # Errors
///
/// Where an entry cannot be written as JSON, which would be a defect of this program.
pub(crate) fn listed<T, U, F>(
    around: &impl Serialize,
    entries: Vec<T>,
    text_of: F,
    room: ListingRoom,
) -> Result<Response, Refusal>
where
    T: Send + Unpin + 'static,
    U: Serialize,
    F: Fn(&T) -> U + Send + Unpin + 'static,
{
    let around = serde_json::to_string(around).map_err(|error| defect(&error.to_string()))?;
    let (before, after) = around.split_once("[]").ok_or_else(|| defect("no list is in it"))?;
    let mut length_bytes = around.len() as u64 - 2;
    let mut text = Vec::new();
    for piece in entries.chunks(PIECE_ENTRIES) {
        text.clear();
        write(&mut text, piece.iter(), &text_of).map_err(|error| defect(&error.to_string()))?;
        // The comma before the piece, or the bracket.
        length_bytes += text.len() as u64 + 1;
    }
    // The bracket behind the last, and where there is none, the one before too.
    length_bytes += if entries.is_empty() { 2 } else { 1 };
    let body = Listed {
        before: Bytes::from(format!("{before}[")),
        entries: entries.into_iter().peekable(),
        text_of,
        after: Bytes::from(format!("]{after}")),
        left_bytes: length_bytes,
        _room: room,
    };
    Ok(([(CONTENT_TYPE, "application/json")], Body::new(body)).into_response())
}

fn defect(what: &str) -> Refusal {
    let title = "The listing cannot be written";
    Refusal::new("internal", axum::http::StatusCode::INTERNAL_SERVER_ERROR, title, what)
}

/// Writes entries with commas between them.
fn write<'a, T: 'a, U: Serialize>(
    text: &mut Vec<u8>,
    entries: impl Iterator<Item = &'a T>,
    text_of: impl Fn(&T) -> U,
) -> Result<(), serde_json::Error> {
    for (nth, entry) in entries.enumerate() {
        if nth > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut *text, &text_of(entry))?;
    }
    Ok(())
}

impl<T, U, F> http_body::Body for Listed<T, F>
where
    T: Send + Unpin + 'static,
    U: Serialize,
    F: Fn(&T) -> U + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let bytes = if !this.before.is_empty() {
            std::mem::take(&mut this.before)
        } else if this.entries.peek().is_some() {
            let piece: Vec<T> = this.entries.by_ref().take(PIECE_ENTRIES).collect();
            let mut text = Vec::new();
            // It could be written when it was counted.
            let _ = write(&mut text, piece.iter(), &this.text_of);
            if this.entries.peek().is_some() {
                text.push(b',');
            }
            Bytes::from(text)
        } else {
            std::mem::take(&mut this.after)
        };
        if bytes.is_empty() {
            return Poll::Ready(None);
        }
        this.left_bytes = this.left_bytes.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use imbrex_api::drive::{ListPage, ListedBlock};
    use tokio::sync::Semaphore;

    use super::*;

    fn block(number: &u32) -> ListedBlock {
        ListedBlock {
            key: format!("{number:064x}"),
            payload_bytes: *number,
            zone: 7,
            zone_offset_bytes: u64::from(*number) * 4096,
        }
    }

    #[tokio::test]
    async fn the_text_is_that_of_the_whole_and_its_length_and_room_are_exact() {
        for (count, cursor) in
            [(0, None), (1, None), (127, Some("[]")), (128, None), (129, Some("x")), (1000, None)]
        {
            let numbers: Vec<u32> = (0..count).collect();
            let next_cursor = cursor.map(str::to_owned);
            let whole =
                ListPage { blocks: numbers.iter().map(block).collect(), next_cursor: next_cursor.clone() };
            let around = ListPage { blocks: Vec::new(), next_cursor };
            let room = Arc::new(Semaphore::new(5));
            let permit = Arc::clone(&room).try_acquire_many_owned(5).unwrap();
            let response = listed(&around, numbers, block, ListingRoom::new(permit)).unwrap();
            let mut body = response.into_body();
            let told_bytes = http_body::Body::size_hint(&body).exact();
            let mut text = Vec::new();
            while let Some(frame) = body.frame().await {
                assert_eq!(room.available_permits(), 0, "while it is on its way");
                text.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            drop(body);
            assert_eq!(String::from_utf8(text.clone()).unwrap(), serde_json::to_string(&whole).unwrap());
            assert_eq!(told_bytes, Some(text.len() as u64), "of {count}");
            assert_eq!(room.available_permits(), 5);
        }
    }
}
