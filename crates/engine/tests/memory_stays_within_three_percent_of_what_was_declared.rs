//! The engine says at start what memory it takes. Whatever is asked of it then, the process takes no more: puts of small
//! and large blocks, gets, deletions, listings, reclaim, scrub, checkpoints.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imbrex_engine::clock::Clock;
use imbrex_engine::manual::{Manual, Ticket};
use imbrex_engine::{
    Block, Class, Cursor, EngineError, FormatOrder, Lifetime, Options, Page, PutOutcome, PutRequest,
    RangeRequest, Replace, State,
};
use imbrex_format::{Key, PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::BufferPool;
use support::plain_file::PlainFile;

const ZONES: u32 = 32;
const ZONE_BYTES: u64 = 16 << 20;
const POOL_BYTES: usize = 64 << 20;
/// How many blocks the load has; which of them live changes.
const BLOCKS: usize = 40_000;
const OPERATIONS: usize = 100_000;

/// The memory of this process that is in use, in bytes (proc(5), `status`).
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Time that passes with the turns.
struct TurnClock(AtomicU64);

impl Clock for TurnClock {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn unix_s(&self) -> u64 {
        1_700_000_000 + self.now_us() / 1_000_000
    }
}

enum Waiting {
    Put(u32, Ticket<PutOutcome>),
    Get(u32, Ticket<Block>),
    Delete(u32, Ticket<()>),
    List(Ticket<Page>),
}

struct Load {
    engine: Manual,
    clock: Arc<TurnClock>,
    /// Whether each block lives. Bytes, so that nothing is taken while the load runs.
    lives: Vec<bool>,
    waiting: VecDeque<Waiting>,
    random: u64,
    peak_bytes: u64,
    answered: [u64; 5],
}

fn options() -> Options {
    Options {
        trash_rest: Duration::from_secs(1),
        scrub_period: Duration::from_secs(60),
        checkpoint_bytes: 64 << 20,
        ..Options::default()
    }
}

/// Most blocks are small, some are as large as they may be here.
fn payload_bytes(block: u32) -> u32 {
    match block % 512 {
        0 => 2 << 20,
        1 => 512 << 10,
        2..=20 => 64 << 10,
        rest => 100 + rest * 9,
    }
}

fn key(block: u32) -> Key {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&block.wrapping_mul(0x9E37_79B1).to_le_bytes());
    Key(key)
}

impl Load {
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).unwrap()
    }

    fn operate(&mut self) {
        let place = self.below(BLOCKS);
        let block = u32::try_from(place).unwrap();
        let class = [Class::Foreground, Class::Repair, Class::Background][self.below(3)];
        match self.below(1000) {
            0 => {
                let cursor = Cursor::default();
                self.waiting.push_back(Waiting::List(self.engine.list(cursor, None, 5000)));
            }
            1..=200 => {
                let ticket = self.engine.get(key(block), RangeRequest::Whole, class);
                self.waiting.push_back(Waiting::Get(block, ticket));
            }
            // Rather more blocks live than die, until the drive is full.
            201..=560 => {
                let ticket = self.engine.delete(key(block), class);
                self.waiting.push_back(Waiting::Delete(block, ticket));
            }
            _ => self.put(block, class),
        }
    }

    fn put(&mut self, block: u32, class: Class) {
        let payload_bytes = payload_bytes(block);
        let units = record_units(payload_bytes as usize) as usize;
        let Some(mut buffer) = self.engine.pool().try_allocate(units * UNIT_BYTES) else { return };
        let mut writer = PayloadWriter::new(payload_bytes as usize);
        let bytes = [u8::try_from(block % 251).unwrap(); 4096];
        for begin in (0..payload_bytes as usize).step_by(4096) {
            writer.write(&mut buffer, &bytes[..(payload_bytes as usize - begin).min(4096)]).unwrap();
        }
        writer.finish(&mut buffer).unwrap();
        let lifetime = [Lifetime::Unknown, Lifetime::Short, Lifetime::Long][block as usize % 3];
        let request = PutRequest { key: key(block), buffer, payload_bytes, class, lifetime };
        let ticket = self.engine.put(request);
        self.waiting.push_back(Waiting::Put(block, ticket));
    }

    fn turn(&mut self) {
        self.clock.0.fetch_add(2_000, Ordering::Relaxed);
        self.engine.turn(Duration::ZERO).unwrap();
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else { break };
            if let Some(waiting) = self.answered(waiting) {
                self.waiting.push_back(waiting);
            }
        }
    }

    /// Takes an answer; gives back what has none yet.
    fn answered(&mut self, mut waiting: Waiting) -> Option<Waiting> {
        match &mut waiting {
            Waiting::Put(block, ticket) => match ticket.try_take() {
                None => return Some(waiting),
                Some(Ok(_)) => {
                    self.lives[*block as usize] = true;
                    self.answered[0] += 1;
                }
                Some(Err(EngineError::Full | EngineError::Overloaded { .. })) => self.answered[4] += 1,
                Some(Err(error)) => panic!("a put: {error}"),
            },
            Waiting::Get(block, ticket) => match ticket.try_take() {
                None => return Some(waiting),
                Some(Ok(found)) => {
                    assert_eq!(found.payload_bytes, payload_bytes(*block));
                    self.answered[1] += 1;
                }
                Some(Err(EngineError::NotFound | EngineError::Overloaded { .. })) => {}
                Some(Err(error)) => panic!("a get: {error}"),
            },
            Waiting::Delete(block, ticket) => match ticket.try_take() {
                None => return Some(waiting),
                Some(Ok(())) => {
                    self.lives[*block as usize] = false;
                    self.answered[2] += 1;
                }
                Some(Err(EngineError::NotFound | EngineError::Overloaded { .. })) => {}
                Some(Err(error)) => panic!("a deletion: {error}"),
            },
            Waiting::List(ticket) => match ticket.try_take() {
                None => return Some(waiting),
                Some(Ok(_)) => self.answered[3] += 1,
                Some(Err(EngineError::Overloaded { .. })) => {}
                Some(Err(error)) => panic!("a listing: {error}"),
            },
        }
        None
    }

    fn run(&mut self, operations: usize) {
        for number in 0..operations {
            self.operate();
            let depth = 1 + number / 500 % 1000;
            while self.waiting.len() >= depth {
                self.turn();
            }
            if number % 256 == 0 {
                self.peak_bytes = self.peak_bytes.max(resident_bytes());
            }
        }
        while !self.waiting.is_empty() {
            self.turn();
        }
    }

    /// Time in which nobody asks: scrub, reclaim and the trash have it.
    fn rest(&mut self) {
        for number in 0..50_000 {
            self.turn();
            if number % 256 == 0 {
                self.peak_bytes = self.peak_bytes.max(resident_bytes());
            }
        }
    }
}

#[test]
fn memory_stays_within_three_percent_of_what_was_declared() {
    let lives = vec![true; BLOCKS];
    let mut waiting = VecDeque::with_capacity(1024);
    (0..1024).for_each(|_| waiting.push_back(Waiting::List(Ticket::default())));
    waiting.clear();
    let clock = Arc::new(TurnClock(AtomicU64::new(1)));
    let before_bytes = resident_bytes();

    let device = PlainFile::new(ZONES, ZONE_BYTES, BufferPool::new(POOL_BYTES).unwrap());
    let mut engine = Manual::new(Box::new(device), Arc::clone(&clock) as Arc<dyn Clock>, &options());
    engine.mount();
    let order = FormatOrder { serial: "TEST".into(), replace: Replace::Nothing, blocks_max: Some(100_000) };
    engine.format(order).unwrap();
    assert_eq!(engine.state(), State::Serving);
    let budget = engine.status().memory.clone();
    let declared_bytes = budget.total_bytes();
    let at_start_bytes = resident_bytes() - before_bytes;
    println!("{budget}");

    let mut load = Load {
        engine,
        clock,
        lives,
        waiting,
        random: 88_172_645_463_325_252,
        peak_bytes: 0,
        answered: [0; 5],
    };
    load.run(OPERATIONS);
    load.rest();
    load.run(OPERATIONS / 4);
    let stats = load.engine.stats();
    let peak_bytes = load.peak_bytes - before_bytes;
    println!("declared {declared_bytes}, taken at start {at_start_bytes}, at most {peak_bytes} bytes");
    println!("puts, gets, deletions, listings, refused: {:?}; {stats:?}", load.answered);
    assert!(stats.zones_reset > 0 && stats.moved_blocks > 0 && stats.scrubbed_records > 0);
    assert!(stats.checkpoints > 0);
    // The rest are queues and lists that are declared as full.
    assert!(
        at_start_bytes * 100 >= declared_bytes * 90,
        "{at_start_bytes} bytes of {declared_bytes} at start"
    );
    assert!(peak_bytes * 100 <= declared_bytes * 103, "{peak_bytes} bytes of {declared_bytes}");
}
