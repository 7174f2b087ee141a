//! The seam between an engine and a drive: submit an operation, wait, take its completion.
//!
//! A device is owned by one thread. That thread submits and waits; others reach it only through a [`Waker`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Buffer, BufferPool, DeviceError, Geometry, Identity, Zone};

/// The caller's name for an operation in flight. The device hands it back and gives it no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// An order to the state machine of one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneOperation {
    /// Opens the zone explicitly.
    Open,
    /// Closes an open zone; it stays active.
    Close,
    /// Moves the write pointer to the end: nothing more can be written until a reset.
    Finish,
    /// Forgets everything in the zone and returns the write pointer to its start.
    Reset,
}

/// The end of one operation.
#[derive(Debug)]
pub struct Completion {
    /// The token given at submission.
    pub token: Token,
    /// What became of the operation. A write that failed may have written any prefix.
    pub result: Result<(), DeviceError>,
    /// The buffer given at submission, for a read or a write.
    pub buffer: Option<Buffer>,
}

/// Interrupts [`Device::wait`] from any thread. A wake that comes while nobody waits is kept for the next wait.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    /// A waker that calls `wake`, which must neither block nor panic.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Interrupts the wait.
    pub fn wake(&self) {
        (self.0)();
    }
}

/// A zoned drive that does direct I/O from buffers of its own pool.
///
/// Submissions never block. A submission is refused with [`DeviceError::QueueFull`] where as many operations are
/// in flight as [`Device::in_flight_max`] allows; every other error of an operation comes with its completion.
pub trait Device: Send {
    /// Who the drive is.
    fn identity(&self) -> &Identity;

    /// The drive's shape.
    fn geometry(&self) -> &Geometry;

    /// The pool that every buffer submitted to this device comes from.
    fn pool(&self) -> &BufferPool;

    /// All zones, in order. Blocks, for seconds on a large drive: used once, before a drive serves.
    ///
    /// # Errors
    ///
    /// Where the drive does not answer, or describes a zone in a way that this crate does not know.
    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError>;

    /// The largest number of operations in flight.
    fn in_flight_max(&self) -> usize;

    /// Reads `length_bytes` from byte `offset_bytes` of the drive into the start of `buffer`.
    ///
    /// Offset and length are multiples of the logical block; the length is at most the buffer's.
    ///
    /// # Errors
    ///
    /// [`DeviceError::QueueFull`] hands the buffer back.
    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)>;

    /// Writes the whole of `buffer` at byte `offset_bytes` of the drive.
    ///
    /// Large writes are cut by the device and sent one part after another, so that one is in flight per zone.
    /// Done is not durable: see [`Device::submit_flush`].
    ///
    /// # Errors
    ///
    /// [`DeviceError::QueueFull`] hands the buffer back.
    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)>;

    /// Makes durable every write that had completed when the flush was submitted.
    ///
    /// # Errors
    ///
    /// [`DeviceError::QueueFull`].
    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError>;

    /// Orders `operation` on zone `zone`.
    ///
    /// # Errors
    ///
    /// [`DeviceError::QueueFull`].
    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError>;

    /// Appends finished operations to `completions`. Waits for at least one, for a wake, or for `timeout`
    /// (`None`: for ever); with nothing in flight it waits for a wake or the timeout alone.
    ///
    /// # Errors
    ///
    /// Where the means of waiting itself has failed: nothing more can be expected of the device.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError>;

    /// A handle that interrupts [`Device::wait`].
    fn waker(&self) -> Waker;
}

impl Device for Box<dyn Device> {
    fn identity(&self) -> &Identity {
        (**self).identity()
    }

    fn geometry(&self) -> &Geometry {
        (**self).geometry()
    }

    fn pool(&self) -> &BufferPool {
        (**self).pool()
    }

    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError> {
        (**self).report_zones()
    }

    fn in_flight_max(&self) -> usize {
        (**self).in_flight_max()
    }

    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)> {
        (**self).submit_read(token, offset_bytes, buffer, length_bytes)
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        (**self).submit_write(token, offset_bytes, buffer)
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        (**self).submit_flush(token)
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        (**self).submit_zone(token, zone, operation)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        (**self).wait(timeout, completions)
    }

    fn waker(&self) -> Waker {
        (**self).waker()
    }
}
