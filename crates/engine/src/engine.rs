//! The engine of one drive: what the drive is doing, and the loop that its thread runs.
//!
//! An engine is a state machine without a thread of its own: [`Engine::turn`] takes what has come, begins what can be
//! begun, waits for the device, and takes what it has finished. [`crate::Handle`] runs it on a thread; a test runs it
//! by hand, over a simulated drive, and decides itself what happens between two turns.

use std::sync::Arc;
use std::time::Duration;

use imbrex_format::DriveId;
use imbrex_zoned::{Completion, Device, DeviceError};

use crate::budget::MemoryBudget;
use crate::clock::Clock;
use crate::command::{Command, Reply};
use crate::formatting;
use crate::mount::{MountOutcome, mount};
use crate::options::Options;
use crate::publish::Published;
use crate::request::{EngineError, FormatOrder, State, Stats, Status};
use crate::store::Store;

/// How often figures are published while requests flow, in microseconds.
const PUBLISH_INTERVAL_US: u64 = 50_000;

/// How many requests one turn takes before it looks at the device again.
const COMMANDS_PER_TURN_MAX: usize = 64;

/// See the module.
pub(crate) struct Engine {
    device: Box<dyn Device>,
    clock: Arc<dyn Clock>,
    published: Arc<Published>,
    options: Options,
    state: State,
    store: Option<Store>,
    mount_us: u64,
    /// Who waits for the end, once it has been ordered.
    stopping: Vec<Reply<()>>,
    draining: bool,
    completions: Vec<Completion>,
    published_us: u64,
    /// Whether something has happened since figures were last published.
    dirty: bool,
}

impl Engine {
    /// An engine of which nothing is known yet: [`Self::mount`] comes next.
    pub(crate) fn new(
        device: Box<dyn Device>,
        clock: Arc<dyn Clock>,
        published: Arc<Published>,
        options: &Options,
    ) -> Self {
        let completions = Vec::with_capacity(device.in_flight_max());
        Self {
            device,
            clock,
            published,
            options: options.clone(),
            state: State::Mounting,
            store: None,
            mount_us: 0,
            stopping: Vec::new(),
            draining: false,
            completions,
            published_us: 0,
            dirty: true,
        }
    }

    /// Reads the drive and finds its state.
    pub(crate) fn mount(&mut self) {
        let begun_us = self.clock.now_us();
        self.store = None;
        self.state = match mount(&mut *self.device) {
            Ok(MountOutcome::Mounted(mounted)) => {
                tracing::info!(
                    checkpoint = mounted.checkpoint.map(|checkpoint| checkpoint.number),
                    "the index was read"
                );
                if mounted.lost_records > 0 {
                    tracing::error!(
                        records = mounted.lost_records,
                        "committed records could not be read at mount"
                    );
                }
                match Store::new(*mounted, &*self.device, &self.options, begun_us) {
                    Some(store) => {
                        self.store = Some(store);
                        State::Serving
                    }
                    None => State::Failed {
                        reason: "its memory budget has no room for the log: start it with a larger one"
                            .into(),
                    },
                }
            }
            Ok(MountOutcome::Refused(state)) => state,
            Err(error) => State::Failed { reason: error.to_string() },
        };
        self.mount_us = self.clock.now_us().saturating_sub(begun_us);
        tracing::info!(
            state = self.state.name(),
            reason = self.state.reason(),
            mount_us = self.mount_us,
            "mounted"
        );
        self.publish();
    }

    /// Takes requests from `next`, begins what can be begun, waits at most `timeout` for the device if nothing has
    /// come, and takes what it has finished.
    ///
    /// # Errors
    ///
    /// Where the device can no longer be waited for.
    pub(crate) fn turn(
        &mut self,
        mut next: impl FnMut() -> Option<Command>,
        timeout: Option<Duration>,
    ) -> Result<(), DeviceError> {
        if let Some(store) = self.store.as_mut() {
            store.now_us = self.clock.now_us();
            store.unix_s = self.clock.unix_s();
        }
        let taken =
            (0..COMMANDS_PER_TURN_MAX).map_while(|_| next()).map(|command| self.accept(command)).count();
        if let Some(store) = self.store.as_mut() {
            // After the commands: where the end was ordered just now and nothing is left to do, no turn may follow this one.
            store.is_stopping = self.draining;
            if store.is_stopping {
                store.end_quiet();
            }
            store.pump(&mut *self.device);
        }
        self.publish_if_due();
        let timeout =
            if taken == COMMANDS_PER_TURN_MAX { Some(Duration::ZERO) } else { self.wait_limit(timeout) };
        let mut completions = std::mem::take(&mut self.completions);
        let waited = self.device.wait(timeout, &mut completions);
        for completion in completions.drain(..) {
            self.dirty = true;
            if let Some(store) = self.store.as_mut() {
                store.complete(&mut *self.device, completion);
            }
        }
        self.completions = completions;
        self.follow_store();
        waited
    }

    /// Whether the end was ordered and nothing is under way any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.draining && self.is_idle() && self.store.as_ref().is_none_or(Store::is_settled)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.store.as_ref().is_none_or(Store::is_idle)
    }

    /// Drops everything that is under way: whoever waits for it learns that the engine has ended. The device keeps the
    /// buffers that it still has.
    pub(crate) fn give_up(&mut self) {
        self.store = None;
        self.stopping.clear();
    }

    /// Publishes the last figures, and answers those who waited for the end.
    pub(crate) fn finish(mut self) {
        self.publish();
        self.stopping.drain(..).for_each(|reply| reply.send(Ok(())));
    }

    /// Figures that are not yet published are not kept waiting for the next request, nor is the end.
    fn wait_limit(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.is_finished() {
            return Some(Duration::ZERO);
        }
        let now_us = self.clock.now_us();
        let due_us = self.store.as_ref().and_then(Store::next_due_us);
        let due = due_us.map(|due_us| Duration::from_micros(due_us.saturating_sub(now_us)));
        let soon = self.dirty.then_some(Duration::from_micros(PUBLISH_INTERVAL_US));
        let settling = self.draining.then_some(Duration::from_millis(1));
        [timeout, due, soon, settling].into_iter().flatten().min()
    }

    fn accept(&mut self, command: Command) {
        self.dirty = true;
        match command {
            Command::Stop(reply) => {
                self.draining = true;
                self.stopping.push(reply);
            }
            command if self.draining => command.refuse(EngineError::Unavailable { state: State::Draining }),
            Command::Format(order, reply) => {
                let answer = self.format(&order);
                reply.send(answer);
            }
            command => match self.store.as_mut().filter(|_| self.state != State::Mounting) {
                Some(store) => store.accept(&mut *self.device, command),
                None => command.refuse(EngineError::Unavailable { state: self.state.clone() }),
            },
        }
    }

    fn drive_id(&self) -> Option<DriveId> {
        self.store.as_ref().map(|store| store.label.drive_id)
    }

    /// Carries out a format order. Only a drive on which nothing is under way is formatted.
    fn format(&mut self, order: &FormatOrder) -> Result<Arc<Status>, EngineError> {
        if self.store.as_ref().is_some_and(|store| !store.is_idle()) {
            return Err(EngineError::Overloaded {
                what: "requests are under way: stop using it before it is formatted",
            });
        }
        formatting::check_order(order, &*self.device, &self.state, self.drive_id())?;
        self.state = State::Formatting;
        self.store = None;
        self.publish();
        let formatted = formatting::format(&mut *self.device, order, self.clock.unix_s());
        self.mount();
        formatted.map_err(|error| EngineError::Medium { detail: error.to_string() })?;
        Ok(self.published.status())
    }

    /// The store knows first when a drive has failed.
    fn follow_store(&mut self) {
        let fault = self.store.as_ref().and_then(|store| store.fault.clone());
        if let Some(fault) = fault.filter(|fault| *fault != self.state) {
            self.state = fault;
            self.publish();
        }
    }

    fn publish_if_due(&mut self) {
        let now_us = self.clock.now_us();
        if self.dirty && (self.is_idle() || now_us.saturating_sub(self.published_us) >= PUBLISH_INTERVAL_US) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.published_us = self.clock.now_us();
        self.dirty = false;
        let stats = self.store.as_ref().map_or_else(Stats::default, |store| store.stats);
        self.published.set(self.status(), stats);
    }

    fn status(&self) -> Status {
        let state = if self.draining { State::Draining } else { self.state.clone() };
        let pool_bytes = self.device.pool().bytes_total() as u64;
        let Some(store) = &self.store else {
            return Status {
                state,
                drive_id: None,
                formatted_at_unix_s: None,
                blocks: 0,
                blocks_max: 0,
                live_bytes: 0,
                free_bytes: 0,
                dead_bytes: 0,
                damaged_blocks: 0,
                without_checkpoints: None,
                unknown_zones: 0,
                slow_since_unix_s: None,
                zones_by_condition: Vec::new(),
                mount_us: self.mount_us,
                memory_bytes: pool_bytes,
                memory: MemoryBudget::of_buffers(pool_bytes),
            };
        };
        let bytes = |units: u64| units * imbrex_format::UNIT_BYTES as u64;
        let memory = store.memory_budget(pool_bytes);
        Status {
            state,
            drive_id: Some(store.label.drive_id),
            formatted_at_unix_s: Some(store.label.formatted_at_unix_s),
            blocks: store.index.len(),
            blocks_max: store.index.len_max(),
            live_bytes: bytes(store.live_units),
            free_bytes: store.free_bytes(),
            dead_bytes: store.dead_bytes(),
            damaged_blocks: store.damage.count() + store.lost_records,
            without_checkpoints: store.checkpointing.why_none(),
            unknown_zones: store.zones.unknown_count(),
            slow_since_unix_s: store.slowness.since_unix_s(),
            zones_by_condition: store.zones.count_by_condition(),
            mount_us: self.mount_us,
            memory_bytes: memory.total_bytes(),
            memory,
        }
    }
}

impl Engine {
    /// What the store is about, for a failure's report.
    #[cfg(test)]
    pub(crate) fn describe(&self) -> String {
        self.store.as_ref().map_or_else(|| format!("{:?}", self.state), Store::describe)
    }

    /// The mounted drive, if it is one.
    #[cfg(test)]
    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The same, to be led astray.
    #[cfg(test)]
    pub(crate) fn store_mut(&mut self) -> Option<&mut Store> {
        self.store.as_mut()
    }

    /// What the drive is doing.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The drive.
    pub(crate) fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// What was done since the last mount.
    pub(crate) fn stats(&self) -> Stats {
        self.store.as_ref().map_or_else(Stats::default, |store| store.stats)
    }
}
