//! One run: an engine, its drive, what it was asked, and what it must answer.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imbrex_format::{PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive};
use tokio::sync::oneshot::Receiver;

use super::counts::{Counts, UNANSWERED};
use super::drive::SimulatedClock;
use super::listing::Listing;
use super::model::{Content, Model, key};
use super::operation::{Operation, Worn};
use super::setup::{Faults, Setup};
use crate::command::{Command, Reply};
use crate::engine::Engine;
use crate::location::Location;
use crate::publish::Published;
use crate::request::{
    Block, BlockHead, Class, EngineError, FormatOrder, Lifetime, PutOutcome, PutRequest, RangeRequest,
    Replace, State,
};

pub(super) type Answer<T> = Receiver<Result<T, EngineError>>;

const POOL_BYTES: usize = 12 << 20;

/// How many turns everything that was asked is answered in.
const TURNS_MAX: u32 = 4_000;

thread_local! {
    static PAYLOAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An operation that has not been answered, and its key.
pub(super) enum Pending {
    /// With the places that the key's block had: where a part of them cannot be read, the put replaces it.
    Put {
        key: u64,
        content: Content,
        places: Vec<Location>,
        answer: Answer<PutOutcome>,
    },
    Delete {
        key: u64,
        answer: Answer<()>,
    },
    Get {
        key: u64,
        range: RangeRequest,
        answer: Answer<Block>,
    },
    Head {
        key: u64,
        answer: Answer<BlockHead>,
    },
}

pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) pool: BufferPool,
    pub(super) drive: SimulatedDrive,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) engine: Engine,
    pub(super) model: Model,
    pub(super) pending: Vec<Pending>,
    /// Keys with a request under way: others for them would see either state, so none is begun.
    pub(super) busy: BTreeSet<u64>,
    /// Keys with a put of which nobody awaits the answer.
    pub(super) left: BTreeSet<u64>,
    /// Keys of which damage may have brought back what was deleted.
    pub(super) haunted: BTreeSet<u64>,
    pub(super) listing: Option<Listing>,
    pub(super) counts: Counts,
    /// The power fails soon, by order.
    pub(super) power_fails: bool,
    /// What has worn out by order.
    pub(super) worn: Vec<Worn>,
    /// No label can be read now: a drive on which nothing is written is not known then.
    pub(super) labels_are_concealed: bool,
    /// How many flushes had failed when it was last looked.
    pub(super) flushes_failed: u64,
    /// In how many operations the power fails.
    pub(super) cut_in_operations: Option<u64>,
    /// The drive can no longer be mounted, for what faults have done to it.
    pub(super) is_over: bool,
}

impl World {
    /// A formatted drive, and an engine on it that has not begun to serve when `format` is all that was done.
    pub(super) fn new(setup: Setup) -> Self {
        crate::formatting::set_random_seed(setup.seed);
        // One for all engines of a run, and none that another run has used: where it cuts depends on what it has lent.
        let pool = BufferPool::new(POOL_BYTES).expect("memory");
        let device = SimulatedDevice::in_memory(setup.geometry.clone(), pool.clone()).expect("a drive");
        let drive = device.drive();
        let clock = Arc::<SimulatedClock>::default();
        let mut engine =
            Engine::new(Box::new(device), clock.clone(), Arc::new(Published::new(0)), &setup.options);
        engine.mount();
        assert_eq!(*engine.state(), State::Unformatted);
        let model = Model::new(setup.keys);
        let mut world = Self {
            setup,
            pool,
            drive,
            clock,
            engine,
            model,
            pending: Vec::new(),
            busy: BTreeSet::new(),
            left: BTreeSet::new(),
            haunted: BTreeSet::new(),
            listing: None,
            counts: Counts::default(),
            power_fails: false,
            worn: Vec::new(),
            labels_are_concealed: false,
            flushes_failed: 0,
            cut_in_operations: None,
            is_over: false,
        };
        world.format();
        world.let_faults_strike();
        world
    }

    fn format(&mut self) {
        let blocks_max = Some(self.setup.blocks_max);
        let order = FormatOrder { serial: "SIMULATED".into(), replace: Replace::Nothing, blocks_max };
        let (reply, mut answer) = Reply::new(None);
        self.turn(Some(Command::Format(order, reply)));
        answer.try_recv().expect("an answer").expect("a formatted drive");
    }

    fn let_faults_strike(&mut self) {
        self.drive.set_scheduling(self.setup.is_scheduled.then_some(self.setup.seed));
        if self.setup.faults == Faults::None {
            return;
        }
        self.spare_a_label();
        self.drive.set_faults(self.setup.seed, self.setup.rates.clone());
    }

    pub(super) fn turn(&mut self, command: Option<Command>) {
        let mut command = command;
        self.engine.turn(|| command.take(), Some(Duration::ZERO)).expect("a device that can be waited for");
    }

    /// Does one operation.
    pub(super) fn step(&mut self, operation: &Operation) {
        if self.is_over {
            return;
        }
        if matches!(self.engine.state(), State::Failed { .. }) {
            self.reopen();
        }
        self.counts.operations += 1;
        match *operation {
            Operation::Put { key, seed, length, same, class, lifetime } => {
                let content = self.model.settled(key).filter(|_| same);
                let content = content.unwrap_or_else(|| Content::new(seed, length));
                self.put(key, content, class, lifetime, false);
            }
            Operation::PutAndLeave { key, seed, length } => {
                let content = Content::new(seed, length);
                self.put(key, content, Class::Foreground, Lifetime::Unknown, true);
            }
            Operation::Get { key, range, class } => self.get(key, range, class),
            Operation::Head { key } => self.head(key),
            Operation::Delete { key, class } => self.delete(key, class),
            Operation::List { limit } => self.begin_listing(limit),
            Operation::Scrub => {
                let (reply, _answer) = Reply::new(None);
                self.counts.add("scrub ordered");
                self.turn(Some(Command::Scrub(true, reply)));
            }
            Operation::Wait { us } => {
                self.clock.advance(us);
                self.turn(None);
            }
            Operation::Turn => self.turn(None),
            Operation::Restart { stop } => self.restart(stop),
            Operation::Crash { seed, in_mount, concealed } => self.cut_power(seed, in_mount, concealed),
            Operation::Wear { what } => self.wear(what),
            Operation::Check => self.check_everything(),
        }
        self.collect();
        self.continue_listing();
        self.cut_power_where_flushes_fail();
    }

    /// Takes a key for a request; false where it has one.
    fn take_key(&mut self, key: u64) -> bool {
        let is_free = self.busy.insert(key);
        if is_free && let Some(listing) = self.listing.as_mut() {
            listing.key_used(key);
        }
        is_free
    }

    fn put(&mut self, number: u64, content: Content, class: Class, lifetime: Lifetime, leave: bool) {
        if self.busy.contains(&number) || self.left.contains(&number) {
            return;
        }
        let Some(buffer) = self.payload(content) else {
            self.counts.add("put: no memory");
            return;
        };
        self.take_key(number);
        self.model.put_begun(number, content);
        let places = self.engine.places_of(&key(number));
        let (reply, answer) = Reply::new(None);
        let payload_bytes = u32::try_from(content.length).expect("a small block");
        let request = PutRequest { key: key(number), buffer, payload_bytes, class, lifetime };
        if leave {
            self.counts.add("put: left by its client");
            drop(answer);
            self.busy.remove(&number);
            self.left.insert(number);
            if self.model.may_be_absent(number) || self.setup.faults != Faults::None {
                self.model.may_become(number, Some(content));
            }
        } else {
            self.pending.push(Pending::Put { key: number, content, places, answer });
        }
        self.turn(Some(Command::Put(request, reply)));
    }

    fn payload(&self, content: Content) -> Option<imbrex_zoned::Buffer> {
        let units = record_units(content.length) as usize;
        let mut buffer = self.pool.try_allocate(units * UNIT_BYTES)?;
        PAYLOAD.with_borrow_mut(|bytes| {
            bytes.resize(content.length, 0);
            content.fill(bytes);
            let mut writer = PayloadWriter::new(content.length);
            writer.write(&mut buffer, bytes).expect("room for the payload");
            writer.finish(&mut buffer).expect("the whole payload");
        });
        Some(buffer)
    }

    pub(super) fn get(&mut self, number: u64, range: RangeRequest, class: Class) {
        if self.left.contains(&number) || !self.take_key(number) {
            return;
        }
        let (reply, answer) = Reply::new(None);
        self.pending.push(Pending::Get { key: number, range, answer });
        self.turn(Some(Command::Get(key(number), range, class, reply)));
    }

    fn head(&mut self, number: u64) {
        if self.left.contains(&number) || !self.take_key(number) {
            return;
        }
        let (reply, answer) = Reply::new(None);
        self.pending.push(Pending::Head { key: number, answer });
        self.turn(Some(Command::Head(key(number), Class::Foreground, reply)));
    }

    fn delete(&mut self, number: u64, class: Class) {
        if self.left.contains(&number) || !self.take_key(number) {
            return;
        }
        let (reply, answer) = Reply::new(None);
        self.pending.push(Pending::Delete { key: number, answer });
        self.turn(Some(Command::Delete(key(number), class, reply)));
    }

    /// Whether a put may replace the block that stood at these places, since it could not be read.
    pub(super) fn may_replace(&self, places: &[Location]) -> bool {
        // What the put waited for may have moved the block meanwhile, to a place that was destroyed then.
        self.setup.may_fail_reads() || (!places.is_empty() && self.has_destroyed())
    }

    pub(super) fn place_is_damaged(&self, place: Location) -> bool {
        let Location { zone, unit_offset, unit_count } = place;
        let unit_bytes = UNIT_BYTES as u64;
        let begin =
            u64::from(zone) * self.setup.geometry.zone_size_bytes + u64::from(unit_offset) * unit_bytes;
        self.drive.is_damaged(begin, u64::from(unit_count) * unit_bytes)
    }

    /// Lets the engine answer all that it was asked.
    pub(super) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            if self.pending.is_empty()
                && self.listing.is_none()
                && (self.left.is_empty() || self.engine.is_idle())
            {
                self.left.clear();
                return;
            }
            self.turn(None);
            self.collect();
            self.continue_listing();
        }
        // Faults can take so many zones that not even what is to be emptied first has room.
        let sentence = self.engine.describe();
        let count = self.pending.len();
        assert!(self.is_without_room(), "{count} operations are never answered: {sentence}");
        self.counts.add(UNANSWERED);
        self.reopen();
    }

    /// Whether faults, or many power cuts one after another on a drive of few zones, have taken so many that not even
    /// reclaim has room. What then waits is never answered: that is counted, and no suite may have much of it. Where
    /// neither has taken any, a full drive answers.
    pub(super) fn is_without_room(&self) -> bool {
        if self.setup.faults == Faults::None && self.counts.of("power cut") == 0 {
            return false;
        }
        let kept = if self.setup.faults == Faults::None { 0 } else { 2 };
        self.engine.store().is_some_and(|store| store.zones.free_count() <= kept)
    }

    /// Everything is answered, then read, listed and counted.
    pub(super) fn check_everything(&mut self) {
        self.settle();
        for number in self.model.keys() {
            self.get(number, RangeRequest::Whole, Class::Foreground);
        }
        self.settle();
        self.begin_listing(1000);
        self.settle();
        self.engine.store().into_iter().for_each(crate::store::Store::check_books);
    }

    /// Ends the run.
    pub(super) fn end(mut self) -> Counts {
        if !self.is_over && matches!(self.engine.state(), State::Failed { .. }) {
            self.reopen();
        }
        if !self.is_over {
            self.check_everything();
            self.restart(true);
        }
        if !self.is_over {
            self.check_everything();
        }
        self.count_stats();
        self.counts.add("run");
        self.counts.faults = self.drive.fault_counts();
        self.counts
    }
}
