//! An engine on a thread of its own, and the handle by which others reach it.
//!
//! The queue to the engine is bounded: where it is full, the request is refused at once and nothing waits. A request
//! counts until it has been answered, wherever it is on its way.

use std::io;
use std::sync::Arc;

use imbrex_format::Key;
use imbrex_zoned::{BufferPool, Device, DeviceError, Geometry, Identity, Waker};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock, SystemClock};
use crate::command::{Command, ListRequest, Reply};
use crate::engine::Engine;
use crate::options::Options;
use crate::publish::Published;
use crate::request::{
    Block, BlockHead, Class, Cursor, Damage, EngineError, FormatOrder, Page, PutOutcome, PutRequest,
    RangeRequest, ScrubStatus, State, Stats, Status, ZoneStatus,
};
use crate::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use crate::sync::thread;

/// The most blocks that one page of a listing has.
pub const LIST_LIMIT_MAX: usize = 10_000;

/// How many orders to stop can wait at once.
const STOPS_MAX: usize = 8;

/// Reaches an engine from any thread. Cloning is cheap. When the last handle is dropped the engine stops as after
/// [`Handle::stop`].
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    geometry: Geometry,
    pool: BufferPool,
    waker: Waker,
    published: Arc<Published>,
    commands: SyncSender<Command>,
    /// One permit for each request that the engine takes.
    permits: Arc<Semaphore>,
}

impl Handle {
    /// Starts an engine on `device`: a thread of its own mounts the drive, or finds it unformatted, and serves.
    ///
    /// # Errors
    ///
    /// Where the thread cannot be started.
    pub fn start(device: Box<dyn Device>, options: &Options) -> io::Result<Self> {
        // Some places more than there are permits: an order to stop needs none.
        let (commands, queue) = sync_channel(options.requests_max + STOPS_MAX);
        let published = Arc::new(Published::new(device.pool().bytes_total() as u64));
        let shared = Shared {
            identity: device.identity().clone(),
            geometry: device.geometry().clone(),
            pool: device.pool().clone(),
            waker: device.waker(),
            published: Arc::clone(&published),
            commands,
            permits: Arc::new(Semaphore::new(options.requests_max)),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let engine = Engine::new(device, clock, Arc::clone(&published), options);
        thread::Builder::new().name("engine".into()).spawn(move || run(engine, &queue, &published))?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Who the drive is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// The drive's shape.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.shared.geometry
    }

    /// The pool from which the buffers of puts are to be taken.
    #[must_use]
    pub fn pool(&self) -> &BufferPool {
        &self.shared.pool
    }

    /// How the drive is. Never waits: the engine publishes it, at least every 50 ms while requests flow.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.shared.published.status()
    }

    /// What the engine has done. Never waits: it is published with the status.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.published.stats()
    }

    /// Stores a block. When this returns, it is durable.
    ///
    /// # Errors
    ///
    /// [`EngineError::Conflict`], [`EngineError::Full`], [`EngineError::IndexFull`], [`EngineError::Overloaded`],
    /// [`EngineError::Unavailable`]; [`EngineError::Invalid`] where the buffer does not fit the payload.
    pub async fn put(&self, request: PutRequest) -> Result<PutOutcome, EngineError> {
        self.ask(|reply| Command::Put(request, reply)).await
    }

    /// Reads a block, or a part of it, and checks every byte of it.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotFound`], [`EngineError::Corrupt`], [`EngineError::Medium`],
    /// [`EngineError::RangeNotSatisfiable`], [`EngineError::Overloaded`], [`EngineError::Unavailable`].
    pub async fn get(&self, key: Key, range: RangeRequest, class: Class) -> Result<Block, EngineError> {
        self.ask(|reply| Command::Get(key, range, class, reply)).await
    }

    /// Reads the header of a block.
    ///
    /// # Errors
    ///
    /// As [`Handle::get`].
    pub async fn head(&self, key: Key, class: Class) -> Result<BlockHead, EngineError> {
        self.ask(|reply| Command::Head(key, class, reply)).await
    }

    /// Deletes a block. When this returns, the deletion is durable.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotFound`], and as [`Handle::put`].
    pub async fn delete(&self, key: Key, class: Class) -> Result<(), EngineError> {
        self.ask(|reply| Command::Delete(key, class, reply)).await
    }

    /// Lists blocks from `cursor` on, at most `limit` of them (1 to [`LIST_LIMIT_MAX`]). A page may be shorter than
    /// `limit`, or empty, and still have a next one: where the deadline passes, it ends with what has been found.
    ///
    /// # Errors
    ///
    /// [`EngineError::Medium`] where the drive cannot be read, [`EngineError::Overloaded`],
    /// [`EngineError::Unavailable`].
    pub async fn list(&self, cursor: Cursor, limit: usize, class: Class) -> Result<Page, EngineError> {
        let limit = limit.clamp(1, LIST_LIMIT_MAX);
        self.ask(|reply| Command::List(ListRequest { cursor, zone: None, limit, class }, reply)).await
    }

    /// Lists the blocks of one zone from its unit `unit_offset` on.
    ///
    /// # Errors
    ///
    /// As [`Handle::list`]; [`EngineError::Invalid`] where there is no such zone.
    pub async fn list_zone(
        &self,
        zone: u32,
        unit_offset: u32,
        limit: usize,
        class: Class,
    ) -> Result<Page, EngineError> {
        let limit = limit.clamp(1, LIST_LIMIT_MAX);
        let cursor = Cursor { unit_offset, ..Cursor::default() };
        let request = ListRequest { cursor, zone: Some(zone), limit, class };
        self.ask(|reply| Command::List(request, reply)).await
    }

    /// All zones.
    ///
    /// # Errors
    ///
    /// [`EngineError::Overloaded`], [`EngineError::Unavailable`].
    pub async fn zones(&self) -> Result<Vec<ZoneStatus>, EngineError> {
        self.ask(Command::Zones).await
    }

    /// The damaged blocks that the engine knows of, at most the first 10,000.
    ///
    /// # Errors
    ///
    /// [`EngineError::Overloaded`], [`EngineError::Unavailable`].
    pub async fn damage(&self) -> Result<Vec<Damage>, EngineError> {
        self.ask(Command::Damage).await
    }

    /// How far the scrub is.
    ///
    /// # Errors
    ///
    /// [`EngineError::Overloaded`], [`EngineError::Unavailable`].
    pub async fn scrub(&self) -> Result<ScrubStatus, EngineError> {
        self.ask(|reply| Command::Scrub(false, reply)).await
    }

    /// Orders that every record is read and checked once, beginning now.
    ///
    /// # Errors
    ///
    /// [`EngineError::Overloaded`], [`EngineError::Unavailable`].
    pub async fn start_scrub(&self) -> Result<ScrubStatus, EngineError> {
        self.ask(|reply| Command::Scrub(true, reply)).await
    }

    /// Asks for a quiet time: for at most `for_us` microseconds, and at most ten seconds, no scrub is read, nor what
    /// reclaim moves while there is space. Clients are served as ever. Gives for how long that holds; 0 ends it.
    ///
    /// # Errors
    ///
    /// [`EngineError::Overloaded`] where more clients wait than the drive takes at once, or space is so short that
    /// clients wait for reclaim; [`EngineError::Unavailable`].
    pub async fn quiet(&self, for_us: u64) -> Result<u64, EngineError> {
        self.ask(|reply| Command::Quiet(for_us, reply)).await
    }

    /// Formats the drive and mounts it.
    ///
    /// # Errors
    ///
    /// [`EngineError::FormatRefused`] where the order does not name this drive or what stands on it;
    /// [`EngineError::Medium`] where the drive failed.
    pub async fn format(&self, order: FormatOrder) -> Result<Arc<Status>, EngineError> {
        self.ask(|reply| Command::Format(order, reply)).await
    }

    /// Takes no more requests, finishes those taken, and ends the engine's thread.
    pub async fn stop(&self) {
        let (reply, answer) = Reply::new(None);
        if self.shared.commands.try_send(Command::Stop(reply)).is_ok() {
            self.shared.waker.wake();
            // A dropped reply means that the thread has ended.
            let _ = answer.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, EngineError> {
        let (reply, answer) = Reply::new(Some(self.permit()?));
        if self.shared.commands.try_send(command(reply)).is_err() {
            return Err(self.ended());
        }
        self.shared.waker.wake();
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// A place for one request, unless the engine is busy with something that may take long.
    fn permit(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let state = self.status().state.clone();
        if matches!(state, State::Mounting | State::Formatting) {
            return Err(EngineError::Unavailable { state });
        }
        let full = EngineError::Overloaded { what: "as many requests are under way as the engine takes" };
        Arc::clone(&self.shared.permits).try_acquire_owned().map_err(|_| full)
    }

    /// The engine's thread is no more: the last state that it told says why.
    fn ended(&self) -> EngineError {
        let state = match self.status().state.clone() {
            state @ State::Failed { .. } => state,
            _ => State::Draining,
        };
        EngineError::Unavailable { state }
    }
}

impl Drop for Shared {
    /// The last handle is gone: the engine finds its queue closed when it next looks.
    fn drop(&mut self) {
        let (closed, _) = sync_channel(0);
        self.commands = closed;
        self.waker.wake();
    }
}

/// The engine's thread.
fn run(mut engine: Engine, queue: &Receiver<Command>, published: &Published) {
    engine.mount();
    let mut orphaned = false;
    while !engine.is_finished() {
        let next = || match queue.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Disconnected) if !orphaned => {
                // Nobody can ask any more: that is an order to stop.
                orphaned = true;
                Some(Command::Stop(Reply::new(None).0))
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        };
        if let Err(error) = engine.turn(next, None) {
            tracing::error!(%error, "the engine cannot wait for its drive any more");
            published.set_state(State::Failed { reason: error.to_string() });
            engine.give_up();
            return refuse_all(queue, &error);
        }
    }
    engine.finish();
}

/// Answers requests for a drive that can no longer be waited for, until nobody can ask any more.
fn refuse_all(queue: &Receiver<Command>, error: &DeviceError) {
    let state = State::Failed { reason: error.to_string() };
    while let Ok(command) = queue.recv() {
        match command {
            Command::Stop(reply) => return reply.send(Ok(())),
            command => command.refuse(EngineError::Unavailable { state: state.clone() }),
        }
    }
}
