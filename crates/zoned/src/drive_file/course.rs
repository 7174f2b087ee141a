//! The course of each operation: what is asked of the queue, one part after another, until it completes.
//!
//! A write takes room for its zone first where it is the zone's first, then transfers its data, then keeps the zone's
//! entry. A reset keeps the entry, then gives the room back. Each operation has at most one part with the queue.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use nix::errno::Errno;

use crate::drive_file::failure::{read_error, system, write_error};
use crate::drive_file::pending::{Pending, Work};
use crate::drive_file::sequencer::Sequencer;
use crate::kernel::operation::{Action, Failure, Operation, PIECE_BYTES};
use crate::kernel::queue::{Ended, IN_FLIGHT_MAX, Queue};
use crate::kernel::slab::Slab;
use crate::simulated::{file_header, zone_entry};
use crate::{Buffer, BufferPool, Completion, DeviceError, Geometry, Token, Waker, Zone, ZoneOperation};

/// The operations in flight on one drive file.
pub(crate) struct Course {
    queue: Box<dyn Queue>,
    /// What was submitted and has not completed, by the number that the queue knows it by.
    pending: Slab<Pending>,
    /// What waits for its zone, oldest first.
    waiting: VecDeque<u32>,
    sequencer: Sequencer,
    /// Completions that the next wait hands back.
    ready: Vec<Completion>,
    ended: Vec<Ended>,
    pool: BufferPool,
    geometry: Geometry,
    /// Where the drive's first byte stands in the file.
    data_offset_bytes: u64,
    /// Whether the first write to a zone takes room for all of it.
    reserves: bool,
}

impl Course {
    pub(crate) fn new(
        queue: Box<dyn Queue>,
        sequencer: Sequencer,
        pool: BufferPool,
        geometry: Geometry,
        data_offset_bytes: u64,
        reserves: bool,
    ) -> Self {
        Self {
            queue,
            pending: Slab::new(IN_FLIGHT_MAX),
            waiting: VecDeque::new(),
            sequencer,
            ready: Vec::new(),
            ended: Vec::new(),
            pool,
            geometry,
            data_offset_bytes,
            reserves,
        }
    }

    pub(crate) fn report(&self) -> Vec<Zone> {
        self.sequencer.report()
    }

    /// The sequential zone in which byte `offset_bytes` of the drive lies.
    pub(crate) fn sequential_zone(&self, offset_bytes: u64) -> Option<u32> {
        self.sequencer.sequential_zone(offset_bytes)
    }

    /// A handle that interrupts a turn.
    pub(crate) fn waker(&self) -> Waker {
        self.queue.waker()
    }

    /// Whether a completion waits to be handed back.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Waits for the queue, at most as long as `remaining`, goes on with what has ended there, and hands back what has
    /// completed.
    pub(crate) fn turn(
        &mut self,
        remaining: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> io::Result<()> {
        let mut ended = std::mem::take(&mut self.ended);
        let waited = self.queue.wait(remaining, &mut ended);
        ended.drain(..).for_each(|ended| self.go_on(ended));
        self.ended = ended;
        completions.append(&mut self.ready);
        // The next parts do not wait for the caller.
        waited.and_then(|()| self.queue.start())
    }

    /// Takes an operation and begins it, or hands its buffer back where the queue is full.
    pub(crate) fn submit(
        &mut self,
        token: Token,
        work: Work,
        buffer: Option<Buffer>,
    ) -> Result<(), Option<Buffer>> {
        if self.ready.len() + self.pending.len() >= IN_FLIGHT_MAX as usize {
            return Err(buffer);
        }
        let overtaken = match work {
            Work::Write { zone: Some(zone), .. } => Some(zone).filter(|&zone| self.has_write(zone)),
            _ => None,
        };
        let slot = self.pending.insert(Pending { token, work, buffer }).map_err(|pending| pending.buffer)?;
        match (overtaken, work) {
            (Some(zone), Work::Write { offset_bytes, .. }) => {
                let error = self.sequencer.overtaking(zone, offset_bytes);
                self.settle(slot, Err(error));
            }
            _ => self.begin(slot),
        }
        Ok(())
    }

    /// Begins an operation, or lets it wait for its zone.
    fn begin(&mut self, slot: u32) {
        let Some(Pending { work, buffer, .. }) = self.pending.get(slot) else { return };
        let begun = match *work {
            Work::Read { offset_bytes, length_bytes } | Work::Write { offset_bytes, length_bytes, .. }
                if !buffer.as_ref().is_some_and(|own| length_bytes <= own.len() && self.pool.owns(own)) =>
            {
                Err(DeviceError::OutOfBounds { offset_bytes, length_bytes: length_bytes as u64 })
            }
            Work::Read { offset_bytes, length_bytes } => self.begin_read(slot, offset_bytes, length_bytes),
            Work::Write { offset_bytes, length_bytes, zone } => {
                self.begin_write(slot, offset_bytes, length_bytes, zone)
            }
            Work::Order { zone, operation } => self.begin_order(slot, zone, operation),
            Work::Flush => {
                self.hand_over(Operation::flush(Token(slot.into())));
                Ok(())
            }
        };
        if let Err(error) = begun {
            self.settle(slot, Err(error));
        }
    }

    fn begin_read(&mut self, slot: u32, offset_bytes: u64, length_bytes: usize) -> Result<(), DeviceError> {
        let stored = self.sequencer.check_read(offset_bytes, length_bytes as u64)?;
        let stored_bytes = usize::try_from(stored).unwrap_or(length_bytes);
        let Some(pending) = self.pending.get_mut(slot) else { return Ok(()) };
        pending.fill(stored_bytes..length_bytes);
        if stored_bytes == 0 {
            self.settle(slot, Ok(()));
        } else {
            self.transfer(slot, Action::Read, offset_bytes, stored_bytes);
        }
        Ok(())
    }

    fn begin_write(
        &mut self,
        slot: u32,
        offset_bytes: u64,
        length_bytes: usize,
        zone: Option<u32>,
    ) -> Result<(), DeviceError> {
        if zone.is_some_and(|zone| self.sequencer.is_busy(zone)) {
            self.waiting.push_back(slot);
            return Ok(());
        }
        let first = self.sequencer.begin_write(offset_bytes, length_bytes as u64)?;
        if first && self.reserves {
            // The whole zone in one piece, so that no later write has to look for room.
            let room = usize::try_from(self.geometry.zone_size_bytes).unwrap_or(length_bytes);
            let place = self.data_offset_bytes + offset_bytes;
            self.hand_over(Operation::of_range(Token(slot.into()), Action::Reserve, place, room));
        } else {
            self.transfer(slot, Action::Write, offset_bytes, length_bytes);
        }
        Ok(())
    }

    fn begin_order(&mut self, slot: u32, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        if self.sequencer.is_busy(zone) {
            self.waiting.push_back(slot);
            return Ok(());
        }
        match self.sequencer.begin_order(zone, operation)? {
            Some(state) => self.save(slot, zone, zone_entry::encode(zone, state)),
            None => self.settle(slot, Ok(())),
        }
        Ok(())
    }

    /// Hands the operation's buffer to the queue.
    fn transfer(&mut self, slot: u32, action: Action, offset_bytes: u64, length_bytes: usize) {
        let Some(buffer) = self.pending.get_mut(slot).and_then(|pending| pending.buffer.take()) else {
            return;
        };
        let place = self.data_offset_bytes + offset_bytes;
        let token = Token(slot.into());
        // In one piece: a file takes the parts of a write in any order, and what counts of it is its entry.
        self.hand_over(Operation::transfer(token, action, place, buffer, length_bytes, PIECE_BYTES));
    }

    fn save(&mut self, slot: u32, zone: u32, entry: [u8; zone_entry::ENTRY_BYTES]) {
        let place = file_header::entry_offset_bytes(zone);
        self.hand_over(Operation::save(Token(slot.into()), place, Box::new(entry)));
    }

    fn hand_over(&mut self, operation: Operation) {
        let handed = self.queue.submit(operation);
        assert!(handed.is_ok(), "each operation has at most one part with the queue, which takes as many");
    }

    /// Ends an operation; the next wait hands its completion back.
    fn settle(&mut self, slot: u32, result: Result<(), DeviceError>) {
        let Some(Pending { token, buffer, .. }) = self.pending.remove(slot) else { return };
        self.ready.push(Completion { token, result, buffer });
    }

    /// Goes on with an operation after one of its parts.
    fn go_on(&mut self, ended: Ended) {
        let Ended { operation, result } = ended;
        let Operation { token, action, buffer, .. } = operation;
        let slot = u32::try_from(token.0).expect("the queue returns what it was given");
        let Some(pending) = self.pending.get_mut(slot) else { return };
        if buffer.is_some() {
            pending.buffer = buffer;
        }
        match pending.work {
            Work::Read { offset_bytes, length_bytes } => {
                self.settle(slot, result.map_err(|failure| read_error(failure, offset_bytes, length_bytes)));
            }
            Work::Flush => self.settle(slot, result.map_err(|_| DeviceError::Flush)),
            Work::Write { offset_bytes, length_bytes, zone } => {
                let result =
                    result.map_err(|failure| write_error(failure, action, offset_bytes, length_bytes));
                match (action, zone) {
                    // Where the file system cannot reserve room, the write finds its own or fails for want of it.
                    (Action::Reserve, _) => self.transfer(slot, Action::Write, offset_bytes, length_bytes),
                    (Action::Write, Some(zone)) if result.is_ok() => {
                        let state = self.sequencer.written(zone);
                        self.save(slot, zone, zone_entry::encode(zone, state));
                    }
                    (_, Some(zone)) => {
                        self.sequencer.end_write(zone, result.is_ok());
                        self.settle(slot, result);
                        self.begin_waiting(zone);
                    }
                    (_, None) => self.settle(slot, result),
                }
            }
            Work::Order { zone, operation } => self.go_on_with_order(slot, zone, operation, action, result),
        }
    }

    fn go_on_with_order(
        &mut self,
        slot: u32,
        zone: u32,
        operation: ZoneOperation,
        action: Action,
        result: Result<(), Failure>,
    ) {
        let result = match (action, result) {
            (Action::Save, Ok(())) => self.sequencer.apply_order(zone, operation),
            // The file system has no holes: the room comes back when the zone is written again.
            (Action::Discard, Ok(()) | Err(Failure::Errno(Errno::EOPNOTSUPP))) => Ok(()),
            (_, failed) => failed.map_err(|failure| system("ordering a zone of the drive's file", failure)),
        };
        if action == Action::Save && operation == ZoneOperation::Reset && result.is_ok() {
            // The zone is empty already: what is left there can no longer be read.
            let place = self.data_offset_bytes + self.geometry.zone_start_bytes(zone);
            let room = usize::try_from(self.geometry.zone_size_bytes).unwrap_or(usize::MAX);
            self.hand_over(Operation::of_range(Token(slot.into()), Action::Discard, place, room));
            return;
        }
        self.sequencer.end_order(zone);
        self.settle(slot, result);
        self.begin_waiting(zone);
    }

    /// Begins what waits for `zone`, until the zone is busy again.
    fn begin_waiting(&mut self, zone: u32) {
        while !self.sequencer.is_busy(zone) {
            let next = self
                .waiting
                .iter()
                .position(|&slot| self.pending.get(slot).and_then(Pending::zone) == Some(zone));
            let Some(slot) = next.and_then(|place| self.waiting.remove(place)) else { return };
            self.begin(slot);
        }
    }

    /// Whether a write to `zone` is in flight or waits.
    fn has_write(&self, zone: u32) -> bool {
        let waits = |&slot: &u32| {
            let work = self.pending.get(slot).map(|pending| pending.work);
            matches!(work, Some(Work::Write { zone: Some(of), .. }) if of == zone)
        };
        self.sequencer.is_writing(zone) || self.waiting.iter().any(waits)
    }
}
