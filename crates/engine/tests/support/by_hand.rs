//! An engine that a test runs turn by turn, over a simulated drive in memory and with a clock of its own: nothing
//! happens between two turns, and no time passes but what the test lets pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use imbrex_engine::clock::Clock;
use imbrex_engine::manual::{Manual, Ticket};
use imbrex_engine::{
    Class, EngineError, FormatOrder, Lifetime, Options, PutOutcome, PutRequest, RangeRequest, Replace,
    ScrubStatus, ZoneRole, ZoneStatus,
};
use imbrex_format::{Key, PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Condition, Device};

/// The memory for buffers: some of the largest blocks at once.
const POOL_BYTES: usize = 48 << 20;

/// How much simulated time a turn takes, in microseconds.
const TURN_US: u64 = 1000;

/// How many turns any request is answered in: three minutes of simulated time.
const TURNS_MAX: u32 = 180_000;

/// A clock that stands still until the test moves it: its time in microseconds, and by how many seconds the time of day is
/// ahead.
#[derive(Default)]
pub struct StandingClock(AtomicU64, AtomicU64);

impl Clock for StandingClock {
    fn now_us(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn unix_s(&self) -> u64 {
        1_700_000_000 + self.0.load(Relaxed) / 1_000_000 + self.1.load(Relaxed)
    }
}

/// See the module.
pub struct Bench {
    pub engine: Manual,
    pub drive: SimulatedDrive,
    pub clock: Arc<StandingClock>,
    options: Options,
    pool: BufferPool,
}

/// A geometry of small zones, with the serial that the bench's format order names.
pub fn small_drive(zone_count: u32, zone_size_bytes: u64) -> SimulatedGeometry {
    SimulatedGeometry {
        zone_count,
        zone_size_bytes,
        zone_capacity_bytes: zone_size_bytes,
        serial: Some("TEST".into()),
        ..SimulatedGeometry::default()
    }
}

impl Bench {
    /// A formatted drive that serves.
    pub fn formatted(geometry: SimulatedGeometry, options: Options) -> Self {
        Self::formatted_over(geometry, options, |_| ())
    }

    /// The same, of a drive on which a zone was offline before it was formatted.
    pub fn formatted_without(geometry: SimulatedGeometry, options: Options, zone: u32) -> Self {
        Self::formatted_over(geometry, options, |drive| drive.wear_out(zone, Condition::Offline).unwrap())
    }

    fn formatted_over(
        geometry: SimulatedGeometry,
        options: Options,
        prepare: impl FnOnce(&SimulatedDrive),
    ) -> Self {
        let pool = BufferPool::new(POOL_BYTES).unwrap();
        let device = SimulatedDevice::in_memory(geometry, pool.clone()).unwrap();
        let drive = device.drive();
        prepare(&drive);
        let clock = Arc::<StandingClock>::default();
        let engine = Manual::new(Box::new(device), clock.clone(), &options);
        let mut bench = Self { engine, drive, clock, options, pool };
        bench.engine.mount();
        let order =
            FormatOrder { serial: "TEST".into(), replace: Replace::Nothing, blocks_max: Some(10_000) };
        bench.engine.format(order).unwrap();
        bench
    }

    /// Cuts the power, and mounts the drive again. `seed` decides what the drive keeps of what was not flushed.
    pub fn crash(&mut self, seed: u64) {
        self.drive.crash(seed).unwrap();
        self.reopen();
    }

    /// Mounts the drive again with a new engine.
    pub fn reopen(&mut self) {
        // Of its own memory: the engine before lets go of what it holds when it is dropped.
        self.pool = BufferPool::new(POOL_BYTES).unwrap();
        let device = self.drive.open(self.pool.clone());
        self.reopen_over(device);
    }

    /// Mounts the drive again, over a device that a test has wrapped.
    pub fn reopen_over(&mut self, device: impl Device + 'static) {
        self.pool = device.pool().clone();
        self.engine = Manual::new(Box::new(device), self.clock.clone(), &self.options);
        self.engine.mount();
    }

    /// One turn, and a millisecond.
    pub fn turn(&mut self) {
        self.engine.turn(Duration::ZERO).unwrap();
        self.clock.0.fetch_add(TURN_US, Relaxed);
    }

    /// Lets time pass in which the engine does not turn.
    pub fn jump(&mut self, duration: Duration) {
        self.clock.0.fetch_add(u64::try_from(duration.as_micros()).unwrap(), Relaxed);
    }

    /// Sets the time of day so much ahead of what it is.
    pub fn set_clock_ahead(&mut self, ahead: Duration) {
        self.clock.1.store(ahead.as_secs(), Relaxed);
    }

    /// Lets time pass, with turns in it, in steps of a tenth of it.
    pub fn pass(&mut self, duration: Duration) {
        for _ in 0..10 {
            self.clock.0.fetch_add(u64::try_from(duration.as_micros()).unwrap() / 10, Relaxed);
            self.turns(200);
        }
    }

    pub fn turns(&mut self, count: u32) {
        (0..count).for_each(|_| self.turn());
    }

    /// Simulated time since the start, in microseconds.
    pub fn now_us(&self) -> u64 {
        self.clock.0.load(Relaxed)
    }

    /// Turns until the answer is there.
    pub fn answer<T>(&mut self, mut ticket: Ticket<T>) -> Result<T, EngineError> {
        for _ in 0..TURNS_MAX {
            if let Some(answer) = ticket.try_take() {
                return answer;
            }
            self.turn();
        }
        panic!("a request is never answered");
    }

    /// Turns until `condition` is true.
    pub fn until(&mut self, mut condition: impl FnMut(&mut Self) -> bool) {
        for _ in 0..TURNS_MAX {
            if condition(self) {
                return;
            }
            self.turn();
        }
        panic!("a condition is never met");
    }

    pub fn request(&self, key: Key, bytes: &[u8], lifetime: Lifetime) -> PutRequest {
        let units = record_units(bytes.len()) as usize;
        let mut buffer = self.pool.try_allocate(units * UNIT_BYTES).unwrap();
        let mut writer = PayloadWriter::new(bytes.len());
        writer.write(&mut buffer, bytes).unwrap();
        writer.finish(&mut buffer).unwrap();
        let payload_bytes = u32::try_from(bytes.len()).unwrap();
        PutRequest { key, buffer, payload_bytes, class: Class::Foreground, lifetime }
    }

    /// Begins to store block `number`, of `length` bytes.
    pub fn begin_put(&mut self, number: u32, length: usize) -> Ticket<PutOutcome> {
        let request = self.request(key(number), &content(number, length), Lifetime::Unknown);
        self.engine.put(request)
    }

    pub fn put(&mut self, number: u32, length: usize) -> Result<PutOutcome, EngineError> {
        let ticket = self.begin_put(number, length);
        self.answer(ticket)
    }

    /// Turns so many times; gives the numbers of those blocks that were stored meanwhile. Their tickets are taken out.
    pub fn stored_in(&mut self, turns: u32, tickets: &mut Vec<(u32, Ticket<PutOutcome>)>) -> Vec<u32> {
        let mut stored = Vec::new();
        for _ in 0..turns {
            self.turn();
            tickets.retain_mut(|(number, ticket)| match ticket.try_take() {
                None => true,
                Some(answer) => {
                    assert_eq!(answer, Ok(PutOutcome::Stored));
                    stored.push(*number);
                    false
                }
            });
        }
        stored
    }

    pub fn begin_delete(&mut self, number: u32) -> Ticket<()> {
        self.engine.delete(key(number), Class::Foreground)
    }

    pub fn delete(&mut self, number: u32) -> Result<(), EngineError> {
        let ticket = self.begin_delete(number);
        self.answer(ticket)
    }

    /// The length of block `number`, once all of it has been compared.
    pub fn get(&mut self, number: u32) -> Result<usize, EngineError> {
        let ticket = self.engine.get(key(number), RangeRequest::Whole, Class::Foreground);
        let block = self.answer(ticket)?;
        assert_eq!(block.as_ref(), content(number, block.as_ref().len()), "block {number}");
        Ok(block.as_ref().len())
    }

    pub fn zones(&mut self) -> Vec<ZoneStatus> {
        let ticket = self.engine.zones();
        self.answer(ticket).unwrap()
    }

    /// The zones in a role.
    pub fn zones_in(&mut self, role: ZoneRole) -> Vec<ZoneStatus> {
        self.zones().into_iter().filter(|zone| zone.role == role).collect()
    }

    /// Has everything scrubbed once, labels and checkpoint too; gives what the scrub tells then.
    pub fn scrub_all(&mut self) -> ScrubStatus {
        // Turns are remembered in seconds: what was scrubbed in this one would count.
        self.jump(Duration::from_secs(2));
        let ticket = self.engine.scrub(true);
        self.answer(ticket).unwrap();
        let mut status = ScrubStatus::default();
        self.until(|bench| {
            bench.turns(50);
            let ticket = bench.engine.scrub(false);
            status = bench.answer(ticket).unwrap();
            status.covered_zones == status.zones && status.slots_unix_s >= status.pass_since_unix_s
        });
        status
    }

    /// Stores blocks of `length` bytes from `first` on until one is refused; gives the number of that one, and why.
    pub fn fill(&mut self, first: u32, length: usize) -> (u32, EngineError) {
        for number in first..first + 100_000 {
            if let Err(error) = self.put(number, length) {
                return (number, error);
            }
        }
        panic!("the drive is never full");
    }
}

pub fn key(number: u32) -> Key {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Key(bytes)
}

pub fn content(number: u32, length: usize) -> Vec<u8> {
    // A piece of a prime length, over and over: no two units of a block are the same.
    let first = number.wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let piece: Vec<u8> = (0..251).map(|at| first ^ at).collect();
    piece.iter().copied().cycle().take(length).collect()
}
