//! One target, and how far it has come.

use super::connection::{Connection, Mark, SILENCE_MAX};
use super::{LOOK, LOOK_FULL, Lines, Rings};
use crate::frame::{Format, came};
use crate::planner::now_ms;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

#[cfg(test)]
mod tests;

/// So many connections in a row whose other side has said that it will say nothing more, each before it has stood for a
/// look: that is this target's way, and no end.
const ENDS_MAX: u32 = 3;
/// The longest wait after a target did not take anything.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// After so many bytes of one ring it is noted how far they are, so that less comes twice where the target goes away.
const MARK_BYTES: u64 = 64 * 1024;

/// Tells the time; the tests have one of their own.
type Clock = Box<dyn Fn() -> Instant + Send>;

/// Where lines are sent to.
pub(super) struct Target {
    format: Format,
    /// `HOST:PORT`.
    pub(super) place: String,
    connection: Option<Connection>,
    /// Number of the next line of each service.
    next: BTreeMap<String, u64>,
    /// The same, as far as the target's machine has acknowledged them on a connection that stood afterwards.
    taken: BTreeMap<String, u64>,
    /// Whose lines were sent last: the one behind it is the next, so that none waits for one that never falls silent.
    last: String,
    /// How many of its connections in a row have ended by the other side's closing its half, up to [`ENDS_MAX`].
    ends: u32,
    wait: Duration,
    due: Instant,
    clock: Clock,
}

impl Target {
    /// A target out of a line of `TARGETS`.
    pub(super) fn new(line: &str) -> Option<Self> {
        Self::with_clock(line, Box::new(Instant::now))
    }

    fn with_clock(line: &str, clock: Clock) -> Option<Self> {
        let (kind, place) = line.split_once(' ')?;
        let format = if kind == "syslog" { Format::Syslog } else { Format::Json };
        let (next, taken, due) = (BTreeMap::new(), BTreeMap::new(), clock());
        let (place, last) = (place.to_owned(), String::new());
        Some(Self { format, place, connection: None, next, taken, last, ends: 0, wait: LOOK, due, clock })
    }

    /// Sends what is new, as far as there is room for it, and says how long to wait for the next turn. A target that takes
    /// nothing is left alone for longer each time.
    pub(super) fn turn(&mut self, host: &str, rings: &impl Rings) -> Duration {
        if (self.clock)() < self.due {
            return LOOK;
        }
        // What was written is not taken yet: where a target hangs up on it each time, the wait grows all the same.
        if let Err(error) = self.check().and_then(|()| self.send_new(host, rings)) {
            eprintln!("{}: {error}", self.place);
            self.give_up();
        }
        if self.is_full() { LOOK_FULL } else { LOOK }
    }

    fn is_full(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_full)
    }

    /// Looks whether the connection still stands, and how far the target has taken what was sent before.
    ///
    /// That the other side has closed its half is an end: behind a proxy, which acknowledges bytes that its own other side
    /// no longer takes, nothing else tells it. But where each connection is closed like that ([`ENDS_MAX`]), it still
    /// reads, and only a reset is an end: else the same lines would be sent again and again, and none after them.
    ///
    /// # Errors
    /// One clause, where it does not, or where the target has acknowledged nothing for [`SILENCE_MAX`].
    fn check(&mut self) -> Result<(), String> {
        let now = (self.clock)();
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let speaks = connection.check_open().map_err(|error| {
            self.ends = 0;
            format!("the connection is gone: {error}")
        })?;
        if !speaks && self.ends < ENDS_MAX {
            self.ends += 1;
            return Err("the connection is gone: the other side has closed it".to_owned());
        }
        if !connection.moves(now) {
            return Err(format!("it has acknowledged nothing for {} s", SILENCE_MAX.as_secs()));
        }
        let Some(marks) = connection.judge(now, speaks) else { return Ok(()) };
        if speaks && connection.has_moved() {
            self.ends = 0;
        }
        for mark in marks {
            self.wait = LOOK;
            self.taken.insert(mark.service, mark.next);
        }
        Ok(())
    }

    /// Closes the connection, and goes back to what was taken.
    fn give_up(&mut self) {
        self.connection = None;
        self.next.clone_from(&self.taken);
        self.due = (self.clock)() + self.wait;
        self.wait = (self.wait * 2).min(WAIT_MAX);
    }

    /// Sends what waits, and then ring after ring, until there is no room.
    fn send_new(&mut self, host: &str, rings: &impl Rings) -> Result<(), String> {
        self.push()?;
        if self.is_full() {
            return Ok(());
        }
        let services = rings.services().unwrap_or_else(|error| {
            eprintln!("{error}");
            Vec::new()
        });
        let behind = services.iter().position(|service| *service == self.last).map_or(0, |last| last + 1);
        let (before, behind) = services.split_at(behind);
        for service in behind.iter().chain(before) {
            let from = self.next.get(service).copied().unwrap_or(0);
            match rings.lines(service, from) {
                Ok(new) => self.send(host, service, from, &new)?,
                // That is no fault of the target's.
                Err(error) => eprintln!("{service}: {error}"),
            }
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Sends these lines, and notes how far that went. Only where the connection is not full.
    fn send(&mut self, host: &str, service: &str, from: u64, new: &Lines) -> Result<(), String> {
        let lost = new.first.saturating_sub(from);
        let notice =
            (lost > 0).then(|| format!("{lost} lines were lost here: more was said than could be kept"));
        if new.lines.is_empty() && notice.is_none() {
            return Ok(());
        }
        let clocks = (SystemTime::now(), now_ms());
        let frame = |time_ms, line: &str| self.format.frame(&came(clocks, time_ms), host, service, line);
        let (mut bytes, mut marks) = (Vec::new(), Vec::new());
        if let Some(notice) = notice {
            bytes.extend(frame(new.times_ms.first().copied().unwrap_or(clocks.1), &notice));
        }
        let (mut marked_bytes, mut next) = (0, new.first);
        let mark = |end_bytes, next| Mark { end_bytes, service: service.to_owned(), next };
        for (time_ms, line) in new.times_ms.iter().zip(&new.lines) {
            bytes.extend(frame(*time_ms, line));
            next += 1;
            if bytes.len() as u64 >= marked_bytes + MARK_BYTES {
                marked_bytes = bytes.len() as u64;
                marks.push(mark(marked_bytes, next));
            }
        }
        marks.push(mark(bytes.len() as u64, new.first + new.lines.len() as u64));
        self.connect()?.give(bytes, marks);
        self.next.insert(service.to_owned(), new.first + new.lines.len() as u64);
        service.clone_into(&mut self.last);
        self.push()
    }

    fn push(&mut self) -> Result<(), String> {
        let now = (self.clock)();
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.push(now).map_err(|error| {
            self.ends = 0;
            format!("it takes no lines: {error}")
        })
    }

    fn connect(&mut self) -> Result<&mut Connection, String> {
        let failed = |error: std::io::Error| format!("it cannot be reached: {error}");
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.place, &self.clock).map_err(failed)?,
        };
        Ok(self.connection.insert(connection))
    }
}
