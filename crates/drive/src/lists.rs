//! Answers that list: blocks, zones, damage. There is room for so much of them, taken at start, and one that finds none
//! waits for it a bounded time.
//!
//! What the engine gave is kept as it is until its client has taken it, and is turned into JSON a piece at a time: a client
//! that reads slowly costs the room of its list, and not the text of it besides.
//!
//! Invariants:
//!
//! * Whoever reads slowly keeps room from nobody but those who ask over the same listener for the same kind of list: there
//!   is room for blocks, and room for what the drive is like; and the Unix socket has its own, which both kinds share.
//! * What keeps nothing of a list for its client, and so never waits for one, has room that no client can hold.

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
use imbrex_engine::{BlockEntry, DAMAGE_LISTED_MAX, Damage, ZoneStatus};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::Limits;
use crate::problem::Refusal;
use crate::routes::{Origin, PAGE_BLOCKS_MAX};

/// How large a piece of text is at least, save the last, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Blocks: read from the disk.
    Blocks,
    /// Zones or damage: known without the disk.
    State,
    /// Zones, of which one is looked up before the answer begins: nothing of the list is kept for the client.
    Lookup,
}

/// The keeper of the room for lists.
pub(crate) struct Lists {
    blocks: Space,
    state: Space,
    lookup: Space,
    local: Space,
    waiting_time_max: Duration,
}

/// One of the rooms.
struct Space {
    /// In KiB. Its queue is first come, first served, and no longer than there are connections.
    free: Arc<Semaphore>,
    bytes: usize,
}

impl Space {
    fn new(bytes: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(kib(bytes) as usize)), bytes }
    }
}

/// Room for one list, until it is dropped.
pub(crate) struct Room(OwnedSemaphorePermit);

impl Room {
    /// Gives back what is not needed, now that the list is there and has memory for `count` entries of the type `T`.
    pub(crate) fn shrink<T>(&mut self, count: usize) {
        let needed = kib(list_bytes::<T>(count)) as usize;
        // What is split off is given back by being dropped.
        drop(self.0.split(self.0.num_permits().saturating_sub(needed)));
    }
}

impl Lists {
    /// Room for the lists of a drive with `zone_count` zones.
    pub(crate) fn new(zone_count: u32, limits: &Limits) -> Self {
        Self {
            blocks: Space::new(limits.lists_bytes),
            state: Space::new(state_bytes(zone_count)),
            lookup: Space::new(lookup_bytes(zone_count)),
            local: Space::new(local_bytes(zone_count)),
            waiting_time_max: limits.waiting_time_max,
        }
    }

    /// Room for `count` entries of the type `T`, and the piece of text that is being made of them, for a request that came
    /// over `origin`.
    ///
    /// # Errors
    ///
    /// 503 where none comes free in time.
    pub(crate) async fn room<T>(&self, origin: Origin, topic: Topic, count: usize) -> Result<Room, Refusal> {
        let space = match (topic, origin) {
            (_, Origin::Local) => &self.local,
            (Topic::Blocks, Origin::Network) => &self.blocks,
            (Topic::State, Origin::Network) => &self.state,
            (Topic::Lookup, Origin::Network) => &self.lookup,
        };
        // However long the list, all the room is enough for it.
        let bytes = list_bytes::<T>(count).min(space.bytes);
        let permit =
            timeout(self.waiting_time_max, Arc::clone(&space.free).acquire_many_owned(kib(bytes))).await;
        match permit {
            Ok(Ok(permit)) => Ok(Room(permit)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => {
                Err(Refusal::overloaded("the room for lists is in use and none came free in time: try again"))
            }
        }
    }
}

/// What a list of `count` entries takes, in bytes. A piece that is being made may be half empty.
const fn list_bytes<T>(count: usize) -> usize {
    count * size_of::<T>() + 2 * PIECE_BYTES
}

/// Room for all zones and all damage at once, in bytes.
const fn state_bytes(zone_count: u32) -> usize {
    lookup_bytes(zone_count) + list_bytes::<Damage>(DAMAGE_LISTED_MAX)
}

/// Room for all zones, in bytes.
const fn lookup_bytes(zone_count: u32) -> usize {
    list_bytes::<ZoneStatus>(zone_count as usize)
}

/// Room for one list of each kind, in bytes.
const fn local_bytes(zone_count: u32) -> usize {
    state_bytes(zone_count) + list_bytes::<BlockEntry>(PAGE_BLOCKS_MAX)
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).max(1)
}

impl Limits {
    /// The memory that all lists on their way to clients may take together, in bytes.
    #[must_use]
    pub fn lists_bytes_max(&self, zone_count: u32) -> usize {
        let rooms =
            [self.lists_bytes, state_bytes(zone_count), lookup_bytes(zone_count), local_bytes(zone_count)];
        rooms.iter().map(|bytes| bytes.next_multiple_of(1 << 10)).sum()
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

    async fn blocks<T>(lists: &Lists, count: usize) -> Result<Room, Refusal> {
        lists.room::<T>(Origin::Network, Topic::Blocks, count).await
    }

    #[tokio::test]
    async fn a_list_in_pieces_is_the_text_of_the_whole() {
        let lists = lists(1 << 20);
        for count in [0_u32, 1, 2, 1_000] {
            let block = |zone| ListedBlock { key: "[]".repeat(32), zone, ..ListedBlock::default() };
            let mut page = ListPage { blocks: Vec::new(), next_cursor: Some("a]b[".into()) };
            let room = blocks::<u64>(&lists, 1).await.unwrap();
            let answer = list_answer(&page, (0..count).map(block), room);
            let text = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            page.blocks = (0..count).map(block).collect();
            assert_eq!(text, serde_json::to_vec(&page).unwrap());
        }
    }

    #[tokio::test]
    async fn room_that_is_in_use_is_waited_for_and_the_rest_is_refused() {
        let lists = lists(64 << 10);
        let room = blocks::<u64>(&lists, 8_192).await.unwrap();
        assert!(blocks::<u8>(&lists, 1).await.is_err());
        let answer = list_answer(&ListPage::default(), std::iter::empty::<u8>(), room);
        assert!(blocks::<u8>(&lists, 1).await.is_err());
        drop(answer);
        // More than there is room for takes all of it.
        let room = blocks::<u64>(&lists, 100_000).await.unwrap();
        assert!(blocks::<u8>(&lists, 1).await.is_err());
        drop(room);
        assert!(blocks::<u8>(&lists, 1).await.is_ok());
    }

    #[tokio::test]
    async fn each_kind_of_list_and_the_unix_socket_have_room_of_their_own() {
        let lists = lists(64 << 10);
        let all = usize::MAX / 1_000;
        let kinds = [
            (Origin::Network, Topic::Blocks),
            (Origin::Network, Topic::State),
            (Origin::Network, Topic::Lookup),
            (Origin::Local, Topic::Blocks),
        ];
        let mut taken = Vec::new();
        for (origin, topic) in kinds {
            taken.push(lists.room::<u8>(origin, topic, all).await.unwrap());
            assert!(lists.room::<u8>(origin, topic, 1).await.is_err());
        }
        assert!(lists.room::<u8>(Origin::Local, Topic::State, 1).await.is_err());
        let taken_kib: usize = taken.iter().map(|room| room.0.num_permits()).sum();
        let limits = Limits { lists_bytes: 64 << 10, ..Limits::default() };
        assert_eq!(taken_kib << 10, limits.lists_bytes_max(0), "what is taken is what is printed");
    }

    #[tokio::test]
    async fn a_list_that_is_shorter_than_its_room_leaves_the_rest_to_others() {
        let lists = lists(64 << 10);
        let mut room = blocks::<u64>(&lists, 100_000).await.unwrap();
        room.shrink::<u64>(0);
        assert!(blocks::<u8>(&lists, 0).await.is_ok());
        // What has no more than it needs keeps that.
        room.shrink::<u64>(100_000);
        assert!(blocks::<u8>(&lists, 8_192).await.is_err());
    }
}
