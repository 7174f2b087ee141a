//! A small simulated drive, driven one operation at a time.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

use std::time::Duration;

use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use imbrex_zoned::{Buffer, BufferPool, Completion, Device, DeviceError, Token, Zone, ZoneOperation};

pub(crate) const UNIT: u64 = 4096;
pub(crate) const ZONE: u64 = 1 << 20;
pub(crate) const ZONES: u32 = 12;

/// A device on a drive of 12 zones of 1 MiB, the first two conventional; 512 bytes can be read at once.
pub(crate) struct Rig {
    pub(crate) device: SimulatedDevice,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let shape = SimulatedGeometry {
            logical_block_bytes: 512,
            ..SimulatedGeometry::fitted(u64::from(ZONES) * ZONE, ZONE).unwrap()
        };
        Self { device: SimulatedDevice::in_memory(shape, pool()).unwrap() }
    }

    pub(crate) fn drive(&self) -> SimulatedDrive {
        self.device.drive()
    }

    /// Opens the drive anew.
    pub(crate) fn reopen(&mut self) {
        self.device = self.drive().open(pool());
    }

    /// Waits until the one operation in flight has completed.
    pub(crate) fn complete(&mut self) -> Completion {
        let mut completions = Vec::new();
        self.device.wait(None, &mut completions).unwrap();
        assert_eq!(completions.len(), 1);
        completions.remove(0)
    }

    pub(crate) fn filled(&self, bytes: &[u8]) -> Buffer {
        let mut buffer = self.device.pool().try_allocate(bytes.len()).unwrap();
        buffer.copy_from_slice(bytes);
        buffer
    }

    pub(crate) fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let buffer = self.filled(bytes);
        self.device.submit_write(Token(0), offset_bytes, buffer).map_err(|(error, _)| error)?;
        self.complete().result
    }

    /// Writes `units` units of `byte`.
    pub(crate) fn fill(&mut self, offset_bytes: u64, units: u64, byte: u8) -> Result<(), DeviceError> {
        self.write(offset_bytes, &vec![byte; usize::try_from(units * UNIT).unwrap()])
    }

    pub(crate) fn read(&mut self, offset_bytes: u64, length_bytes: u64) -> Result<Vec<u8>, DeviceError> {
        let length = usize::try_from(length_bytes).unwrap();
        let buffer = self.device.pool().try_allocate(length.next_multiple_of(4096)).unwrap();
        self.device.submit_read(Token(1), offset_bytes, buffer, length).map_err(|(error, _)| error)?;
        let Completion { result, buffer, .. } = self.complete();
        result.map(|()| buffer.unwrap()[..length].to_vec())
    }

    pub(crate) fn flush(&mut self) -> Result<(), DeviceError> {
        self.device.submit_flush(Token(2))?;
        self.complete().result
    }

    pub(crate) fn order(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.device.submit_zone(Token(3), zone, operation)?;
        self.complete().result
    }

    pub(crate) fn zone(&mut self, zone: u32) -> Zone {
        self.device.report_zones().unwrap()[zone as usize]
    }

    /// Takes what one wait completes.
    pub(crate) fn wait(&mut self) -> Vec<Completion> {
        let mut completions = Vec::new();
        self.device.wait(Some(Duration::ZERO), &mut completions).unwrap();
        completions
    }
}

pub(crate) fn pool() -> BufferPool {
    BufferPool::new(2 << 20).unwrap()
}

/// A sequence of numbers that its seed determines (Marsaglia's xorshift, 2003).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}
