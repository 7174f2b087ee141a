//! Answers that list: blocks, zones, damage. There is room for so much of them, taken at start, and one that finds none
//! waits for it a bounded time.
//!
//! What the engine gave is kept as it is until its client has taken it, and is turned into JSON a piece at a time: a client
//! that reads slowly costs the room of its list, and not the text of it besides.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use imbrex_engine::ZoneStatus;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::Limits;
use crate::problem::Refusal;

/// How large a piece of text is at least, save the last, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// The keeper of the room for lists.
pub(crate) struct Lists {
    /// In KiB. Its queue is first come, first served, and no longer than there are connections.
    room: Arc<Semaphore>,
    room_bytes: usize,
    waiting_time_max: Duration,
}

/// Room for one list, until it is dropped.
pub(crate) struct Room(
    #[expect(dead_code, reason = "it is given back by being dropped")] OwnedSemaphorePermit,
);

impl Lists {
    /// Room for the lists of a drive with `zone_count` zones.
    pub(crate) fn new(zone_count: u32, limits: &Limits) -> Self {
        let room_bytes = limits.lists_bytes_max(zone_count);
        Self {
            room: Arc::new(Semaphore::new(kib(room_bytes) as usize)),
            room_bytes,
            waiting_time_max: limits.waiting_time_max,
        }
    }

    /// Room for `count` entries of the type `T`, and the piece of text that is being made of them.
    ///
    /// # Errors
    ///
    /// 503 where none comes free in time.
    pub(crate) async fn room<T>(&self, count: usize) -> Result<Room, Refusal> {
        // However long the list, all the room is enough for it. A piece that is being made may be half empty.
        let bytes = (count * size_of::<T>() + 2 * PIECE_BYTES).min(self.room_bytes);
        let permit =
            timeout(self.waiting_time_max, Arc::clone(&self.room).acquire_many_owned(kib(bytes))).await;
        match permit {
            Ok(Ok(permit)) => Ok(Room(permit)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => {
                Err(Refusal::overloaded("the room for lists is in use and none came free in time: try again"))
            }
        }
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).max(1)
}

impl Limits {
    /// The memory that all lists on their way to clients may take together, in bytes.
    #[must_use]
    pub fn lists_bytes_max(&self, zone_count: u32) -> usize {
        (self.lists_bytes + zone_count as usize * size_of::<ZoneStatus>()).next_multiple_of(1 << 10)
    }
}

/// The answer 200 with the text of `envelope`, whose first list is empty and becomes that of all `items`.
pub(crate) fn list_answer<I>(envelope: &impl Serialize, items: I, room: Room) -> Response
where
    I: Iterator<Item: Serialize> + Send + Unpin + 'static,
{
    let text = serde_json::to_string(envelope).unwrap_or_default();
    let (head, tail) = text.split_once("[]").unwrap_or((&text, ""));
    let body = ListBody {
        text: format!("{head}[").into_bytes(),
        items,
        tail: Some(format!("]{tail}")),
        is_first: true,
        _room: room,
    };
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A list on its way to a client.
struct ListBody<I> {
    /// What has not been handed on yet.
    text: Vec<u8>,
    items: I,
    /// What comes after the last item; `None` once it has been written.
    tail: Option<String>,
    is_first: bool,
    _room: Room,
}

impl<I> http_body::Body for ListBody<I>
where
    I: Iterator<Item: Serialize> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        while this.tail.is_some() && this.text.len() < PIECE_BYTES {
            match this.items.next() {
                Some(item) => {
                    if !std::mem::take(&mut this.is_first) {
                        this.text.push(b',');
                    }
                    // The types of the API are all names and numbers: none of them can fail to be written.
                    let _ = serde_json::to_writer(&mut this.text, &item);
                }
                None => this.text.extend(this.tail.take().unwrap_or_default().into_bytes()),
            }
        }
        let text = std::mem::take(&mut this.text);
        Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.tail.is_none() && self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use imbrex_api::drive::{ListPage, ListedBlock};

    use super::*;

    fn lists(lists_bytes: usize) -> Lists {
        let waiting_time_max = Duration::from_millis(20);
        Lists::new(0, &Limits { lists_bytes, waiting_time_max, ..Limits::default() })
    }

    #[tokio::test]
    async fn a_list_in_pieces_is_the_text_of_the_whole() {
        let lists = lists(1 << 20);
        for count in [0_u32, 1, 2, 1_000] {
            let block = |zone| ListedBlock { key: "[]".repeat(32), zone, ..ListedBlock::default() };
            let mut page = ListPage { blocks: Vec::new(), next_cursor: Some("a]b[".into()) };
            let room = lists.room::<u64>(1).await.unwrap();
            let answer = list_answer(&page, (0..count).map(block), room);
            let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            page.blocks = (0..count).map(block).collect();
            assert_eq!(text, serde_json::to_vec(&page).unwrap());
        }
    }

    #[tokio::test]
    async fn room_that_is_in_use_is_waited_for_and_the_rest_is_refused() {
        let lists = lists(64 << 10);
        let room = lists.room::<u64>(8_192).await.unwrap();
        assert!(lists.room::<u8>(1).await.is_err());
        let answer = list_answer(&ListPage::default(), std::iter::empty::<u8>(), room);
        assert!(lists.room::<u8>(1).await.is_err());
        drop(answer);
        // More than there is room for takes all of it.
        let room = lists.room::<u64>(100_000).await.unwrap();
        assert!(lists.room::<u8>(1).await.is_err());
        drop(room);
        assert!(lists.room::<u8>(1).await.is_ok());
    }
}
