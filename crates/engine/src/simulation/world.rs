//! One run: an engine, its drive, what it was asked, and what it must answer.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imbrex_format::{PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::model::{Content, KEYS, Model, key};
use super::random::Random;
use crate::clock::Clock;
use crate::command::{Command, ListRequest, Reply};
use crate::engine::Engine;
use crate::options::Options;
use crate::publish::Published;
use crate::request::{
    Block, BlockHead, Class, Cursor, EngineError, FormatOrder, Lifetime, Page, PutOutcome, PutRequest,
    RangeRequest, Replace, State,
};

type Answer<T> = Receiver<Result<T, EngineError>>;

const POOL_BYTES: usize = 8 << 20;
const REQUESTS_MAX: usize = 64;

/// How often each thing happened, over all runs.
#[derive(Default)]
pub(super) struct Counts {
    runs: u64,
    puts: u64,
    puts_already_stored: u64,
    conflicts: u64,
    gets: u64,
    absent: u64,
    deletes: u64,
    full: u64,
    power_cuts: u64,
    cut_off: u64,
    restarts: u64,
    listings: u64,
    zones_sealed: u64,
}

impl Counts {
    /// A run that never saw one of these has proved nothing of it.
    pub(super) fn assert_everything_happened(&self) {
        let rare =
            [self.conflicts, self.puts_already_stored, self.full, self.cut_off, self.restarts, self.listings];
        assert!(rare.iter().all(|count| *count > 0), "something never happened: {self}");
        assert!(self.zones_sealed > 0, "no zone was ever sealed: {self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} runs: {} puts, {} of bytes already stored, {} conflicts, {} gets, {} of absent keys, {} deletions, \
             {} listings, {} refused as full, {} restarts, {} power cuts that cut off {} operations, {} zones sealed",
            self.runs,
            self.puts,
            self.puts_already_stored,
            self.conflicts,
            self.gets,
            self.absent,
            self.deletes,
            self.listings,
            self.full,
            self.restarts,
            self.power_cuts,
            self.cut_off,
            self.zones_sealed
        )
    }
}

/// A clock that moves twenty microseconds each time that somebody looks.
struct CountingClock(AtomicU64);

impl Clock for CountingClock {
    fn now_us(&self) -> u64 {
        self.0.fetch_add(20, Ordering::Relaxed)
    }

    fn unix_s(&self) -> u64 {
        1_700_000_000
    }
}

/// An operation that has not been answered.
enum Pending {
    Put(u64, Content, Answer<PutOutcome>),
    Delete(u64, Answer<()>),
    Get(u64, Answer<Block>),
    Head(u64, Answer<BlockHead>),
}

pub(super) struct World {
    random: Random,
    drive: SimulatedDrive,
    engine: Engine,
    model: Model,
    pending: Vec<Pending>,
    /// Keys with a put or a deletion under way: reads of them may see either state, so they are left alone.
    busy: BTreeSet<u64>,
    counts: Counts,
}

fn geometry(random: &mut Random) -> SimulatedGeometry {
    let zone_units = 64 + 64 * random.below(4);
    let zone_size_bytes = zone_units * UNIT_BYTES as u64;
    SimulatedGeometry {
        zone_count: 8 + u32::try_from(random.below(16)).unwrap(),
        zone_size_bytes,
        zone_capacity_bytes: zone_size_bytes - random.below(9) * UNIT_BYTES as u64,
        conventional_zones: u32::try_from(random.below(6)).unwrap(),
        zone_open_max: Some(4),
        zone_active_max: Some(4),
        ..SimulatedGeometry::default()
    }
}

/// Rest and periods are short, so that their ends are reached.
fn options() -> Options {
    Options {
        requests_max: REQUESTS_MAX,
        deadline: Duration::from_secs(3600),
        trash_rest: Duration::from_micros(100),
        scrub_period: Duration::from_secs(16),
        checkpoint_bytes: 1 << 20,
        ..Options::default()
    }
}

fn start(drive: &SimulatedDrive) -> Engine {
    let device = drive.open(BufferPool::new(POOL_BYTES).unwrap());
    let clock = Arc::new(CountingClock(AtomicU64::new(0)));
    let mut engine = Engine::new(Box::new(device), clock, Arc::new(Published::new(0)), &options());
    engine.mount();
    engine
}

impl World {
    pub(super) fn new(mut random: Random) -> Self {
        let device =
            SimulatedDevice::in_memory(geometry(&mut random), BufferPool::new(UNIT_BYTES).unwrap()).unwrap();
        let drive = device.drive();
        let engine = start(&drive);
        assert_eq!(*engine.state(), State::Unformatted);
        let mut world = Self {
            random,
            drive,
            engine,
            model: Model::default(),
            pending: Vec::new(),
            busy: BTreeSet::new(),
            counts: Counts::default(),
        };
        world.format();
        world
    }

    fn format(&mut self) {
        let order =
            FormatOrder { serial: "SIMULATED".into(), replace: Replace::Nothing, blocks_max: Some(100) };
        let (reply, mut answer) = Reply::new(None);
        self.turn(Some(Command::Format(order, reply)));
        answer.try_recv().expect("an answer").expect("a formatted drive");
    }

    fn turn(&mut self, command: Option<Command>) {
        let mut command = command;
        self.engine.turn(|| command.take(), Some(Duration::ZERO)).expect("a device that can be waited for");
    }

    /// Does one random thing.
    pub(super) fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.put(),
            40..55 => self.get(),
            55..60 => self.head(),
            60..75 => self.delete(),
            75..78 => self.check_listing(),
            78..80 => self.restart(),
            80..84 => self.cut_power(),
            _ => self.turn(None),
        }
        self.collect();
    }

    fn free_key(&mut self) -> Option<u64> {
        let key = self.random.below(KEYS);
        (!self.busy.contains(&key)).then_some(key)
    }

    fn new_content(&mut self) -> Content {
        let length = match self.random.below(10) {
            0 => 0,
            1..6 => self.random.below(9000),
            6..9 => self.random.below(70_000),
            _ => self.random.below(150_000),
        };
        // Two contents are the same only if their bytes are, so the empty one has one seed.
        let seed = if length == 0 { 0 } else { self.random.next() };
        Content { seed, length: usize::try_from(length).unwrap() }
    }

    fn put(&mut self) {
        let Some(number) = self.free_key() else { return };
        let again =
            self.model.possible(number).into_iter().flatten().next().filter(|_| self.random.one_in(3));
        let content = again.unwrap_or_else(|| self.new_content());
        let Some(buffer) = self.payload(content) else { return };
        let (reply, answer) = Reply::new(None);
        let request = PutRequest {
            key: key(number),
            buffer,
            payload_bytes: u32::try_from(content.length).unwrap(),
            class: Class::Foreground,
            lifetime: Lifetime::Unknown,
        };
        self.busy.insert(number);
        self.pending.push(Pending::Put(number, content, answer));
        self.turn(Some(Command::Put(request, reply)));
    }

    fn payload(&self, content: Content) -> Option<imbrex_zoned::Buffer> {
        let units = record_units(content.length) as usize;
        let mut buffer = self.engine.device().pool().try_allocate(units * UNIT_BYTES)?;
        let mut writer = PayloadWriter::new(content.length);
        for part in content.bytes().chunks(10_000) {
            writer.write(&mut buffer, part).expect("room for the payload");
        }
        writer.finish(&mut buffer).expect("the whole payload");
        Some(buffer)
    }

    fn get(&mut self) {
        let Some(number) = self.free_key() else { return };
        let (reply, answer) = Reply::new(None);
        self.pending.push(Pending::Get(number, answer));
        self.busy.insert(number);
        self.turn(Some(Command::Get(key(number), RangeRequest::Whole, Class::Foreground, reply)));
    }

    fn head(&mut self) {
        let Some(number) = self.free_key() else { return };
        let (reply, answer) = Reply::new(None);
        self.pending.push(Pending::Head(number, answer));
        self.busy.insert(number);
        self.turn(Some(Command::Head(key(number), Class::Foreground, reply)));
    }

    fn delete(&mut self) {
        let Some(number) = self.free_key() else { return };
        let (reply, answer) = Reply::new(None);
        self.pending.push(Pending::Delete(number, answer));
        self.busy.insert(number);
        self.turn(Some(Command::Delete(key(number), Class::Foreground, reply)));
    }

    /// Takes the answers that have come and holds them against the model.
    fn collect(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Put(key, content, mut answer) => match answer.try_recv() {
                    Ok(answer) => self.put_answered(key, content, answer),
                    Err(TryRecvError::Empty) => self.pending.push(Pending::Put(key, content, answer)),
                    Err(TryRecvError::Closed) => panic!("a put of key {key} was dropped"),
                },
                Pending::Delete(key, mut answer) => match answer.try_recv() {
                    Ok(answer) => self.delete_answered(key, answer),
                    Err(TryRecvError::Empty) => self.pending.push(Pending::Delete(key, answer)),
                    Err(TryRecvError::Closed) => panic!("a deletion of key {key} was dropped"),
                },
                Pending::Get(key, mut answer) => match answer.try_recv() {
                    Ok(answer) => self.get_answered(key, answer.map(|block| block.as_ref().to_vec())),
                    Err(TryRecvError::Empty) => self.pending.push(Pending::Get(key, answer)),
                    Err(TryRecvError::Closed) => panic!("a get of key {key} was dropped"),
                },
                Pending::Head(key, mut answer) => match answer.try_recv() {
                    Ok(answer) => self.head_answered(key, answer),
                    Err(TryRecvError::Empty) => self.pending.push(Pending::Head(key, answer)),
                    Err(TryRecvError::Closed) => panic!("a head of key {key} was dropped"),
                },
            }
        }
    }

    fn put_answered(&mut self, key: u64, content: Content, answer: Result<PutOutcome, EngineError>) {
        self.busy.remove(&key);
        let possible = self.model.possible(key);
        match answer {
            Ok(PutOutcome::Stored) => {
                assert!(possible.contains(&None), "key {key} was stored over {possible:?}");
                self.counts.puts += 1;
                self.model.settle(key, Some(content));
            }
            Ok(PutOutcome::AlreadyStored) => {
                assert!(possible.contains(&Some(content)), "key {key} cannot hold these bytes: {possible:?}");
                self.counts.puts_already_stored += 1;
                self.model.settle(key, Some(content));
            }
            Err(EngineError::Conflict) => {
                let other = |held: &&Option<Content>| held.is_some_and(|held| held != content);
                let others: Vec<_> = possible.iter().filter(other).copied().collect();
                assert!(!others.is_empty(), "key {key} conflicts with nothing: {possible:?}");
                self.counts.conflicts += 1;
                if let [only] = others[..] {
                    self.model.settle(key, only);
                }
            }
            Err(EngineError::Full) => self.counts.full += 1,
            Err(error) => panic!("a put of key {key} failed: {error}"),
        }
    }

    fn delete_answered(&mut self, key: u64, answer: Result<(), EngineError>) {
        self.busy.remove(&key);
        let possible = self.model.possible(key);
        match answer {
            Ok(()) => {
                assert!(possible.iter().any(Option::is_some), "key {key} was deleted, and was not there");
                self.counts.deletes += 1;
                self.model.settle(key, None);
            }
            Err(EngineError::NotFound) => {
                assert!(
                    possible.contains(&None),
                    "key {key} was not found, and was acknowledged: {possible:?}"
                );
                self.model.settle(key, None);
            }
            Err(EngineError::Full) => self.counts.full += 1,
            Err(error) => panic!("a deletion of key {key} failed: {error}"),
        }
    }

    fn get_answered(&mut self, key: u64, answer: Result<Vec<u8>, EngineError>) {
        self.busy.remove(&key);
        let possible = self.model.possible(key);
        match answer {
            Ok(bytes) => {
                let held = possible.iter().flatten().find(|content| content.bytes() == bytes);
                let held =
                    *held.unwrap_or_else(|| panic!("key {key} gave bytes that nobody stored: {possible:?}"));
                self.counts.gets += 1;
                self.model.settle(key, Some(held));
            }
            Err(EngineError::NotFound) => {
                assert!(possible.contains(&None), "key {key} is lost: {possible:?}");
                self.counts.absent += 1;
                self.model.settle(key, None);
            }
            Err(error) => panic!("a get of key {key}, which may hold {possible:?}, failed: {error}"),
        }
    }

    fn head_answered(&mut self, key: u64, answer: Result<BlockHead, EngineError>) {
        self.busy.remove(&key);
        let possible = self.model.possible(key);
        match answer {
            Ok(head) => {
                let fits = |content: &Content| content.length == head.payload_bytes as usize;
                assert!(possible.iter().flatten().any(fits), "key {key} has another length: {possible:?}");
            }
            Err(EngineError::NotFound) => {
                assert!(possible.contains(&None), "key {key} is lost: {possible:?}");
            }
            Err(error) => panic!("a head of key {key} failed: {error}"),
        }
    }

    /// Lets the engine finish all that it was asked.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.pending.is_empty() {
                return;
            }
            self.turn(None);
            self.collect();
        }
        panic!("{} operations are never answered: {}", self.pending.len(), self.engine.describe());
    }

    /// Lists everything, in pages of random length, and holds it against the model.
    fn check_listing(&mut self) {
        self.settle();
        let moved = self.engine.stats().moved_blocks;
        let mut listed = BTreeSet::new();
        let mut twice = Vec::new();
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            let limit = 1 + usize::try_from(self.random.below(20)).unwrap();
            let page = self.list(ListRequest { cursor: from, zone: None, limit });
            assert!(page.entries.len() <= limit, "a page is longer than was asked");
            assert!(
                page.next != Some(from) || !page.entries.is_empty(),
                "a listing stands still at {from:?}"
            );
            for entry in page.entries {
                if !listed.insert(entry.key) {
                    twice.push(entry.key);
                }
            }
            cursor = page.next;
        }
        // Only where reclaim has moved something, and so closed a zone, meanwhile.
        let moved = self.engine.stats().moved_blocks - moved;
        assert!(twice.is_empty() || moved > 0, "{twice:?} are listed twice, and nothing was moved");
        for number in 0..KEYS {
            let possible = self.model.possible(number);
            let allowed = if listed.contains(&key(number)) {
                possible.iter().any(Option::is_some)
            } else {
                possible.contains(&None)
            };
            assert!(allowed, "key {number} is listed wrongly: {possible:?}");
        }
        self.counts.listings += 1;
    }

    fn list(&mut self, request: ListRequest) -> Page {
        let (reply, mut answer) = Reply::new(None);
        self.turn(Some(Command::List(request, reply)));
        for _ in 0..10_000 {
            match answer.try_recv() {
                Ok(page) => return page.expect("a page"),
                Err(TryRecvError::Empty) => self.turn(None),
                Err(TryRecvError::Closed) => panic!("a listing was dropped"),
            }
        }
        panic!("a listing is never answered");
    }

    /// Stops the engine in order and starts it again.
    fn restart(&mut self) {
        self.settle();
        self.count_sealed();
        self.engine = start(&self.drive);
        assert_eq!(*self.engine.state(), State::Serving);
        self.counts.restarts += 1;
    }

    /// Cuts the power with whatever is under way, starts again, and reads everything.
    fn cut_power(&mut self) {
        self.count_sealed();
        let seed = self.random.next();
        self.drive.crash(seed).expect("a crash");
        self.engine = start(&self.drive);
        assert_eq!(*self.engine.state(), State::Serving);
        self.counts.power_cuts += 1;
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Put(key, content, _) => {
                    self.counts.cut_off += 1;
                    if self.model.possible(key).contains(&None) {
                        self.model.may_become(key, Some(content));
                    }
                }
                Pending::Delete(key, _) => {
                    self.counts.cut_off += 1;
                    self.model.may_become(key, None);
                }
                Pending::Get(..) | Pending::Head(..) => {}
            }
        }
        self.busy.clear();
        self.read_everything();
    }

    fn read_everything(&mut self) {
        for number in self.model.keys() {
            let (reply, answer) = Reply::new(None);
            self.pending.push(Pending::Get(number, answer));
            self.turn(Some(Command::Get(key(number), RangeRequest::Whole, Class::Foreground, reply)));
            self.settle();
        }
    }

    fn count_sealed(&mut self) {
        self.counts.zones_sealed += self.engine.stats().zones_sealed;
    }

    /// Ends the run: everything is read once more, and listed.
    pub(super) fn end(mut self, total: &mut Counts) {
        self.settle();
        self.read_everything();
        self.check_listing();
        self.count_sealed();
        let counts = &self.counts;
        total.runs += 1;
        total.puts += counts.puts;
        total.puts_already_stored += counts.puts_already_stored;
        total.conflicts += counts.conflicts;
        total.gets += counts.gets;
        total.absent += counts.absent;
        total.deletes += counts.deletes;
        total.full += counts.full;
        total.power_cuts += counts.power_cuts;
        total.cut_off += counts.cut_off;
        total.restarts += counts.restarts;
        total.listings += counts.listings;
        total.zones_sealed += counts.zones_sealed;
    }
}
