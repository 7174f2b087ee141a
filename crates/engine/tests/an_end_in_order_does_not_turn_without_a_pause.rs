//! While an engine that was told to end writes its last checkpoint, it waits for the drive and does not turn without a pause:
//! what is due and will not be begun any more keeps it from no wait.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use imbrex_engine::Options;
use imbrex_zoned::simulated::SimulatedDevice;
use imbrex_zoned::{BufferPool, Completion, Device, DeviceError};
use support::by_hand::{Bench, small_drive};
use support::changed::{Change, Changed};

const LENGTH: usize = 100_000;
/// In so many turns an engine ends that has five blocks.
const TURNS_MAX: u32 = 10_000;

/// Notes how long the engine would wait for the drive.
struct Noting {
    waits: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl Change for Noting {
    fn wait(
        &mut self,
        inner: &mut SimulatedDevice,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        self.waits.lock().unwrap().push(timeout);
        // Nothing else comes in this test, so what is in flight ends now.
        inner.wait(Some(Duration::ZERO), completions)
    }
}

#[test]
fn an_end_in_order_does_not_turn_without_a_pause() {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), options);
    let waits = Arc::<Mutex<Vec<_>>>::default();
    let inner = bench.drive.open(BufferPool::new(48 << 20).unwrap());
    bench.reopen_over(Changed { inner, change: Noting { waits: waits.clone() } });
    for number in 0..5 {
        bench.put(number, LENGTH).unwrap();
    }
    // By now it would be looked which zone is to be scrubbed.
    bench.jump(Duration::from_secs(3600));
    let ticket = bench.engine.stop();
    waits.lock().unwrap().clear();
    let mut turns = 0;
    while !bench.engine.is_finished() {
        bench.engine.turn(Duration::from_secs(1)).unwrap();
        turns += 1;
        assert!(turns < TURNS_MAX, "it never ends");
    }
    drop(ticket);
    assert_eq!(bench.engine.stats().checkpoints, 1, "the last one");
    let waits = waits.lock().unwrap();
    let paused = waits.iter().filter(|wait| wait.is_none_or(|wait| wait > Duration::ZERO)).count();
    // The turn in which it turns out that nothing is left waits for nothing.
    assert!(waits.len() > 4 && paused + 1 >= waits.len(), "{paused} of {} turns had a pause", waits.len());
}
