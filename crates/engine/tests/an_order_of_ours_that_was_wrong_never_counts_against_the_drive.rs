//! A write that the drive refuses because it was put wrongly is our defect: it is made elsewhere like any that fails, and is
//! no error of the drive's. What the drive itself fails is one.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imbrex_engine::{Options, PutOutcome, State};
use imbrex_zoned::simulated::SimulatedDevice;
use imbrex_zoned::{Buffer, BufferPool, Completion, Device, DeviceError, Token};
use support::by_hand::{Bench, small_drive};
use support::changed::{Change, Changed};

const LENGTH: usize = 50_000;

/// A drive that answers the next write with an error.
struct Refusing {
    next: Arc<Mutex<Option<DeviceError>>>,
    writes: HashSet<u64>,
}

impl Change for Refusing {
    fn written(&mut self, token: Token, _: &Buffer) {
        self.writes.insert(token.0);
    }

    fn wait(
        &mut self,
        inner: &mut SimulatedDevice,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        inner.wait(timeout, completions)?;
        for completion in completions {
            if self.writes.remove(&completion.token.0)
                && let Some(error) = self.next.lock().unwrap().take()
            {
                completion.result = Err(error);
            }
        }
        Ok(())
    }
}

/// How many errors of writing the engine counts after one write was answered with `error`.
fn counted(error: DeviceError) -> u64 {
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), Options::default());
    for number in 0..5 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    let next = Arc::new(Mutex::new(None));
    let change = Refusing { next: Arc::clone(&next), writes: HashSet::new() };
    let inner = bench.drive.open(BufferPool::new(48 << 20).unwrap());
    bench.reopen_over(Changed { inner, change });
    *next.lock().unwrap() = Some(error);
    for number in 5..8 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored), "it is made elsewhere");
    }
    assert!(next.lock().unwrap().is_none(), "no write was answered so");
    assert_eq!(bench.engine.state(), State::Serving);
    for number in 0..8 {
        assert_eq!(bench.get(number), Ok(LENGTH), "block {number}");
    }
    // Figures are published every 50 ms.
    bench.turns(100);
    let stats = bench.engine.stats();
    assert_eq!(stats.zones_fenced, 1);
    stats.write_errors
}

#[test]
fn and_what_the_drive_failed_does() {
    let (offset_bytes, length_bytes) = (2 << 20, 4096);
    for ours in [
        DeviceError::Unaligned { offset_bytes, length_bytes },
        DeviceError::OutOfBounds { offset_bytes, length_bytes },
        DeviceError::NotAtWritePointer { zone: 1, write_pointer_bytes: 0, offset_bytes: 4096 },
        DeviceError::TooManyOpenZones { zone: 1 },
    ] {
        assert_eq!(counted(ours.clone()), 0, "{ours:?}");
    }
    assert_eq!(counted(DeviceError::MediumWrite { offset_bytes, length_bytes }), 1);
}
