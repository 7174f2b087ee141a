//! While an engine that was told to end writes its last checkpoint, it waits for the drive and does not turn without a pause:
//! what is due and will not be begun any more keeps it from no wait.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use imbrex_engine::Options;
use imbrex_zoned::simulated::SimulatedDevice;
use imbrex_zoned::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, Token, Waker, Zone,
    ZoneOperation,
};
use support::by_hand::{Bench, small_drive};

const LENGTH: usize = 100_000;
/// In so many turns an engine ends that has five blocks.
const TURNS_MAX: u32 = 10_000;

/// A drive that notes how long the engine would wait for it.
struct Noting {
    inner: SimulatedDevice,
    waits: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl Device for Noting {
    fn identity(&self) -> &Identity {
        self.inner.identity()
    }

    fn geometry(&self) -> &Geometry {
        self.inner.geometry()
    }

    fn pool(&self) -> &BufferPool {
        self.inner.pool()
    }

    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError> {
        self.inner.report_zones()
    }

    fn in_flight_max(&self) -> usize {
        self.inner.in_flight_max()
    }

    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)> {
        self.inner.submit_read(token, offset_bytes, buffer, length_bytes)
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        self.inner.submit_write(token, offset_bytes, buffer)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        self.inner.submit_flush(token)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.inner.submit_zone(token, zone, operation)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        self.waits.lock().unwrap().push(timeout);
        // Nothing else comes in this test, so what is in flight ends now.
        self.inner.wait(Some(Duration::ZERO), completions)
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }
}

#[test]
fn an_end_in_order_does_not_turn_without_a_pause() {
    let options = Options { trash_rest: Duration::from_secs(1), ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 1 << 20), options);
    let waits = Arc::<Mutex<Vec<_>>>::default();
    let inner = bench.drive.open(BufferPool::new(48 << 20).unwrap());
    bench.reopen_over(Noting { inner, waits: waits.clone() });
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
