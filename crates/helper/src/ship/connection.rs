//! One connection to a target: what waits for room on it, and how much of what was written the other side's machine has
//! acknowledged.
//!
//! - Nothing here waits but for the connection to be made: what there is no room for is kept, and written later.
//! - A slow target is waited for. It is gone only where something is on its way and not one byte more has been
//!   acknowledged for [`SILENCE_MAX`]; all of it need not be.
//! - What was acknowledged counts as taken once the connection has stood for another look.

use super::{LOOK, STEP, tcp};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// With something on its way for so long and not one byte more acknowledged, a target is gone.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// So many addresses of a name are tried: IPv6 may be the first, and lead nowhere.
const ADDRESSES_MAX: usize = 4;

/// How far a service's lines have come by some byte of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The number of bytes with which those lines end.
    pub(super) end_bytes: u64,
    /// Whose lines they are.
    pub(super) service: String,
    /// The number of the line after them.
    pub(super) next: u64,
}

/// A connection, and what went over it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Non-blocking.
    stream: TcpStream,
    /// What the kernel is to be given, and how much of it the kernel has taken.
    waiting: Vec<u8>,
    waiting_written: usize,
    /// Marks of bytes that are not taken yet: as many as what is on its way and one ring have.
    marks: VecDeque<Mark>,
    written_bytes: u64,
    acknowledged_bytes: u64,
    /// When more was acknowledged, or nothing was on its way, the last time.
    moved: Instant,
    /// When it was last judged how far the target has come, and how much was acknowledged then.
    judged: Instant,
    stood_bytes: u64,
    /// How much had been written when the other side was first seen to have closed its half.
    ended_bytes: Option<u64>,
}

impl Connection {
    /// Connects, which may take [`STEP`] for each address. `clock` tells the time.
    ///
    /// # Errors
    /// Those of the last address that was tried.
    pub(super) fn open(place: &str, clock: impl Fn() -> Instant) -> io::Result<Self> {
        let mut stream = Err(io::Error::other("its name has no address"));
        for address in place.to_socket_addrs()?.take(ADDRESSES_MAX) {
            stream = TcpStream::connect_timeout(&address, STEP);
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream?;
        stream.set_nonblocking(true)?;
        let now = clock();
        Ok(Self {
            stream,
            waiting: Vec::new(),
            waiting_written: 0,
            marks: VecDeque::new(),
            written_bytes: 0,
            acknowledged_bytes: 0,
            moved: now,
            judged: now,
            stood_bytes: 0,
            ended_bytes: None,
        })
    }

    /// Whether there is no room for all that it was given.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_written < self.waiting.len()
    }

    /// Gives it more to write. The marks count from the first of these bytes. Only where it is not full.
    pub(super) fn give(&mut self, bytes: Vec<u8>, marks: Vec<Mark>) {
        let before = self.written_bytes;
        self.marks.extend(marks.into_iter().map(|mark| Mark { end_bytes: before + mark.end_bytes, ..mark }));
        (self.waiting, self.waiting_written) = (bytes, 0);
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn push(&mut self, now: Instant) -> io::Result<()> {
        // What is written now has all its time: the last look may have been long ago.
        self.moves(now);
        while self.is_full() {
            match self.stream.write(&self.waiting[self.waiting_written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.waiting_written += length;
                    self.written_bytes += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.waiting = Vec::new();
        self.waiting_written = 0;
        Ok(())
    }

    /// Whether the other side may still speak: see [`tcp::check_open`].
    ///
    /// # Errors
    /// Where the connection was reset, or is broken.
    pub(super) fn check_open(&mut self) -> io::Result<bool> {
        tcp::check_open(&mut self.stream)
    }

    /// Looks how much was acknowledged. Whether the target is still there: see [`SILENCE_MAX`].
    pub(super) fn moves(&mut self, now: Instant) -> bool {
        // Where the kernel does not say, the connection itself tells soon enough.
        let on_its_way = tcp::unacknowledged_bytes(&self.stream).map_or(0, u64::from);
        let acknowledged = self.written_bytes.saturating_sub(on_its_way);
        if acknowledged > self.acknowledged_bytes || on_its_way == 0 {
            self.acknowledged_bytes = self.acknowledged_bytes.max(acknowledged);
            self.moved = now;
        }
        now.saturating_duration_since(self.moved) < SILENCE_MAX
    }

    /// Whether anything was acknowledged so far.
    pub(super) fn has_moved(&self) -> bool {
        self.acknowledged_bytes > 0
    }

    /// Once every [`LOOK`]: what the target has taken since, which is what had been acknowledged a look ago.
    ///
    /// `speaks`: the other side has not closed its half. Where it has, only what was sent after that tells one that still
    /// reads from one that is gone, which answers it by a reset.
    pub(super) fn judge(&mut self, now: Instant, speaks: bool) -> Option<Vec<Mark>> {
        if now.saturating_duration_since(self.judged) < LOOK {
            return None;
        }
        self.judged = now;
        let stood_bytes = std::mem::replace(&mut self.stood_bytes, self.acknowledged_bytes);
        let written_bytes = self.written_bytes;
        if !speaks && stood_bytes <= *self.ended_bytes.get_or_insert(written_bytes) {
            return Some(Vec::new());
        }
        let taken = self.marks.iter().take_while(|mark| mark.end_bytes <= stood_bytes).count();
        Some(self.marks.drain(..taken).collect())
    }

    /// The connection itself, for the tests.
    #[cfg(test)]
    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
