//! What the handle sends to the engine's thread.

use std::sync::Arc;

use imbrex_format::Key;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::request::{
    Block, BlockHead, Class, Cursor, Damage, EngineError, FormatOrder, Page, PutOutcome, PutRequest,
    RangeRequest, ScrubStatus, Status, ZoneStatus,
};

/// Where an answer goes. Whoever asked may have gone; the request's place among those that the engine takes is held
/// until the engine is done with it all the same.
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<Result<T, EngineError>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T> Reply<T> {
    /// A reply and the place where its answer arrives.
    pub(crate) fn new(
        permit: Option<OwnedSemaphorePermit>,
    ) -> (Self, oneshot::Receiver<Result<T, EngineError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, _permit: permit }, receiver)
    }

    /// Answers.
    pub(crate) fn send(self, answer: Result<T, EngineError>) {
        // An answer that nobody awaits any more is dropped, with the buffers that it holds.
        let _ = self.sender.send(answer);
    }

    /// Answers, and gives a reply that somebody seems to await still: for a deliberate defect.
    pub(crate) fn answered_early(self) -> Self
    where
        T: Default,
    {
        self.send(Ok(T::default()));
        let (sender, receiver) = oneshot::channel();
        std::mem::forget(receiver);
        Self { sender, _permit: None }
    }

    /// Whether nobody awaits the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Which blocks a listing is to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListRequest {
    pub(crate) cursor: Cursor,
    /// Only this zone.
    pub(crate) zone: Option<u32>,
    pub(crate) limit: usize,
    pub(crate) class: Class,
}

/// One request.
pub(crate) enum Command {
    Put(PutRequest, Reply<PutOutcome>),
    Get(Key, RangeRequest, Class, Reply<Block>),
    Head(Key, Class, Reply<BlockHead>),
    Delete(Key, Class, Reply<()>),
    List(ListRequest, Reply<Page>),
    Zones(Reply<Vec<ZoneStatus>>),
    Damage(Reply<Vec<Damage>>),
    /// How far the scrub is; where `true`, a pass over everything begins first.
    Scrub(bool, Reply<ScrubStatus>),
    /// The engine's own work is held for so long, in microseconds; the answer is for how long it is.
    Quiet(u64, Reply<u64>),
    Format(FormatOrder, Reply<Arc<Status>>),
    Stop(Reply<()>),
}

impl Command {
    /// Refuses the request.
    pub(crate) fn refuse(self, error: EngineError) {
        match self {
            Self::Put(_, reply) => reply.send(Err(error)),
            Self::Get(_, _, _, reply) => reply.send(Err(error)),
            Self::Head(_, _, reply) => reply.send(Err(error)),
            Self::Delete(_, _, reply) => reply.send(Err(error)),
            Self::Scrub(_, reply) => reply.send(Err(error)),
            Self::Quiet(_, reply) => reply.send(Err(error)),
            Self::List(_, reply) => reply.send(Err(error)),
            Self::Zones(reply) => reply.send(Err(error)),
            Self::Damage(reply) => reply.send(Err(error)),
            Self::Format(_, reply) => reply.send(Err(error)),
            Self::Stop(reply) => reply.send(Err(error)),
        }
    }
}
