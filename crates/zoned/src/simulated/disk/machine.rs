//! The disk at work: a cable, a cache and an arm, in virtual time.
//!
//! Invariants:
//!
//! * Every command that was submitted ends exactly once, at or after the time of its submission.
//! * Time only goes forward. Nothing happens between two events.
//! * At most `queue_depth` commands are in the drive; the others wait outside, in order.
//!
//! A write crosses the cable once the cache has room for it, and waits there for the arm. A read waits for the arm, and
//! crosses the cable afterwards; what lies beyond a write pointer, in the cache, or in what was read ahead, does not
//! wait for the arm. The arm takes what it reaches soonest, by seek and rotation together, and leaves a stream of
//! reads that it has caught up with where another read waits elsewhere. Reads go first, unless writes wait for room or for
//! the medium, a flush waits, or written data has waited too long: then the arm changes between the two, and stays with the
//! writes for a turn at most while they follow one another.

mod arm;

use std::collections::VecDeque;

use crate::simulated::disk::breakdown::Breakdown;
use crate::simulated::disk::cache::{Cache, Segment};
use crate::simulated::disk::command::Command;
use crate::simulated::disk::machine::arm::{Arm, WaitingRead};
use crate::simulated::disk::parameters::{DiskParameters, as_float, as_whole};
use crate::simulated::disk::platter::Platter;

/// A disk in virtual time. Times are nanoseconds.
pub struct Disk {
    parameters: DiskParameters,
    platter: Platter,
    now_ns: u64,
    /// Outside the drive, in order.
    outside: VecDeque<(u64, Command)>,
    inside_count: usize,
    /// Writes that wait for room in the cache, in order.
    roomless: VecDeque<(u64, u64, u64)>,
    cable: Cable,
    cache: Cache,
    reads: Vec<WaitingRead>,
    /// Flushes, and the number of the last segment that each waits for.
    flushes: VecDeque<(u64, u64)>,
    alone: bool,
    arm: Arm,
    breakdown: Breakdown,
    done: Vec<(u64, u64)>,
}

/// What crosses the cable, one thing at a time.
#[derive(Default)]
struct Cable {
    queue: VecDeque<Crossing>,
    current: Option<(u64, Crossing)>,
    /// Where the last write that was queued here ends.
    written_to_bytes: Option<u64>,
}

#[derive(Clone, Copy)]
enum Crossing {
    /// Data or an answer to the host: the command ends.
    Answer { command: u64, busy_ns: u64 },
    /// Data to the cache.
    Write { command: u64, offset_bytes: u64, length_bytes: u64, busy_ns: u64 },
    /// An order, which is carried out when it has crossed.
    Order { command: u64, dropped_bytes: (u64, u64), busy_ns: u64 },
    /// A flush, which counts from when it has crossed.
    Flush { command: u64, busy_ns: u64 },
}

impl Disk {
    /// A disk at rest at time 0, its arm over the first byte.
    #[must_use]
    pub fn new(parameters: DiskParameters) -> Self {
        Self {
            platter: Platter::new(&parameters),
            now_ns: 0,
            outside: VecDeque::new(),
            inside_count: 0,
            roomless: VecDeque::new(),
            cable: Cable::default(),
            cache: Cache::new(parameters.cache_bytes),
            reads: Vec::new(),
            flushes: VecDeque::new(),
            alone: false,
            arm: Arm::default(),
            breakdown: Breakdown::default(),
            done: Vec::new(),
            parameters,
        }
    }

    /// What the disk is made of.
    #[must_use]
    pub fn parameters(&self) -> &DiskParameters {
        &self.parameters
    }

    /// What the arm has done up to now.
    #[must_use]
    pub fn breakdown(&self) -> Breakdown {
        let idle_ns = if self.arm.work.is_none() { self.now_ns - self.arm.idle_since_ns } else { 0 };
        Breakdown { idle_ns: self.breakdown.idle_ns + idle_ns, ..self.breakdown }
    }

    /// Takes `command` at the disk's time. The caller names it `number`, by which its end is told.
    pub fn submit(&mut self, number: u64, command: Command) {
        self.outside.push_back((number, command));
        self.dispatch();
    }

    /// When the next thing happens by itself; `None` where nothing is under way.
    #[must_use]
    pub fn next_event_ns(&self) -> Option<u64> {
        let cable = self.cable.current.as_ref().map(|(until_ns, _)| *until_ns);
        let arm = self.arm.work.as_ref().map(|(until_ns, _)| *until_ns);
        cable.into_iter().chain(arm).min()
    }

    /// Lets time pass until `to_ns`, which is not before the disk's time.
    pub fn advance(&mut self, to_ns: u64) {
        while let Some(event_ns) = self.next_event_ns().filter(|&event_ns| event_ns <= to_ns) {
            self.now_ns = event_ns;
            if let Some((_, crossing)) = self.cable.current.take_if(|(until_ns, _)| *until_ns == event_ns) {
                self.has_crossed(crossing);
            }
            if let Some((_, work)) = self.arm.work.take_if(|(until_ns, _)| *until_ns == event_ns) {
                self.has_worked(work);
            }
            self.dispatch();
        }
        self.now_ns = self.now_ns.max(to_ns);
    }

    /// The commands that have ended since this was last asked: each one's number and its time, in order.
    pub fn take_done(&mut self) -> std::vec::Drain<'_, (u64, u64)> {
        self.done.drain(..)
    }

    /// The disk's time.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn end(&mut self, command: u64) {
        self.inside_count -= 1;
        self.done.push((command, self.now_ns));
    }

    /// Starts whatever can be started now.
    fn dispatch(&mut self) {
        self.let_in();
        while let Some(&(command, offset_bytes, length_bytes)) = self.roomless.front() {
            if !self.cache.reserve(length_bytes) {
                break;
            }
            self.roomless.pop_front();
            let busy_ns = self.write_busy_ns(offset_bytes, length_bytes);
            self.cable.queue.push_back(Crossing::Write { command, offset_bytes, length_bytes, busy_ns });
        }
        if self.arm.work.is_none() {
            self.choose_work();
        }
        if self.cable.current.is_none()
            && let Some(crossing) = self.cable.queue.pop_front()
        {
            self.cable.current = Some((self.now_ns + crossing.busy_ns(), crossing));
        }
    }

    /// Lets commands into the drive, in order.
    fn let_in(&mut self) {
        while self.inside_count < self.parameters.queue_depth && !self.alone {
            let Some(&(number, command)) = self.outside.front() else { return };
            let stands_alone = self.parameters.flush_alone
                && matches!(command, Command::Flush | Command::ReportZones { .. });
            if stands_alone && self.inside_count > 0 {
                return;
            }
            self.outside.pop_front();
            self.inside_count += 1;
            self.alone = stands_alone;
            self.start(number, command);
        }
    }

    fn start(&mut self, command: u64, what: Command) {
        let short_us = self.parameters.command_us;
        match what {
            Command::Write { offset_bytes, length_bytes } => {
                self.roomless.push_back((command, offset_bytes, length_bytes));
            }
            Command::Read { offset_bytes, length_bytes, stored_bytes } => {
                let since_ns = self.now_ns;
                let start_ns = self.platter.stream_ns(offset_bytes);
                let end_ns = self.platter.stream_ns(offset_bytes + stored_bytes);
                let read = WaitingRead {
                    command,
                    offset_bytes,
                    length_bytes,
                    stored_bytes,
                    start_ns,
                    end_ns,
                    since_ns,
                };
                let in_memory = stored_bytes == 0
                    || self.cache.holds(offset_bytes, stored_bytes)
                    || self.was_read_ahead(&read);
                if in_memory {
                    self.answer_read(command, length_bytes, stored_bytes);
                } else {
                    self.reads.push(read);
                }
            }
            Command::Flush => {
                let busy_ns = self.busy_ns(short_us, 0);
                self.cable.queue.push_back(Crossing::Flush { command, busy_ns });
            }
            Command::ZoneOrder { dropped_bytes } => {
                let busy_ns = self.busy_ns(short_us + self.parameters.zone_order_us, 0);
                self.cable.queue.push_back(Crossing::Order { command, dropped_bytes, busy_ns });
            }
            Command::ReportZones { zone_count } => {
                let report_us = self.parameters.report_zone_us * f64::from(zone_count);
                let busy_ns = self.busy_ns(short_us + report_us, 0);
                self.cable.queue.push_back(Crossing::Answer { command, busy_ns });
            }
        }
    }

    fn busy_ns(&self, command_us: f64, length_bytes: u64) -> u64 {
        as_whole(command_us * 1000.0 + as_float(length_bytes) / self.parameters.link_bytes_per_s * 1.0e9)
    }

    /// How long a write occupies the cable and the electronics. Where it does not follow on the one before it, they have to
    /// find its zone, while its bytes cross.
    fn write_busy_ns(&mut self, offset_bytes: u64, length_bytes: u64) -> u64 {
        let follows_on =
            self.cable.written_to_bytes.replace(offset_bytes + length_bytes) == Some(offset_bytes);
        let elsewhere_ns = if follows_on { 0 } else { as_whole(self.parameters.write_elsewhere_us * 1000.0) };
        self.busy_ns(self.parameters.command_us, length_bytes).max(elsewhere_ns)
    }

    /// Sends the bytes of a read to the host; those beyond the pointer are made up first.
    fn answer_read(&mut self, command: u64, length_bytes: u64, stored_bytes: u64) {
        let fill_s = as_float(length_bytes - stored_bytes) / self.parameters.fill_bytes_per_s;
        let busy_ns = self.busy_ns(self.parameters.command_us + fill_s * 1.0e6, length_bytes);
        self.cable.queue.push_back(Crossing::Answer { command, busy_ns });
    }

    fn has_crossed(&mut self, crossing: Crossing) {
        match crossing {
            Crossing::Answer { command, .. } => {
                self.alone = false;
                self.end(command);
            }
            Crossing::Write { command, offset_bytes, length_bytes, .. } => {
                let waits = (!self.parameters.write_cache).then_some(command);
                let since_ns = self.now_ns;
                let segment = Segment { offset_bytes, length_bytes, number: 0, since_ns, waits };
                self.cache.insert(segment, &self.platter);
                if waits.is_none() {
                    self.end(command);
                }
            }
            Crossing::Order { command, dropped_bytes: (start_bytes, end_bytes), .. } => {
                let dropped = self.cache.discard(start_bytes, end_bytes);
                for command in dropped.into_iter().filter_map(|segment| segment.waits) {
                    self.end(command);
                }
                self.end_flushes();
                self.end(command);
            }
            Crossing::Flush { command, .. } => {
                self.flushes.push_back((command, self.cache.last_number()));
                self.end_flushes();
            }
        }
    }

    /// Ends the flushes that wait for nothing more.
    fn end_flushes(&mut self) {
        while let Some((command, _)) =
            self.flushes.pop_front_if(|(_, up_to)| !self.cache.has_outstanding(*up_to))
        {
            self.alone = false;
            self.end(command);
        }
    }
}

impl Crossing {
    fn busy_ns(&self) -> u64 {
        match self {
            Self::Answer { busy_ns, .. }
            | Self::Write { busy_ns, .. }
            | Self::Order { busy_ns, .. }
            | Self::Flush { busy_ns, .. } => *busy_ns,
        }
    }
}
