//! One operation at a time on a device, and patterns to tell bytes apart.

use std::time::Duration;

use imbrex_zoned::{Buffer, Completion, Device, DeviceError, Geometry, Token, Zone, ZoneKind, ZoneOperation};

/// How long a device may be silent before the run is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A device, and what has been asked of it.
pub(crate) struct Harness<'a> {
    pub(crate) device: &'a mut dyn Device,
    pub(crate) geometry: Geometry,
    pub(crate) zones: Vec<Zone>,
    pub(crate) operations: u64,
    next_token: u64,
}

impl<'a> Harness<'a> {
    pub(crate) fn new(device: &'a mut dyn Device) -> Result<Self, String> {
        let geometry = device.geometry().clone();
        let zones = device.report_zones().map_err(|error| error.to_string())?;
        Ok(Self { device, geometry, zones, operations: 0, next_token: 0 })
    }

    pub(crate) fn report(&mut self) -> Result<Vec<Zone>, String> {
        self.operations += 1;
        self.device.report_zones().map_err(|error| error.to_string())
    }

    pub(crate) fn zone(&mut self, zone: u32) -> Result<Zone, String> {
        self.report().map(|zones| zones[zone as usize])
    }

    /// The `n`th usable sequential zone.
    pub(crate) fn sequential(&self, n: usize) -> Result<Zone, String> {
        let sequential = |zone: &&Zone| {
            zone.kind == ZoneKind::SequentialWriteRequired && zone.write_pointer_bytes.is_some()
        };
        let zone = self.zones.iter().filter(sequential).nth(n);
        zone.copied().ok_or_else(|| format!("the drive has no {} sequential zones", n + 1))
    }

    pub(crate) fn conventional(&self) -> Option<Zone> {
        self.zones.iter().find(|zone| zone.kind == ZoneKind::Conventional).copied()
    }

    pub(crate) fn unit(&self) -> u64 {
        u64::from(self.geometry.write_unit_bytes.max(4096))
    }

    pub(crate) fn start(&self, zone: Zone) -> u64 {
        self.geometry.zone_start_bytes(zone.index)
    }

    pub(crate) fn buffer(&self, bytes: u64) -> Buffer {
        let bytes = usize::try_from(bytes).expect("a test buffer is small");
        self.device.pool().try_allocate(bytes).expect("the pool has room for a check")
    }

    /// A buffer whose bytes tell `seed` and their own place.
    pub(crate) fn pattern(&self, seed: u64, bytes: u64) -> Buffer {
        let mut buffer = self.buffer(bytes);
        for (place, word) in (0_u64..).zip(buffer.as_chunks_mut::<8>().0) {
            *word = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place).to_le_bytes();
        }
        buffer
    }

    pub(crate) fn token(&mut self) -> Token {
        self.operations += 1;
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Waits until `count` operations have completed.
    pub(crate) fn complete(&mut self, count: usize) -> Result<Vec<Completion>, String> {
        let mut completions = Vec::new();
        while completions.len() < count {
            let before = completions.len();
            self.device
                .wait(Some(SILENCE_MAX), &mut completions)
                .map_err(|error| format!("waiting failed: {error}"))?;
            if completions.len() == before {
                return Err(format!("{} of {count} operations never completed", count - before));
            }
        }
        if completions.len() > count {
            return Err(format!("{} completions for {count} operations", completions.len()));
        }
        Ok(completions)
    }

    fn one(&mut self, token: Token) -> (Result<(), DeviceError>, Option<Buffer>) {
        let completion = self.complete(1).expect("an operation completes").remove(0);
        assert_eq!(completion.token, token, "the completion of another operation");
        (completion.result, completion.buffer)
    }

    pub(crate) fn write(&mut self, offset: u64, buffer: Buffer) -> Result<(), DeviceError> {
        let token = self.token();
        self.device.submit_write(token, offset, buffer).map_err(|(error, _)| error)?;
        let (result, buffer) = self.one(token);
        assert!(buffer.is_some(), "a write hands its buffer back");
        result
    }

    pub(crate) fn read(&mut self, offset: u64, bytes: u64) -> Result<Buffer, DeviceError> {
        let mut buffer = self.buffer(bytes.max(1));
        buffer.fill(0xa5);
        let token = self.token();
        let length = usize::try_from(bytes).expect("a test read is small");
        self.device.submit_read(token, offset, buffer, length).map_err(|(error, _)| error)?;
        let (result, buffer) = self.one(token);
        result.map(|()| buffer.expect("a read hands its buffer back"))
    }

    pub(crate) fn flush(&mut self) -> Result<(), DeviceError> {
        let token = self.token();
        self.device.submit_flush(token)?;
        self.one(token).0
    }

    pub(crate) fn order(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        let token = self.token();
        self.device.submit_zone(token, zone, operation)?;
        self.one(token).0
    }

    /// Reads a range back and compares it with `pattern(seed, bytes)`.
    pub(crate) fn expect_pattern(&mut self, offset: u64, seed: u64, bytes: u64) -> Result<(), String> {
        let found = self.read(offset, bytes).map_err(|error| error.to_string())?;
        let wanted = self.pattern(seed, bytes);
        match found.iter().zip(wanted.iter()).position(|(found, wanted)| found != wanted) {
            Some(byte) => Err(format!("byte {byte} of what was written at byte {offset} came back changed")),
            None => Ok(()),
        }
    }
}
