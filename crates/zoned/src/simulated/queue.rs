//! The operations in flight on one connection, shared by the device that submits them and the drive behind it.
//!
//! Invariants:
//!
//! * Writes and orders to one zone are carried out in the order in which they were submitted.
//! * Who holds the lock of the queue takes no other; the lock of the drive is taken before it.
//! * What the drive carries out when its power fails stays in the queue: the device answers for it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::simulated::random::Random;
use crate::simulated::state::DriveState;
use crate::{Buffer, Completion, DeviceError, Token, ZoneOperation};

/// The largest number of operations in flight.
pub(crate) const IN_FLIGHT_MAX: usize = 128;

/// An operation.
pub(crate) enum Work {
    Read {
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    },
    Write {
        offset_bytes: u64,
        buffer: Buffer,
    },
    Flush {
        number: u64,
    },
    Order {
        zone: u32,
        operation: ZoneOperation,
    },
    /// What was refused at submission.
    Refused {
        error: DeviceError,
        buffer: Option<Buffer>,
    },
}

/// An operation in flight.
pub(crate) struct Entry {
    pub(crate) token: Token,
    pub(crate) work: Work,
    /// How many more calls of `wait` it is held back for. `None`: that has not been decided.
    pub(crate) held_waits: Option<u32>,
}

/// The operations in flight, in the order in which they were submitted.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) entries: VecDeque<Entry>,
}

/// The queue behind its lock.
#[derive(Clone, Default)]
pub(crate) struct SharedQueue(Arc<Mutex<Queue>>);

impl Work {
    /// Carries the operation out, or finds a drive that is gone.
    fn carry_out(self, state: Option<&mut DriveState>) -> (Result<(), DeviceError>, Option<Buffer>) {
        let Some(state) = state else { return (Err(DeviceError::Gone), self.into_buffer()) };
        match self {
            Self::Read { offset_bytes, mut buffer, length_bytes } => {
                let out_of_bounds =
                    DeviceError::OutOfBounds { offset_bytes, length_bytes: length_bytes as u64 };
                let bytes = buffer.get_mut(..length_bytes).ok_or(out_of_bounds);
                (bytes.and_then(|bytes| state.read(offset_bytes, bytes)), Some(buffer))
            }
            Self::Write { offset_bytes, buffer } => (state.write(offset_bytes, &buffer), Some(buffer)),
            Self::Flush { number } => (state.flush(number), None),
            Self::Order { zone, operation } => (state.order(zone, operation), None),
            Self::Refused { error, buffer } => (Err(error), buffer),
        }
    }

    /// Carries the operation out faithfully on a drive that will tell nobody.
    fn carry_out_unseen(&self, state: &mut DriveState) {
        // Whether it succeeded is not told either.
        let _ = match self {
            Self::Write { offset_bytes, buffer } => state.write_truly(*offset_bytes, buffer),
            Self::Flush { number } => state.flush_truly(*number),
            Self::Order { zone, operation } => state.order_truly(*zone, *operation),
            Self::Read { .. } | Self::Refused { .. } => Ok(()),
        };
    }

    /// What is handed back of a read or a write for which the queue had no room.
    ///
    /// # Panics
    ///
    /// Where the operation has no buffer.
    pub(crate) fn refused(self) -> (DeviceError, Buffer) {
        (DeviceError::QueueFull, self.into_buffer().expect("a read or a write has a buffer"))
    }

    fn into_buffer(self) -> Option<Buffer> {
        match self {
            Self::Read { buffer, .. } | Self::Write { buffer, .. } => Some(buffer),
            Self::Refused { buffer, .. } => buffer,
            Self::Flush { .. } | Self::Order { .. } => None,
        }
    }

    /// The zone in which the operation has its turn; `None` where any order will do.
    fn turn(&self, zone_size_bytes: u64) -> Option<u64> {
        match self {
            Self::Write { offset_bytes, .. } => Some(offset_bytes / zone_size_bytes),
            Self::Order { zone, .. } => Some(u64::from(*zone)),
            Self::Read { .. } | Self::Flush { .. } | Self::Refused { .. } => None,
        }
    }
}

impl Entry {
    /// Carries the operation out, or finds a drive that is gone.
    pub(crate) fn complete(self, state: Option<&mut DriveState>) -> Completion {
        let (result, buffer) = self.work.carry_out(state);
        Completion { token: self.token, result, buffer }
    }
}

impl Queue {
    /// Puts an operation into the queue, or hands it back where the queue is full.
    pub(crate) fn submit(&mut self, token: Token, work: Work) -> Result<(), Work> {
        if self.entries.len() >= IN_FLIGHT_MAX {
            return Err(work);
        }
        self.entries.push_back(Entry { token, work, held_waits: None });
        Ok(())
    }

    /// Whether a write is in flight in the zone in which `offset_bytes` lies.
    pub(crate) fn writes_in_zone_of(&self, offset_bytes: u64, zone_size_bytes: u64) -> bool {
        let zone = offset_bytes / zone_size_bytes;
        self.entries.iter().any(|entry| match entry.work {
            Work::Write { offset_bytes, .. } => offset_bytes / zone_size_bytes == zone,
            _ => false,
        })
    }

    /// The places of the operations that may be carried out next: neither held back nor out of turn.
    pub(crate) fn ready(&self, zone_size_bytes: u64, ready: &mut Vec<usize>) {
        let mut waiting = BTreeSet::new();
        ready.clear();
        for (place, entry) in self.entries.iter().enumerate() {
            let turn = entry.work.turn(zone_size_bytes);
            let in_turn = turn.is_none_or(|zone| waiting.insert(zone));
            if in_turn && entry.held_waits == Some(0) {
                ready.push(place);
            }
        }
    }
}

impl SharedQueue {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out some of the operations, as a drive may have done whose power has just failed. All stay in the queue.
    pub(crate) fn carry_out_some(&self, state: &mut DriveState, random: &mut Random) {
        let mut stopped = BTreeSet::new();
        for entry in &self.lock().entries {
            let turn = entry.work.turn(state.geometry.zone_size_bytes);
            if turn.is_some_and(|zone| stopped.contains(&zone)) {
                continue;
            }
            if random.one_in(2) {
                entry.work.carry_out_unseen(state);
            } else {
                stopped.extend(turn);
            }
        }
    }
}
