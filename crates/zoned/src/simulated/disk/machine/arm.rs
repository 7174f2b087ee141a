//! The arm: which access comes next, and what an idle arm reads ahead.
//!
//! Invariants:
//!
//! * While other reads wait, the arm takes of the reads that go straight on only those that had arrived before it did. So no
//!   stream of reads, however fast it follows up, keeps the arm to itself. Of writes a stream can take no more than the
//!   cache holds.
//! * A read that has waited too long goes first, and a write for whose end on the medium the host waits.

use crate::simulated::disk::cache::Segment;
use crate::simulated::disk::machine::Disk;
use crate::simulated::disk::parameters::{as_float, as_whole};
use crate::simulated::disk::platter::Approach;

/// A read that waits for the arm.
#[derive(Clone, Copy)]
pub(super) struct WaitingRead {
    pub(super) command: u64,
    pub(super) offset_bytes: u64,
    pub(super) length_bytes: u64,
    /// How much of it the arm has to read: from one stream time to another.
    pub(super) stored_bytes: u64,
    pub(super) start_ns: f64,
    pub(super) end_ns: f64,
    pub(super) since_ns: u64,
}

/// The arm, its work, and what it has read ahead.
#[derive(Default)]
pub(super) struct Arm {
    /// What it does, and until when.
    pub(super) work: Option<(u64, Work)>,
    /// Where it stands, as stream time, when its work ends or has ended.
    at_ns: f64,
    pub(super) idle_since_ns: u64,
    /// When it last arrived at a place to which it did not go straight on.
    visit_began_ns: u64,
    ahead: Option<ReadAhead>,
    /// Whether the last work was a write, and when the writes that follow one another began.
    wrote: bool,
    writes_began_ns: u64,
}

/// An access.
#[derive(Clone, Copy)]
pub(super) enum Work {
    Read(WaitingRead),
    Write(Segment),
}

/// A stretch that the idle arm reads behind a read, as stream times; it began at `began_ns` by the clock.
#[derive(Clone, Copy)]
struct ReadAhead {
    from_bytes: u64,
    from_ns: f64,
    to_ns: f64,
    began_ns: u64,
    /// How far it came, where the arm was called away.
    stopped_ns: Option<f64>,
}

impl Disk {
    /// Takes note that an access has ended.
    pub(super) fn has_worked(&mut self, work: Work) {
        self.arm.idle_since_ns = self.now_ns;
        match work {
            Work::Read(read) => {
                let from_bytes = read.end_bytes();
                let to_bytes =
                    (from_bytes + self.parameters.read_ahead_bytes).min(self.parameters.device_bytes);
                self.arm.ahead = Some(ReadAhead {
                    from_bytes,
                    from_ns: self.arm.at_ns,
                    to_ns: self.platter.stream_ns(to_bytes),
                    began_ns: self.now_ns,
                    stopped_ns: None,
                });
                self.answer_read(read.command, read.length_bytes, read.stored_bytes);
            }
            Work::Write(segment) => {
                self.cache.written(&segment);
                if let Some(command) = segment.waits {
                    self.end(command);
                }
                self.end_flushes();
            }
        }
    }

    /// Gives the idle arm its next work, where there is any.
    pub(super) fn choose_work(&mut self) {
        self.answer_from_read_ahead();
        let writes = !self.cache.is_empty();
        let is_write = match (self.reads.is_empty(), writes) {
            (true, false) => return,
            (true, true) => true,
            (false, false) => false,
            (false, true) => self.writes_are_due(),
        };
        if is_write {
            self.start_write();
        } else {
            self.start_read();
        }
    }

    /// Whether the arm takes a write though reads wait.
    fn writes_are_due(&self) -> bool {
        let pressed = !self.parameters.write_cache
            || !self.roomless.is_empty()
            || !self.flushes.is_empty()
            || self.overdue_write().is_some();
        if !pressed {
            return false;
        }
        if !self.arm.wrote {
            return true;
        }
        let in_turn = as_float(self.now_ns - self.arm.writes_began_ns) < self.platter.turn_ns();
        in_turn && self.nearest_write().is_some_and(|(_, approach)| approach.goes_straight_on())
    }

    /// The oldest write, where that has waited too long.
    fn overdue_write(&self) -> Option<u64> {
        let (number, since_ns) = self.cache.oldest()?;
        self.has_waited_too_long(since_ns).then_some(number)
    }

    fn nearest_write(&self) -> Option<((u64, u64), Approach)> {
        // For a write in the cache nobody waits, but with a flush.
        let overdue = self.overdue_write().filter(|_| !self.parameters.write_cache);
        let up_to = overdue.or_else(|| self.flushes.front().map(|(_, up_to)| *up_to));
        self.cache.nearest(&self.platter, self.now_ns, self.arm.at_ns, up_to)
    }

    fn has_waited_too_long(&self, since_ns: u64) -> bool {
        self.now_ns - since_ns > as_whole(self.parameters.wait_max_us * 1000.0)
    }

    /// Whether the arm has been here long enough for what waits since `since_ns`.
    fn outstays(&self, approach: Approach, since_ns: u64) -> bool {
        approach.goes_straight_on() && since_ns > self.arm.visit_began_ns
    }

    fn start_write(&mut self) {
        let Some((key, approach)) = self.nearest_write() else { return };
        let Some(segment) = self.cache.take(key, &self.platter) else { return };
        if !self.arm.wrote || !approach.goes_straight_on() {
            self.arm.writes_began_ns = self.now_ns;
        }
        let start_ns = self.platter.stream_ns(segment.offset_bytes);
        let end_ns = self.platter.stream_ns(segment.offset_bytes + segment.length_bytes);
        self.work(Work::Write(segment), approach, end_ns - start_ns, end_ns);
    }

    fn start_read(&mut self) {
        let chosen = match self.reads.iter().position(|read| self.has_waited_too_long(read.since_ns)) {
            Some(old) => Some((old, self.approach_read(&self.reads[old]))),
            None => self.nearest_read(),
        };
        let Some((index, approach)) = chosen else { return };
        let read = self.reads[index];
        let start_ns = self.read_from_ns(&read);
        self.reads.remove(index);
        self.work(Work::Read(read), approach, read.end_ns - start_ns, read.end_ns);
    }

    fn approach_read(&self, read: &WaitingRead) -> Approach {
        self.platter.approach(self.now_ns, self.arm.at_ns, self.read_from_ns(read), false)
    }

    /// The read that the arm reaches soonest, as its index and the approach.
    fn nearest_read(&self) -> Option<(usize, Approach)> {
        let approaches = self.reads.iter().map(|read| self.approach_read(read)).enumerate();
        let by_time =
            |(_, a): &(usize, Approach), (_, b): &(usize, Approach)| a.total_ns().total_cmp(&b.total_ns());
        let (index, approach) = approaches.clone().min_by(by_time)?;
        if !self.outstays(approach, self.reads[index].since_ns) {
            return Some((index, approach));
        }
        // What follows on the read, one behind the other, is of the same stream.
        let mut stream_end_bytes = self.reads[index].end_bytes();
        while let Some(next) = self.reads.iter().find(|read| read.offset_bytes == stream_end_bytes) {
            stream_end_bytes = next.end_bytes();
        }
        let in_stream = self.reads[index].offset_bytes..stream_end_bytes;
        let others = approaches
            .filter(|(other, to)| to.seek_ns > 0.0 && !in_stream.contains(&self.reads[*other].offset_bytes));
        others.min_by(by_time).or(Some((index, approach)))
    }

    /// Sends the arm, which has no work, to an access that ends at stream time `end_ns`.
    fn work(&mut self, work: Work, approach: Approach, transfer_ns: f64, end_ns: f64) {
        self.stop_read_ahead();
        self.arm.at_ns = end_ns;
        self.arm.wrote = matches!(work, Work::Write(_));
        if !approach.goes_straight_on() {
            self.arm.visit_began_ns = self.now_ns + as_whole(approach.total_ns());
        }
        self.breakdown.idle_ns += self.now_ns - self.arm.idle_since_ns;
        self.breakdown.add(approach, transfer_ns);
        let until_ns = self.now_ns + as_whole(approach.total_ns() + transfer_ns);
        self.arm.work = Some((until_ns, work));
    }

    /// The stream time from which the arm has to read: behind what it has read ahead.
    fn read_from_ns(&self, read: &WaitingRead) -> f64 {
        match self.arm.ahead {
            Some(ahead) if read.offset_bytes >= ahead.from_bytes => {
                let reached_ns = ahead.reached_ns(self.now_ns);
                if read.start_ns <= reached_ns { reached_ns } else { read.start_ns }
            }
            _ => read.start_ns,
        }
    }

    /// Whether the whole of a read lies in what was read ahead.
    pub(super) fn was_read_ahead(&self, read: &WaitingRead) -> bool {
        self.arm.ahead.is_some_and(|ahead| {
            read.offset_bytes >= ahead.from_bytes && read.end_ns <= ahead.reached_ns(self.now_ns)
        })
    }

    /// Keeps what was read ahead so far, and lets the arm go from where it is now.
    fn stop_read_ahead(&mut self) {
        let now_ns = self.now_ns;
        if let Some(ahead) = self.arm.ahead.as_mut().filter(|ahead| ahead.stopped_ns.is_none()) {
            ahead.stopped_ns = Some(ahead.reached_ns(now_ns));
        }
    }

    /// Answers the reads that lie in what the idle arm has read ahead, and notes where it is.
    fn answer_from_read_ahead(&mut self) {
        let Some(ahead) = self.arm.ahead.filter(|ahead| ahead.stopped_ns.is_none()) else { return };
        self.arm.at_ns = ahead.reached_ns(self.now_ns);
        while let Some(index) = self.reads.iter().position(|read| self.was_read_ahead(read)) {
            let read = self.reads.remove(index);
            self.answer_read(read.command, read.length_bytes, read.stored_bytes);
        }
    }
}

impl WaitingRead {
    fn end_bytes(&self) -> u64 {
        self.offset_bytes + self.stored_bytes
    }
}

impl ReadAhead {
    /// How far it has come at time `now_ns`, as stream time.
    fn reached_ns(&self, now_ns: u64) -> f64 {
        let went_ns = as_float(now_ns.saturating_sub(self.began_ns));
        self.stopped_ns.unwrap_or_else(|| (self.from_ns + went_ns).min(self.to_ns))
    }
}
