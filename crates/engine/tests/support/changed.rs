//! A simulated drive of which a test changes something: whatever it does not change passes as it is.

use std::time::Duration;

use imbrex_zoned::simulated::SimulatedDevice;
use imbrex_zoned::{
    Buffer, BufferPool, Completion, Device, DeviceError, Geometry, Identity, Token, Waker, Zone,
    ZoneOperation,
};

/// What is changed.
pub trait Change: Send {
    /// Takes a write on its way to the drive.
    fn written(&mut self, _token: Token, _buffer: &Buffer) {}

    /// Submits a flush.
    fn flush(&mut self, inner: &mut SimulatedDevice, token: Token) -> Result<(), DeviceError> {
        inner.submit_flush(token)
    }

    /// Waits for the drive.
    fn wait(
        &mut self,
        inner: &mut SimulatedDevice,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError>;
}

/// See the module.
pub struct Changed<C> {
    pub inner: SimulatedDevice,
    pub change: C,
}

impl<C: Change> Device for Changed<C> {
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
        self.change.written(token, &buffer);
        self.inner.submit_write(token, offset_bytes, buffer)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        self.change.flush(&mut self.inner, token)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.inner.submit_zone(token, zone, operation)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        self.change.wait(&mut self.inner, timeout, completions)
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }
}
