//! One of the two drives: operations in, answers out.

use std::time::Duration;

use imbrex_zoned::{Buffer, BufferPool, Completion, Device, DeviceError, Token, Zone};

use crate::operation::Operation;

/// How long a drive may be silent before the run is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The bytes of a pool that is not the device's.
const STRANGER_POOL_BYTES: usize = 1 << 20;

/// A drive, and whom to name in a message.
pub(crate) struct Side<'a> {
    pub(crate) name: &'static str,
    device: &'a mut dyn Device,
    stranger: BufferPool,
    next_token: u64,
}

/// What became of one operation.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Result<(), DeviceError>,
    /// The buffer, where one was given: what a read has brought.
    pub(crate) buffer: Option<Buffer>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(name: &'static str, device: &'a mut dyn Device) -> Result<Self, String> {
        let stranger = BufferPool::new(STRANGER_POOL_BYTES).map_err(|error| error.to_string())?;
        Ok(Self { name, device, stranger, next_token: 0 })
    }

    pub(crate) fn zones(&mut self) -> Result<Vec<Zone>, String> {
        self.device
            .report_zones()
            .map_err(|error| format!("the {} drive reports no zones: {error}", self.name))
    }

    /// Submits all operations, waits for all of them, and gives the answers in the order of submission.
    pub(crate) fn together(&mut self, operations: &[Operation]) -> Result<Vec<Answer>, String> {
        let first = self.next_token;
        let mut answers: Vec<Option<Answer>> = operations.iter().map(|_| None).collect();
        let mut in_flight = 0;
        for (operation, answer) in operations.iter().zip(&mut answers) {
            match self.submit(operation) {
                Ok(()) => in_flight += 1,
                Err((error, buffer)) => *answer = Some(Answer { result: Err(error), buffer }),
            }
        }
        let mut completions = Vec::new();
        while in_flight > 0 {
            self.device
                .wait(Some(SILENCE_MAX), &mut completions)
                .map_err(|error| format!("the {} drive cannot be waited for: {error}", self.name))?;
            if completions.is_empty() {
                return Err(format!("{in_flight} operations of the {} drive never complete", self.name));
            }
            for Completion { token, result, buffer } in completions.drain(..) {
                let place = token.0.checked_sub(first).and_then(|place| usize::try_from(place).ok());
                let answer = place.and_then(|place| answers.get_mut(place)).filter(|answer| answer.is_none());
                *answer.ok_or_else(|| format!("the {} drive completes {token:?} unasked", self.name))? =
                    Some(Answer { result, buffer });
                in_flight -= 1;
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn submit(&mut self, operation: &Operation) -> Result<(), (DeviceError, Option<Buffer>)> {
        let token = Token(self.next_token);
        self.next_token += 1;
        match *operation {
            Operation::Read { offset_bytes, length_bytes, buffer_bytes, stranger } => {
                let mut buffer = self.buffer(buffer_bytes, stranger);
                buffer.fill(0xa5);
                let submitted = self.device.submit_read(token, offset_bytes, buffer, length_bytes);
                submitted.map_err(|(error, buffer)| (error, Some(buffer)))
            }
            Operation::Write { offset_bytes, length_bytes, content, stranger } => {
                let mut buffer = self.buffer(length_bytes, stranger);
                fill(&mut buffer, content);
                let submitted = self.device.submit_write(token, offset_bytes, buffer);
                submitted.map_err(|(error, buffer)| (error, Some(buffer)))
            }
            Operation::Flush => self.device.submit_flush(token).map_err(|error| (error, None)),
            Operation::Order { zone, operation } => {
                self.device.submit_zone(token, zone, operation).map_err(|error| (error, None))
            }
        }
    }

    fn buffer(&self, bytes: usize, stranger: bool) -> Buffer {
        let pool = if stranger { &self.stranger } else { self.device.pool() };
        pool.try_allocate(bytes).expect("a step asks for less than the pool holds")
    }
}

/// Bytes that tell their content's number and their own place.
fn fill(buffer: &mut Buffer, content: u64) {
    for (place, word) in (0_u64..).zip(buffer.as_chunks_mut::<8>().0) {
        *word = (content.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place).to_le_bytes();
    }
}
