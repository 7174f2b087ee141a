//! An engine that is run by hand: it has no thread, and nothing happens between two turns.
//!
//! For simulations and benchmarks, over any device and with any clock. What it answers is what a [`crate::Handle`]
//! answers: the same engine takes the same requests, within the same bounds. To crash it, drop it: whoever waits learns
//! that it has ended, and the device keeps what it has.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use imbrex_engine::{EngineError, FormatOrder, Options, Replace, clock::SystemClock, manual::Manual};
//! use imbrex_format::Key;
//! use imbrex_zoned::{BufferPool, simulated::{SimulatedDevice, SimulatedGeometry}};
//!
//! let geometry = SimulatedGeometry { serial: Some("S".into()), ..SimulatedGeometry::default() };
//! let device = SimulatedDevice::in_memory(geometry, BufferPool::new(64 << 20).unwrap()).unwrap();
//! let mut engine = Manual::new(Box::new(device), Arc::new(SystemClock::default()), &Options::default());
//! engine.mount();
//! engine.format(FormatOrder { serial: "S".into(), replace: Replace::Nothing, blocks_max: None }).unwrap();
//! let mut ticket = engine.delete(Key([1; 32]), Default::default());
//! let answer = loop {
//!     engine.turn(Duration::from_millis(1)).unwrap();
//!     if let Some(answer) = ticket.try_take() {
//!         break answer;
//!     }
//! };
//! assert_eq!(answer, Err(EngineError::NotFound));
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use imbrex_format::Key;
use imbrex_zoned::{BufferPool, Device, DeviceError};
use tokio::sync::oneshot::{Receiver, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::command::{Command, ListRequest, Reply};
use crate::engine::Engine;
use crate::handle::LIST_LIMIT_MAX;
use crate::options::Options;
use crate::publish::Published;
use crate::request::{
    Block, BlockHead, Class, Cursor, Damage, EngineError, FormatOrder, Page, PutOutcome, PutRequest,
    RangeRequest, ScrubStatus, State, Stats, Status, ZoneStatus,
};

/// An answer that will come, or by default none. Dropping it says that nobody waits any more.
#[derive(Debug)]
pub struct Ticket<T>(Option<Receiver<Result<T, EngineError>>>);

impl<T> Default for Ticket<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Ticket<T> {
    /// Takes the answer once it is there; `None` before, and after it was taken.
    pub fn try_take(&mut self) -> Option<Result<T, EngineError>> {
        let answer = match self.0.as_mut()?.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            // The engine was dropped.
            Err(TryRecvError::Closed) => Err(EngineError::Unavailable { state: State::Draining }),
        };
        self.0 = None;
        Some(answer)
    }
}

/// See the module.
pub struct Manual {
    engine: Engine,
    published: Arc<Published>,
    commands: VecDeque<Command>,
    /// One permit for each request that the engine takes.
    permits: Arc<Semaphore>,
    pool: BufferPool,
}

impl Manual {
    /// An engine of which nothing is known yet: [`Self::mount`] comes next.
    #[must_use]
    pub fn new(device: Box<dyn Device>, clock: Arc<dyn Clock>, options: &Options) -> Self {
        let pool = device.pool().clone();
        let published = Arc::new(Published::new(pool.bytes_total() as u64));
        Self {
            engine: Engine::new(device, clock, Arc::clone(&published), options),
            published,
            commands: VecDeque::with_capacity(options.requests_max),
            permits: Arc::new(Semaphore::new(options.requests_max)),
            pool,
        }
    }

    /// Reads the drive and finds its state. Blocks until that is known.
    pub fn mount(&mut self) {
        self.engine.mount();
    }

    /// Formats the drive and mounts it, which is done when this returns.
    ///
    /// # Errors
    ///
    /// As [`crate::Handle::format`].
    pub fn format(&mut self, order: FormatOrder) -> Result<Arc<Status>, EngineError> {
        let (reply, answer) = Reply::new(None);
        self.commands.push_back(Command::Format(order, reply));
        let mut ticket = Ticket(Some(answer));
        // An order is carried out in the turn that takes it.
        while !self.commands.is_empty() {
            let failed = |error: DeviceError| EngineError::Medium { detail: error.to_string() };
            self.turn(Duration::ZERO).map_err(failed)?;
        }
        ticket.try_take().unwrap_or_else(|| Err(EngineError::Unavailable { state: self.state() }))
    }

    /// Stores a block. Answered once it is durable.
    pub fn put(&mut self, request: PutRequest) -> Ticket<PutOutcome> {
        self.ask(|reply| Command::Put(request, reply))
    }

    /// Reads a block, or a part of it, and checks every byte of it.
    pub fn get(&mut self, key: Key, range: RangeRequest, class: Class) -> Ticket<Block> {
        self.ask(|reply| Command::Get(key, range, class, reply))
    }

    /// Reads the header of a block.
    pub fn head(&mut self, key: Key, class: Class) -> Ticket<BlockHead> {
        self.ask(|reply| Command::Head(key, class, reply))
    }

    /// Deletes a block. Answered once the deletion is durable.
    pub fn delete(&mut self, key: Key, class: Class) -> Ticket<()> {
        self.ask(|reply| Command::Delete(key, class, reply))
    }

    /// Lists blocks from `cursor` on, at most `limit` of them (1 to [`LIST_LIMIT_MAX`]), of one zone or of all.
    pub fn list(&mut self, cursor: Cursor, zone: Option<u32>, limit: usize) -> Ticket<Page> {
        let limit = limit.clamp(1, LIST_LIMIT_MAX);
        self.ask(|reply| Command::List(ListRequest { cursor, zone, limit, class: Class::Foreground }, reply))
    }

    /// All zones.
    pub fn zones(&mut self) -> Ticket<Vec<ZoneStatus>> {
        self.ask(Command::Zones)
    }

    /// The damaged blocks that the engine knows of.
    pub fn damage(&mut self) -> Ticket<Vec<Damage>> {
        self.ask(Command::Damage)
    }

    /// How far the scrub is; where `begin`, a pass over everything begins first.
    pub fn scrub(&mut self, begin: bool) -> Ticket<ScrubStatus> {
        self.ask(|reply| Command::Scrub(begin, reply))
    }

    /// Asks for a quiet time, as [`crate::Handle::quiet`] does.
    pub fn quiet(&mut self, for_us: u64) -> Ticket<u64> {
        self.ask(|reply| Command::Quiet(for_us, reply))
    }

    /// Orders the end: no more requests are taken, those taken are finished. Answered when [`Self::is_finished`] is
    /// true and [`Self::finish`] was called.
    pub fn stop(&mut self) -> Ticket<()> {
        let (reply, answer) = Reply::new(None);
        self.commands.push_back(Command::Stop(reply));
        Ticket(Some(answer))
    }

    /// Queues a request, or answers at once that the engine has as many as it takes.
    fn ask<T>(&mut self, command: impl FnOnce(Reply<T>) -> Command) -> Ticket<T> {
        let permit: Option<OwnedSemaphorePermit> = Arc::clone(&self.permits).try_acquire_owned().ok();
        let is_refused = permit.is_none();
        let (reply, answer) = Reply::new(permit);
        if is_refused {
            let what = "as many requests are under way as the engine takes";
            reply.send(Err(EngineError::Overloaded { what }));
        } else {
            self.commands.push_back(command(reply));
        }
        Ticket(Some(answer))
    }

    /// One turn of the engine: takes requests, begins what can be begun, waits at most `timeout` for the device if
    /// nothing has come, and takes what it has finished. Nobody can wake it, so there is always a timeout; a device that
    /// finishes its work within its own call needs none.
    ///
    /// # Errors
    ///
    /// Where the device can no longer be waited for.
    pub fn turn(&mut self, timeout: Duration) -> Result<(), DeviceError> {
        let commands = &mut self.commands;
        self.engine.turn(|| commands.pop_front(), Some(timeout))
    }

    /// Whether nothing is under way and no request waits. Work of the engine's own may still come due.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.commands.is_empty() && self.engine.is_idle()
    }

    /// Whether the end was ordered and nothing is under way any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.commands.is_empty() && self.engine.is_finished()
    }

    /// Ends an engine that is finished, as after [`crate::Handle::stop`].
    pub fn finish(self) {
        self.engine.finish();
    }

    /// What the engine knows of its drive, to be led astray.
    #[cfg(test)]
    pub(crate) fn store_mut(&mut self) -> &mut crate::store::Store {
        self.engine.store_mut().expect("a mounted drive")
    }

    /// What the drive is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.engine.state().clone()
    }

    /// What was done since the last mount.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// How the drive is, as it was last published: at least once for each 50 ms of the clock in which something
    /// happened, and whenever the engine becomes idle.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.published.status()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &dyn Device {
        self.engine.device()
    }

    /// The pool from which the buffers of puts are to be taken.
    #[must_use]
    pub fn pool(&self) -> &BufferPool {
        &self.pool
    }
}
