//! A simulated drive with faults that a test switches on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use imbrex_zoned::simulated::SimulatedDevice;
use imbrex_zoned::{
    Buffer, BufferPool, Completion, Condition, Device, DeviceError, Geometry, Identity, Token, Waker, Zone,
    ZoneOperation,
};

/// The switches, shared with the device.
#[derive(Clone, Default)]
pub struct Faults {
    /// A byte of the drive, plus one, that no read can pass over; 0 for none.
    pub unreadable: Arc<AtomicU64>,
    /// The drive can no longer be waited for.
    pub dead: Arc<AtomicBool>,
    /// A zone, plus one, that the drive shows as offline; 0 for none.
    pub offline: Arc<AtomicU64>,
    /// How many times the drive is waited for before a read ends; 0 for at once.
    pub read_waits: Arc<AtomicU64>,
    /// Flushes do not end.
    pub holds_flushes: Arc<AtomicBool>,
}

/// See the module.
pub struct Faulty {
    inner: SimulatedDevice,
    faults: Faults,
    failed: Vec<Completion>,
    /// Reads that have not ended, with how often the drive is still waited for.
    slow: Vec<(u64, Completion)>,
    flushes: Vec<Token>,
}

impl Faults {
    fn is_offline(&self, zone: u32) -> bool {
        self.offline.load(SeqCst) == u64::from(zone) + 1
    }
}

impl Faulty {
    pub fn new(inner: SimulatedDevice, faults: Faults) -> Self {
        Self { inner, faults, failed: Vec::new(), slow: Vec::new(), flushes: Vec::new() }
    }
}

impl Device for Faulty {
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
        let mut zones = self.inner.report_zones()?;
        let hidden = zones.iter_mut().filter(|zone| self.faults.is_offline(zone.index));
        hidden.for_each(|zone| (zone.condition, zone.write_pointer_bytes) = (Condition::Offline, None));
        Ok(zones)
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
        let length = length_bytes as u64;
        let zone = u32::try_from(offset_bytes / self.inner.geometry().zone_size_bytes).unwrap();
        if self.faults.is_offline(zone) {
            let result = Err(DeviceError::ZoneCondition { zone, condition: Condition::Offline });
            self.failed.push(Completion { token, result, buffer: Some(buffer) });
            return Ok(());
        }
        let unreadable = self.faults.unreadable.load(SeqCst);
        if (offset_bytes + 1..=offset_bytes + length).contains(&unreadable) {
            let result = Err(DeviceError::MediumRead { offset_bytes, length_bytes: length });
            self.failed.push(Completion { token, result, buffer: Some(buffer) });
            return Ok(());
        }
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
        self.flushes.push(token);
        Ok(())
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.inner.submit_zone(token, zone, operation)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        if self.faults.dead.load(SeqCst) {
            return Err(DeviceError::System { operation: "waiting", errno: 5 });
        }
        if !self.faults.holds_flushes.load(SeqCst) {
            self.flushes.drain(..).try_for_each(|token| self.inner.submit_flush(token))?;
        }
        if !self.failed.is_empty() {
            completions.append(&mut self.failed);
            return Ok(());
        }
        let read_waits = self.faults.read_waits.load(SeqCst);
        if read_waits > 0 || !self.slow.is_empty() {
            let mut done = Vec::new();
            self.inner.wait(Some(Duration::ZERO), &mut done)?;
            self.slow.extend(done.into_iter().map(|completion| {
                let is_read = completion.buffer.is_some() && completion.token.0 >> 32 == 0;
                (if is_read { read_waits } else { 0 }, completion)
            }));
            let slow = std::mem::take(&mut self.slow);
            let (ended, slow): (Vec<_>, Vec<_>) = slow.into_iter().partition(|(waits, _)| *waits == 0);
            self.slow = slow.into_iter().map(|(waits, completion)| (waits - 1, completion)).collect();
            completions.extend(ended.into_iter().map(|(_, completion)| completion));
            return Ok(());
        }
        // Switches are not announced, so nobody is waited for long.
        let soon = Duration::from_millis(5);
        self.inner.wait(Some(timeout.map_or(soon, |timeout| timeout.min(soon))), completions)
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }
}
