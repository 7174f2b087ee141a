//! The time of a run, and a device whose power fails in the middle of a mount.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive};
use imbrex_zoned::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, Token, Waker, Zone,
    ZoneOperation,
};

use crate::clock::Clock;

/// A clock that moves twenty microseconds each time that somebody looks, and further by order.
#[derive(Default)]
pub(super) struct SimulatedClock(AtomicU64);

impl SimulatedClock {
    pub(super) fn advance(&self, us: u64) {
        self.0.fetch_add(us, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now_us(&self) -> u64 {
        self.0.fetch_add(20, Ordering::Relaxed)
    }

    fn unix_s(&self) -> u64 {
        1_700_000_000 + self.0.load(Ordering::Relaxed) / 1_000_000
    }
}

/// A device whose power fails once it has been waited for so many times.
pub(super) struct FailingPower {
    pub(super) device: SimulatedDevice,
    pub(super) drive: SimulatedDrive,
    pub(super) waits_left: u32,
    pub(super) seed: u64,
}

impl Device for FailingPower {
    fn identity(&self) -> &Identity {
        self.device.identity()
    }

    fn geometry(&self) -> &Geometry {
        self.device.geometry()
    }

    fn pool(&self) -> &BufferPool {
        self.device.pool()
    }

    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError> {
        self.device.report_zones()
    }

    fn in_flight_max(&self) -> usize {
        self.device.in_flight_max()
    }

    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)> {
        self.device.submit_read(token, offset_bytes, buffer, length_bytes)
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        self.device.submit_write(token, offset_bytes, buffer)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        self.device.submit_flush(token)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.device.submit_zone(token, zone, operation)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        if self.waits_left == 0 {
            self.drive.crash(self.seed)?;
        }
        self.waits_left = self.waits_left.wrapping_sub(1);
        self.device.wait(timeout, completions)
    }

    fn waker(&self) -> Waker {
        self.device.waker()
    }
}
