//! An engine over a simulated drive, and the blocks that it is given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use imbrex_engine::clock::Clock;
use imbrex_engine::manual::{Manual, Ticket};
use imbrex_engine::{
    Class, EngineError, FormatOrder, Lifetime, Options, PutOutcome, PutRequest, Replace, State,
};
use imbrex_format::{Key, PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::Device;
use imbrex_zoned::simulated::disk::DiskParameters;
use imbrex_zoned::simulated::{RegeneratedPayload, SimulatedDevice, TimedDevice, VirtualClock};

/// The instant at which every simulation begins, in seconds since 1970: any will do.
const BEGIN_UNIX_S: u64 = 1_700_000_000;

/// How many turns without any progress are taken before a simulation is given up.
const IDLE_TURNS_MAX: u32 = 1_000_000;

/// The drive's clock as the engine's.
pub struct SimulatedClock(pub VirtualClock);

impl Clock for SimulatedClock {
    fn now_us(&self) -> u64 {
        self.0.now_us()
    }

    fn unix_s(&self) -> u64 {
        BEGIN_UNIX_S + self.0.now_us() / 1_000_000
    }
}

/// A 20 TB disk's time.
#[must_use]
pub fn disk() -> DiskParameters {
    DiskParameters::derived_20_tb()
}

/// An engine, mounted or not, and its clock.
pub struct Bed {
    /// The engine.
    pub engine: Manual,
    /// The time.
    pub clock: VirtualClock,
}

impl Bed {
    /// An engine over `device` in the time of a 20 TB disk.
    ///
    /// # Errors
    /// Where the device does not report its zones.
    pub fn timed(device: SimulatedDevice, clock: &VirtualClock, options: &Options) -> Result<Self> {
        let device = TimedDevice::new(device, disk(), clock.clone())?;
        Ok(Self::over(Box::new(device), clock, options))
    }

    /// An engine over `device`, with that clock.
    #[must_use]
    pub fn over(device: Box<dyn Device>, clock: &VirtualClock, options: &Options) -> Self {
        let engine = Manual::new(device, Arc::new(SimulatedClock(clock.clone())), options);
        Self { engine, clock: clock.clone() }
    }

    /// Mounts the drive and formats it for `blocks_max` blocks.
    ///
    /// # Errors
    /// Where it cannot be formatted.
    pub fn format(&mut self, blocks_max: u64) -> Result<()> {
        self.engine.mount();
        let serial = self.engine.device().identity().serial.clone().context("the drive has no serial")?;
        self.engine.format(FormatOrder {
            serial,
            replace: Replace::Nothing,
            blocks_max: Some(blocks_max),
        })?;
        self.check_serving()
    }

    /// Fails where the drive does not serve, with the reason.
    ///
    /// # Errors
    /// See above.
    pub fn check_serving(&self) -> Result<()> {
        match self.engine.state() {
            State::Serving => Ok(()),
            state => bail!("the simulated drive is {}: {}", state.name(), state.reason().unwrap_or_default()),
        }
    }

    /// Lets the engine end in order: what it has begun is finished, and the index is checkpointed if it does that.
    ///
    /// # Errors
    /// Where the device fails, or the engine does not come to an end.
    pub fn stop(mut self) -> Result<()> {
        let _ticket = self.engine.stop();
        for _ in 0..IDLE_TURNS_MAX {
            if self.engine.is_finished() {
                self.engine.finish();
                return Ok(());
            }
            self.engine.turn(Duration::from_millis(100))?;
        }
        bail!("the engine did not come to an end: {:?}", self.engine.stats())
    }
}

/// A record in a buffer's form, made once: every block of a simulation has the same payload under its own key.
pub struct Template {
    bytes: Vec<u8>,
    payload_bytes: u32,
}

impl Template {
    /// A record of `payload_bytes` of a payload that a regenerating drive knows again.
    ///
    /// # Errors
    /// Where the payload is too large for a record.
    pub fn new(payload_bytes: usize) -> Result<Self> {
        let mut payload = vec![0; payload_bytes];
        RegeneratedPayload::fill(7, &mut payload);
        let mut bytes = vec![0; record_units(payload_bytes) as usize * UNIT_BYTES];
        let mut writer = PayloadWriter::new(payload_bytes);
        writer.write(&mut bytes, &payload)?;
        writer.finish(&mut bytes)?;
        Ok(Self { bytes, payload_bytes: u32::try_from(payload_bytes)? })
    }

    /// The length of a record in bytes.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Begins to put block `number`; `None` where the engine's buffers have no room at the moment.
    pub fn put(&self, engine: &mut Manual, number: u64) -> Option<Ticket<PutOutcome>> {
        let mut buffer = engine.pool().try_allocate(self.bytes.len())?;
        buffer.copy_from_slice(&self.bytes);
        Some(engine.put(PutRequest {
            key: key(number),
            buffer,
            payload_bytes: self.payload_bytes,
            class: Class::Foreground,
            lifetime: Lifetime::Unknown,
        }))
    }
}

/// The name of block `number`: spread evenly, as a hash is.
#[must_use]
pub fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    for part in bytes.chunks_exact_mut(8) {
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
        part.copy_from_slice(&state.to_le_bytes());
    }
    Key(bytes)
}

/// Requests under way, oldest first.
pub struct Window<T> {
    tickets: VecDeque<Ticket<T>>,
    /// Those refused as overloaded.
    pub refused: u64,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { tickets: VecDeque::new(), refused: 0 }
    }
}

impl<T> Window<T> {
    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Adds one.
    pub fn push(&mut self, ticket: Ticket<T>) {
        self.tickets.push_back(ticket);
    }

    /// Takes the answers that have come; returns how many there were.
    ///
    /// # Errors
    /// The first answer that is an error, but for one that says to try again: that is counted.
    pub fn reap(&mut self) -> Result<usize> {
        let before = self.tickets.len();
        let mut failure = None;
        let refused = &mut self.refused;
        self.tickets.retain_mut(|ticket| match ticket.try_take() {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(EngineError::Overloaded { .. })) => {
                *refused += 1;
                false
            }
            Some(Err(error)) => {
                failure = Some(error);
                false
            }
        });
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(before - self.tickets.len()),
        }
    }
}
