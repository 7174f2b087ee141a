//! One operation at a time, waited for: for mounting and formatting, before a drive serves.

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::{Buffer, BufferPool, Completion, Device, DeviceError, Token, ZoneOperation};

/// How many units one read takes at most: the table of a zone with as many records as a footer can list.
pub(crate) const WINDOW_UNITS_MAX: u32 = 1024;

/// How often a place is read that cannot be read at once.
const READS_MAX: u32 = 3;

/// A device of which nothing is in flight, and a window of memory to read into.
pub(crate) struct Blocking<'a> {
    device: &'a mut dyn Device,
    completions: Vec<Completion>,
    window: Option<Buffer>,
    window_units: u32,
    /// What the window holds: zone, first unit, number of units.
    loaded: (u32, u32, u32),
    unit: Option<Buffer>,
    zone_units: u64,
}

/// The pool has no room for what mounting needs.
const NO_MEMORY: DeviceError = DeviceError::System { operation: "taking memory for a mount", errno: 12 };

impl<'a> Blocking<'a> {
    /// Takes the device, which must have nothing in flight, and a window from its pool.
    ///
    /// # Errors
    ///
    /// Where the pool has no room for the window.
    pub(crate) fn new(device: &'a mut dyn Device) -> Result<Self, DeviceError> {
        let pool: &BufferPool = device.pool();
        let take = |units: usize| pool.try_allocate(units * UNIT_BYTES).ok_or(NO_MEMORY);
        let zone_units = device.geometry().zone_size_bytes / UNIT_BYTES as u64;
        let window_units =
            u32::try_from(zone_units).map_or(WINDOW_UNITS_MAX, |units| units.min(WINDOW_UNITS_MAX));
        let (window, unit) = (take(window_units as usize)?, take(1)?);
        Ok(Self {
            device,
            completions: Vec::with_capacity(1),
            window: Some(window),
            window_units,
            loaded: (0, 0, 0),
            unit: Some(unit),
            zone_units,
        })
    }

    /// The device.
    pub(crate) fn device(&self) -> &dyn Device {
        self.device
    }

    fn offset_bytes(&self, zone: u32, unit: u32) -> u64 {
        (u64::from(zone) * self.zone_units + u64::from(unit)) * UNIT_BYTES as u64
    }

    /// How many units one read takes at most on this drive.
    pub(crate) fn window_units(&self) -> u32 {
        self.window_units
    }

    /// Reads `unit_count` units, at most [`Self::window_units`]. What cannot be read is tried again: what a mount cannot read
    /// it takes for lost.
    pub(crate) fn read(&mut self, zone: u32, unit: u32, unit_count: u32) -> Result<&[u8], DeviceError> {
        for _ in 1..READS_MAX {
            match self.read_once(zone, unit, unit_count) {
                Err(DeviceError::MediumRead { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        if self.loaded != (zone, unit, unit_count) {
            self.read_once(zone, unit, unit_count)?;
        }
        let length = unit_count as usize * UNIT_BYTES;
        self.window.as_ref().map(|buffer| &buffer[..length]).ok_or(NO_MEMORY)
    }

    fn read_once(&mut self, zone: u32, unit: u32, unit_count: u32) -> Result<(), DeviceError> {
        let (offset, length) = (self.offset_bytes(zone, unit), unit_count as usize * UNIT_BYTES);
        self.loaded = (0, 0, 0);
        let buffer = self.window.take().ok_or(NO_MEMORY)?;
        match self.device.submit_read(Token(0), offset, buffer, length) {
            Ok(()) => {
                let completion = self.finished()?;
                self.window = completion.buffer;
                completion.result?;
            }
            Err((error, buffer)) => {
                self.window = Some(buffer);
                return Err(error);
            }
        }
        self.loaded = (zone, unit, unit_count);
        Ok(())
    }

    /// The units from `unit` on, at least `needed` of them: what the last read brought, or else what a read of
    /// `wanted` units (not beyond unit `end`) brings.
    pub(crate) fn look(
        &mut self,
        zone: u32,
        unit: u32,
        needed: u32,
        wanted: u32,
        end: u32,
    ) -> Result<&[u8], DeviceError> {
        let (loaded_zone, first, count) = self.loaded;
        if loaded_zone == zone && first <= unit && unit + needed <= first + count {
            let begin = (unit - first) as usize * UNIT_BYTES;
            let end = count as usize * UNIT_BYTES;
            return self.window.as_ref().map(|buffer| &buffer[begin..end]).ok_or(NO_MEMORY);
        }
        let wanted = wanted.max(needed).min(self.window_units).min(end.saturating_sub(unit));
        self.read(zone, unit, wanted)
    }

    /// Writes one unit, which `fill` makes out of zeros.
    pub(crate) fn write_unit(
        &mut self,
        zone: u32,
        unit: u32,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), DeviceError> {
        let offset = self.offset_bytes(zone, unit);
        let mut buffer = self.unit.take().ok_or(NO_MEMORY)?;
        buffer.fill(0);
        fill(&mut buffer);
        match self.device.submit_write(Token(0), offset, buffer) {
            Ok(()) => {
                let completion = self.finished()?;
                self.unit = completion.buffer;
                completion.result
            }
            Err((error, buffer)) => {
                self.unit = Some(buffer);
                Err(error)
            }
        }
    }

    /// Makes every completed write durable.
    pub(crate) fn flush(&mut self) -> Result<(), DeviceError> {
        self.device.submit_flush(Token(0))?;
        self.finished()?.result
    }

    /// Orders an operation on a zone.
    pub(crate) fn zone(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        self.device.submit_zone(Token(0), zone, operation)?;
        self.finished()?.result
    }

    fn finished(&mut self) -> Result<Completion, DeviceError> {
        loop {
            if let Some(completion) = self.completions.pop() {
                return Ok(completion);
            }
            self.device.wait(None, &mut self.completions)?;
        }
    }
}
