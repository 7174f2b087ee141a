//! The operations in flight on a timed device: each is one command to the disk or several.
//!
//! Reads go to the disk in parts all at once, as the block layer cuts them; writes in parts one after another, since
//! one write may be in flight per zone.

use std::collections::HashMap;

use crate::simulated::disk::{Command, Disk};
use crate::{Buffer, Token, ZoneOperation};

/// The largest command with data, in bytes: what the kernel's device sends at once (see `DESIGN.md`).
const COMMAND_BYTES_MAX: u64 = 1 << 20;

/// An operation as it was submitted.
pub(crate) enum Work {
    Read { offset_bytes: u64, buffer: Buffer, length_bytes: usize },
    Write { offset_bytes: u64, buffer: Buffer },
    Flush,
    Order { zone: u32, operation: ZoneOperation },
}

/// An operation in flight.
struct Operation {
    token: Token,
    work: Work,
    /// Commands that the disk has.
    commands: usize,
    /// How much of a write the disk has got.
    sent_bytes: u64,
}

/// The operations in flight.
#[derive(Default)]
pub(crate) struct Pending {
    operations: HashMap<u64, Operation>,
    /// The operation of each command.
    commands: HashMap<u64, u64>,
    number: u64,
}

impl Pending {
    /// The number of operations in flight.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether a write is in flight in the zone that begins at `start_bytes`.
    pub(crate) fn writes_within(&self, start_bytes: u64, end_bytes: u64) -> bool {
        self.operations.values().any(|operation| match operation.work {
            Work::Write { offset_bytes, .. } => (start_bytes..end_bytes).contains(&offset_bytes),
            _ => false,
        })
    }

    /// Gives a write or an operation without data to the disk.
    pub(crate) fn send(&mut self, disk: &mut Disk, token: Token, work: Work, command: Command) {
        let number = self.enter(token, work);
        match command {
            Command::Write { .. } => self.send_part(disk, number),
            command => self.command(disk, number, command),
        }
    }

    /// Gives a read to the disk, of which `stored_bytes` are on the medium.
    pub(crate) fn send_read(&mut self, disk: &mut Disk, token: Token, work: Work, stored_bytes: u64) {
        let Work::Read { offset_bytes, length_bytes, .. } = &work else { return };
        let (offset_bytes, length_bytes) = (*offset_bytes, *length_bytes as u64);
        let number = self.enter(token, work);
        let mut at = 0;
        loop {
            let part_bytes = (length_bytes - at).min(COMMAND_BYTES_MAX);
            let command = Command::Read {
                offset_bytes: offset_bytes + at,
                length_bytes: part_bytes,
                stored_bytes: stored_bytes.saturating_sub(at).min(part_bytes),
            };
            self.command(disk, number, command);
            at += part_bytes;
            if at >= length_bytes {
                return;
            }
        }
    }

    /// Notes that the disk has ended a command. Returns its operation where that was the last.
    pub(crate) fn ended(&mut self, disk: &mut Disk, command: u64) -> Option<(Token, Work)> {
        let number = self.commands.remove(&command)?;
        let operation = self.operations.get_mut(&number)?;
        operation.commands -= 1;
        let unsent = match &operation.work {
            Work::Write { buffer, .. } => operation.sent_bytes < buffer.len() as u64,
            _ => false,
        };
        if unsent {
            self.send_part(disk, number);
            return None;
        }
        let ended = operation.commands == 0;
        ended.then(|| self.operations.remove(&number)).flatten().map(|ended| (ended.token, ended.work))
    }

    /// A number for a command that belongs to no operation.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn enter(&mut self, token: Token, work: Work) -> u64 {
        let number = self.next_number();
        self.operations.insert(number, Operation { token, work, commands: 0, sent_bytes: 0 });
        number
    }

    fn command(&mut self, disk: &mut Disk, number: u64, command: Command) {
        let name = self.next_number();
        self.commands.insert(name, number);
        if let Some(operation) = self.operations.get_mut(&number) {
            operation.commands += 1;
        }
        disk.submit(name, command);
    }

    /// Gives the next part of a write to the disk.
    fn send_part(&mut self, disk: &mut Disk, number: u64) {
        let Some(operation) = self.operations.get_mut(&number) else { return };
        let Work::Write { offset_bytes, buffer } = &operation.work else { return };
        let length_bytes = (buffer.len() as u64 - operation.sent_bytes).min(COMMAND_BYTES_MAX);
        let offset_bytes = offset_bytes + operation.sent_bytes;
        operation.sent_bytes += length_bytes;
        self.command(disk, number, Command::Write { offset_bytes, length_bytes });
    }
}
