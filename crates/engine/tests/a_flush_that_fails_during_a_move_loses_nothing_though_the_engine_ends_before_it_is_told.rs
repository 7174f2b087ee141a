//! A drive can lose at a flush what it had taken long before, and keep what is written next. Where it loses a block that is
//! being moved, and the engine ends before it has learned of it, the copy that was acknowledged is still there.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, ZoneRole};
use imbrex_zoned::simulated::{FaultRates, SimulatedDevice, SimulatedDrive};
use imbrex_zoned::{Buffer, BufferPool, Completion, Condition, Device, DeviceError, Token};
use support::by_hand::{Bench, small_drive};
use support::changed::{Change, Changed};

const LENGTH: usize = 50_000;
const COUNT: u32 = 16;
const SEEDS: u64 = 24;
/// In so many turns the first moved block is on its way.
const TURNS_MAX: u32 = 500;

/// A drive of which the flushes fail as soon as a moved block has been written, and which does not tell.
struct Silent {
    drive: SimulatedDrive,
    /// Whether flushes are held back from now on, to fail then.
    is_armed: Arc<AtomicBool>,
    has_struck: Arc<AtomicBool>,
    held: Vec<Token>,
    /// Whether the write in flight with a token begins with a moved block.
    moving: HashMap<u64, bool>,
}

/// Whether a record that has an older birth than itself stands first (FORMAT.md, "Record").
fn is_moved(bytes: &[u8]) -> bool {
    let sequence_and_birth = (&bytes[56..64], &bytes[64..72]);
    bytes[..4] == *b"IBRK" && bytes[8..10] == [1, 0] && sequence_and_birth.0 != sequence_and_birth.1
}

impl Silent {
    /// The flushes that were held back are carried out, and fail; nobody is told.
    fn strike(
        &mut self,
        inner: &mut SimulatedDevice,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        self.drive.fail_next_flush();
        for token in self.held.drain(..) {
            inner.submit_flush(token)?;
            let mut done = Vec::new();
            inner.wait(Some(Duration::ZERO), &mut done)?;
            completions.extend(done.into_iter().filter(|completion| completion.token != token));
        }
        self.has_struck.store(true, SeqCst);
        Ok(())
    }
}

impl Change for Silent {
    fn written(&mut self, token: Token, buffer: &Buffer) {
        self.moving.insert(token.0, is_moved(buffer));
    }

    fn flush(&mut self, inner: &mut SimulatedDevice, token: Token) -> Result<(), DeviceError> {
        if self.is_armed.load(SeqCst) {
            self.held.push(token);
            return Ok(());
        }
        inner.submit_flush(token)
    }

    fn wait(
        &mut self,
        inner: &mut SimulatedDevice,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        inner.wait(timeout, completions)?;
        let moved =
            completions.iter().any(|completion| self.moving.remove(&completion.token.0) == Some(true));
        if moved && !self.held.is_empty() && !self.has_struck.load(SeqCst) {
            self.strike(inner, completions)?;
        }
        Ok(())
    }
}

#[test]
fn and_the_old_copy_is_there() {
    for seed in 0..SEEDS {
        let mut bench = Bench::formatted(small_drive(24, 1 << 20), Options::default());
        for number in 0..COUNT {
            assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
        }
        // Everything is about to be moved out of a zone that has turned read-only.
        let open = bench.zones_in(ZoneRole::Open)[0].zone;
        bench.drive.wear_out(open, Condition::ReadOnly).unwrap();
        let (is_armed, has_struck) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let change = Silent {
            drive: bench.drive.clone(),
            is_armed: is_armed.clone(),
            has_struck: has_struck.clone(),
            held: Vec::new(),
            moving: HashMap::new(),
        };
        let inner = bench.drive.open(BufferPool::new(48 << 20).unwrap());
        bench.reopen_over(Changed { inner, change });
        bench.drive.set_faults(seed, FaultRates::none());
        // A client's block is being flushed, and moved ones are written meanwhile.
        is_armed.store(true, SeqCst);
        let ticket = bench.begin_put(1000, 5_000);
        let mut turns = 0;
        while !has_struck.load(SeqCst) {
            bench.turn();
            turns += 1;
            assert!(turns < TURNS_MAX, "seed {seed}: nothing was moved while a client's block was flushed");
        }
        bench.turns(20);
        drop(ticket);
        // The process is killed, and the drive stays under power; or that goes too.
        if seed % 4 == 0 {
            bench.crash(seed);
        } else {
            bench.reopen();
        }
        for number in 0..COUNT {
            assert_eq!(bench.get(number), Ok(LENGTH), "block {number}, seed {seed}");
        }
    }
}
